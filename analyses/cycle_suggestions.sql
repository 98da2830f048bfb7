-- Question: which settings fit how often these customers order?
-- One row per setting: what is set, what the data suggest, and why. The suggestions are starting
-- points: a suggestion longer than the history in the data cannot be used yet.
{%- set days_of_history = dbt.datediff(
    'min(order_dates.order_date)', 'max(order_dates.order_date)', 'day'
) | trim %}
{%- set days_between = dbt.datediff('previous_order_date', 'order_date', 'day') | trim %}
with

cycles as (

    select cycles.*
    from {{ ref('purchase_cycles') }} as cycles
    inner join {{ ref('int_as_of_dates') }} as as_of_dates
        on cycles.as_of_date = as_of_dates.as_of_date
    where as_of_dates.is_current and cycles.score_group = '{{ whole_base() }}'

),

stages as (

    select
        lifecycle.as_of_date,
        lifecycle.customer_id,
        lifecycle.expected_gap_days,
        lifecycle.order_date_count
    from {{ ref('int_lifecycle_stages') }} as lifecycle
    inner join {{ ref('int_as_of_dates') }} as as_of_dates
        on lifecycle.as_of_date = as_of_dates.as_of_date
    where as_of_dates.is_current and lifecycle.expected_gap_days is not null

),

gap_ratios as (

    select
        percentile_cont(0.8) within group (
            order by {{ days_between }} / stages.expected_gap_days
        ) as ratio_p80,
        percentile_cont(0.95) within group (
            order by {{ days_between }} / stages.expected_gap_days
        ) as ratio_p95
    from {{ ref('int_order_dates') }} as order_dates
    inner join stages
        on
            order_dates.customer_id = stages.customer_id
            and order_dates.order_date < stages.as_of_date
    where order_dates.previous_order_date is not null

),

history as (

    select {{ days_of_history }} as day_count
    from {{ ref('int_order_dates') }} as order_dates
    inner join {{ ref('int_as_of_dates') }} as as_of_dates
        on order_dates.order_date < as_of_dates.as_of_date
    where as_of_dates.is_current

),

order_counts as (

    select count(distinct order_date_count) as distinct_count
    from stages

)

select
    'score_tiles' as setting,
    '{{ var("score_tiles") }}' as current_value,
    case
        when order_counts.distinct_count < 5 then '3'
        when order_counts.distinct_count < 8 then '4'
        else '5'
    end as suggestion,
    'as many tiles as the order counts can tell apart; rules have to be written for that many'
        as reason
from order_counts
union all
select
    'lookback_days' as setting,
    '{{ var("lookback_days") or "all history" }}' as current_value,
    case
        when 6 * cycles.gap_days_p90 < history.day_count
            then {{ number_text('greatest(365, ceil(6 * cycles.gap_days_p90 / 30) * 30)') }}
        else 'all history'
    end as suggestion,
    'six gaps of a slow customer (90th percentile), at least a year for the seasons' as reason
from cycles
cross join history
union all
select
    'days after which to ask whether a customer was retained' as setting,
    'yours to choose' as current_value,
    {{ number_text('greatest(30, ceil(cycles.gap_days_p90 / 30) * 30)') }} as suggestion,
    'nine of ten customers with two orders or more usually order again by then' as reason
from cycles
union all
select
    'lifecycle_thresholds.csv: active_until' as setting,
    {{ policy_amount_text('thresholds.active_until') }} as current_value,
    {{ policy_amount_text('greatest(1, round(cast(gap_ratios.ratio_p80 as numeric(18, 6)), 1))') }}
        as suggestion,
    'four of five gaps end before that multiple of the expected gap' as reason
from gap_ratios
cross join {{ ref('policy_lifecycle_thresholds') }} as thresholds
union all
select
    'lifecycle_thresholds.csv: lapsing_until' as setting,
    {{ policy_amount_text('thresholds.lapsing_until') }} as current_value,
    {{ policy_amount_text(
        'greatest(1.5, round(cast(gap_ratios.ratio_p95 as numeric(18, 6)), 1))'
    ) }} as suggestion,
    'nineteen of twenty gaps end before that multiple of the expected gap' as reason
from gap_ratios
cross join {{ ref('policy_lifecycle_thresholds') }} as thresholds
union all
select
    'days between two scorings' as setting,
    'as often as the build runs' as current_value,
    {{ number_text('greatest(1, floor(cycles.gap_days_q1 / 2))') }} as suggestion,
    'twice within the gap of a quick customer (first quartile)' as reason
from cycles
