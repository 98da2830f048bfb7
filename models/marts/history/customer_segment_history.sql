-- Grain: one row per (as_of_date, customer_id), every customer known at that date; dates of the
-- grid and the current one. Who is known only because the customers source lists them today (no
-- created_at, no sale, no event) is at the current date alone and in no movement.
-- Scores and stages are those of the date; the rules are today's at every date, so that an edited
-- rule does not look like customers moving. A manual override comes last, at the dates on which it
-- is valid. What came before is taken from grid dates only: the current slice is nobody's
-- predecessor. The first date of the history has none. `published_segment_key` is what audiences go
-- by: with the var min_stay_days a move that the customer did not make by an order waits until it
-- has lasted so long.
-- Dates that are finished are kept; the ones to compute go on from the last of them.
{{ config(**sliced(
    looks_back=true,
    indexes=[
        {'columns': ['as_of_date', 'customer_id'], 'unique': true},
        {'columns': ['customer_id']},
    ]
)) }}
{%- set scheme = text_literal(var('segment_scheme')) %}
{%- set days_in_segment = dbt.datediff('segment_since_date', 'as_of_date', 'day') | trim %}
{%- set min_stay_days = var('min_stay_days') | int %}
with

metrics as (

    select
        metrics.as_of_date,
        metrics.customer_id,
        metrics.order_count,
        metrics.net_revenue,
        metrics.is_scored,
        metrics.last_order_date,
        as_of_dates.is_current,
        as_of_dates.is_grid and metrics.is_known_by_date as is_grid
    from {{ ref('int_customer_metrics') }} as metrics
    inner join {{ ref('int_as_of_dates') }} as as_of_dates
        on metrics.as_of_date = as_of_dates.as_of_date
    {{ only_due('metrics.as_of_date') }}

),

scores as (

    select
        as_of_date,
        customer_id,
        recency_score,
        frequency_score,
        monetary_score,
        rfm_code,
        rfm_score
    from {{ ref('int_rfm_scores') }}
    {{ only_due('as_of_date') }}

),

stages as (

    select
        as_of_date,
        customer_id,
        lifecycle_stage
    from {{ ref('int_lifecycle_stages') }}
    {{ only_due('as_of_date') }}

),

score_cells as (

    select
        lifecycle_stage,
        recency_score,
        frequency_score,
        monetary_score,
        segment_code,
        match_order
    from {{ ref('segment_score_cells') }}
    where segment_scheme = {{ scheme }}

),

segments as (

    select
        segment_code,
        segment_key,
        value_rank
    from {{ ref('policy_segments') }}
    where segment_scheme = {{ scheme }}

),

overrides as (

    select
        customer_id,
        segment_code,
        valid_from,
        valid_to
    from {{ ref('policy_segment_overrides') }}
    where segment_scheme = {{ scheme }}

),

ruled as (

    select
        metrics.*,
        scores.recency_score,
        scores.frequency_score,
        scores.monetary_score,
        scores.rfm_code,
        scores.rfm_score,
        stages.lifecycle_stage,
        case
            when metrics.is_scored then score_cells.segment_code
            when metrics.last_order_date is not null then 'dormant'
            else 'prospects'
        end as rule_segment_code,
        score_cells.match_order
    from metrics
    left join scores
        on
            metrics.as_of_date = scores.as_of_date
            and metrics.customer_id = scores.customer_id
    left join stages
        on
            metrics.as_of_date = stages.as_of_date
            and metrics.customer_id = stages.customer_id
    left join score_cells
        on
            stages.lifecycle_stage = score_cells.lifecycle_stage
            and scores.recency_score = score_cells.recency_score
            and scores.frequency_score = score_cells.frequency_score
            and scores.monetary_score = score_cells.monetary_score

),

assigned as (

    select
        ruled.*,
        coalesce(overrides.segment_code, ruled.rule_segment_code) as segment_code,
        overrides.segment_code is not null as is_overridden
    from ruled
    left join overrides
        on
            ruled.customer_id = overrides.customer_id
            and (overrides.valid_from is null or ruled.as_of_date >= overrides.valid_from)
            and (overrides.valid_to is null or ruled.as_of_date <= overrides.valid_to)

),

