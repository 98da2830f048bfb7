-- Grain: one row per (as_of_date, customer_id), every customer known at that date.
-- A few gaps of one's own say little, so they are pulled towards the gap of the group as if the
-- customer had `gap_prior_strength` average gaps more. Who is new is judged by the group's gap: a
-- long pause makes the own gap long, and would make its customer new again.
-- Ratios are rounded before they are compared: the same stage on every engine.
{{ config(**sliced()) }}
{%- set prior = 'cast(' ~ var('gap_prior_strength') ~ ' as ' ~ type_double() ~ ')' %}
{%- set own_days = dbt.datediff('gaps.first_order_date', 'gaps.last_order_date', 'day') | trim %}
{%- set days_before_last = dbt.datediff(
    'gaps.first_order_date', 'gaps.previous_order_date', 'day'
) | trim %}
{%- set days_since_first = dbt.datediff('first_order_date', 'as_of_date', 'day') | trim %}
{%- set pause_days = dbt.datediff('previous_order_date', 'last_order_date', 'day') | trim %}
with

customers as (

    select
        metrics.as_of_date,
        metrics.customer_id,
        metrics.score_group,
        metrics.days_since_last_order,
        gaps.order_date_count,
        gaps.own_gap_days,
        gaps.first_order_date,
        gaps.last_order_date,
        gaps.previous_order_date,
        gaps.third_last_order_date,
        {{ own_days }} as own_days,
        {{ days_before_last }} as days_before_last
    from {{ ref('int_customer_metrics') }} as metrics
    left join {{ ref('int_customer_gaps') }} as gaps
        on
            metrics.as_of_date = gaps.as_of_date
            and metrics.customer_id = gaps.customer_id
    {{ only_due('metrics.as_of_date') }}

),

with_group_gap as (

    select
        customers.*,
        case
            when customers.order_date_count is not null
                then coalesce(
                    group_gaps.gap_days_median,
                    base_gaps.gap_days_median,
                    {{ var('default_purchase_gap_days') }}
                )
        end as group_gap_days
    from customers
    left join {{ ref('int_group_gaps') }} as group_gaps
        on
            customers.as_of_date = group_gaps.as_of_date
            and customers.score_group = group_gaps.score_group
            and group_gaps.customer_count >= {{ var('min_group_customers') }}
    left join {{ ref('int_group_gaps') }} as base_gaps
        on
            customers.as_of_date = base_gaps.as_of_date
            and base_gaps.score_group = '{{ whole_base() }}'

),

expected as (

    select
        *,
        case
            when order_date_count >= 1
                then greatest(1, coalesce(
                    (own_days + {{ prior }} * group_gap_days)
                    / nullif(order_date_count - 1 + {{ prior }}, 0),
                    group_gap_days
                ))
        end as expected_gap_days,
        case
            when order_date_count >= 2
                then greatest(1, coalesce(
                    (days_before_last + {{ prior }} * group_gap_days)
                    / nullif(order_date_count - 2 + {{ prior }}, 0),
                    group_gap_days
                ))
        end as expected_gap_before_last_days
    from with_group_gap

),

ratios as (

    select
        *,
        {{ rounded_ratio('days_since_last_order', 'expected_gap_days') }} as silence_ratio,
        {{ rounded_ratio(days_since_first, 'greatest(1, group_gap_days)') }} as tenure_ratio,
        {{ rounded_ratio(pause_days, 'expected_gap_before_last_days') }} as pause_ratio
    from expected

)

select
    ratios.as_of_date,
    ratios.customer_id,
    case
        when ratios.order_date_count is null then 'prospect'
        when ratios.silence_ratio > thresholds.lapsing_until then 'lapsed'
        when ratios.silence_ratio > thresholds.active_until then 'lapsing'
        when ratios.tenure_ratio <= thresholds.new_until then 'new'
        when ratios.pause_ratio > thresholds.reactivated_after then 'reactivated'
        else 'active'
    end as lifecycle_stage,
    ratios.order_date_count,
    ratios.own_gap_days,
    ratios.group_gap_days,
    ratios.expected_gap_days,
    ratios.expected_gap_before_last_days,
    cast(ratios.silence_ratio as {{ type_double() }}) as silence_ratio,
    ratios.first_order_date,
    ratios.previous_order_date,
    ratios.third_last_order_date
from ratios
cross join {{ ref('policy_lifecycle_thresholds') }} as thresholds