keyed as (

    select
        assigned.*,
        segments.segment_key
    from assigned
    inner join segments
        on assigned.segment_code = segments.segment_code

),

-- The last finished date, where the model has one: what comes next goes on from it.
{% if has_slices() -%}
kept as (

    select
        as_of_date,
        customer_id,
        segment_key,
        lifecycle_stage,
        segment_since_date,
        published_segment_key,
        is_overridden
    from {{ this }}
    where
        as_of_date in (
            select max(finished.as_of_date)
            from {{ ref('int_as_of_dates') }} as finished
            where not ({{ is_due('finished.as_of_date') }})
        )

),

{% endif -%}
steps as (

    select
        *,
        cast(null as date) as kept_since_date,
        cast(null as {{ dbt.type_string() }}) as kept_published_key,
        false as is_kept
    from keyed
    {%- if has_slices() %}
    union all
    select
        kept.as_of_date,
        kept.customer_id,
        {% for column in [
            'order_count', 'net_revenue', 'is_scored', 'last_order_date', 'is_current', 'is_grid',
            'recency_score', 'frequency_score', 'monetary_score', 'rfm_code', 'rfm_score',
        ] %}
        null as {{ column }},
        {% endfor %}
        kept.lifecycle_stage,
        {% for column in [
            'rule_segment_code', 'match_order', 'segment_code',
        ] %}
        null as {{ column }},
        {% endfor %}
        kept.is_overridden,
        kept.segment_key,
        kept.segment_since_date as kept_since_date,
        kept.published_segment_key as kept_published_key,
        true as is_kept
    from kept
    {%- endif %}

),

with_previous as (

    select
        *,
        lag(as_of_date) over customer_dates as previous_as_of_date,
        lag(segment_key) over customer_dates as previous_segment_key,
        lag(lifecycle_stage) over customer_dates as previous_lifecycle_stage,
        coalesce(lag(is_overridden) over customer_dates, false) as was_overridden
    from steps
    window customer_dates as (partition by customer_id order by as_of_date)

),

dated_stays as (

    select
        *,
        max(
            case
                when is_kept then kept_since_date
                when previous_segment_key is null or segment_key <> previous_segment_key
                    then as_of_date
            end
        ) over (
            partition by customer_id order by as_of_date
            rows between unbounded preceding and current row
        ) as segment_since_date
    from with_previous

),

{% if min_stay_days -%}
confirmed as (

    select
        *,
        is_kept
        or previous_as_of_date is null
        or is_overridden
        or was_overridden
        or coalesce(last_order_date >= previous_as_of_date, false)
        or {{ days_in_segment }} >= {{ min_stay_days }} as is_confirmed
    from dated_stays

),

numbered_confirmations as (

    select
        *,
        sum(case when is_confirmed then 1 else 0 end) over (
            partition by customer_id order by as_of_date
            rows between unbounded preceding and current row
        ) as confirmation_number
    from confirmed

),

published as (

    select
        *,
        max(case when is_confirmed then coalesce(kept_published_key, segment_key) end) over (
            partition by customer_id, confirmation_number
        ) as published_segment_key
    from numbered_confirmations

)
{%- else -%}
published as (

    select
        *,
        segment_key as published_segment_key
    from dated_stays

)
{%- endif %}

select
    as_of_date,
    customer_id,
    segment_key,
    cast({{ scheme }} as {{ dbt.type_string() }}) as segment_scheme,
    segment_code,
    lifecycle_stage,
    rfm_code,
    recency_score,
    frequency_score,
    monetary_score,
    rfm_score,
    match_order as matched_rule,
    previous_segment_key,
    previous_lifecycle_stage,
    published_segment_key,
    {{ dbt.concat([text_literal(var('segment_scheme') ~ ':'), 'rule_segment_code']) }}
        as rule_segment_key,
    order_count,
    -- With its digits, which PostgreSQL forgets in a union.
    cast(net_revenue as {{ type_money() }}) as net_revenue,
    cast({{ days_in_segment }} as integer) as days_in_segment,
    is_scored,
    is_overridden,
    is_current,
    is_grid,
    previous_as_of_date,
    segment_since_date,
    last_order_date
from published
where not is_kept
