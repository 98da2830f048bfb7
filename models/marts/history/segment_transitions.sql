-- Grain: one row per (as_of_date, customer_id): a customer who is in another segment at a grid date
-- than at the grid date before.
-- `change_reason` is what changed for the customer: a manual override that began or ended; an order
-- or a return in between; with rfm_basis activity, an event in between; only the time that passed; or
-- nothing but the others, who moved the cut points.
{{ config(
    indexes=[
        {'columns': ['as_of_date', 'customer_id'], 'unique': true},
        {'columns': ['customer_id']},
    ] if target.type == 'postgres' else []
) }}
{%- set by_activity = var('rfm_basis') == 'activity' %}
{%- set days_since_previous = dbt.datediff(
    'history.previous_as_of_date', 'history.as_of_date', 'day'
) | trim %}
with

history as (

    select
        as_of_date,
        customer_id,
        segment_key,
        lifecycle_stage,
        recency_score,
        order_count,
        net_revenue,
        previous_as_of_date,
        previous_segment_key,
        previous_lifecycle_stage,
        is_overridden,
        last_order_date
    from {{ ref('customer_segment_history') }}
    where is_grid

),

segments as (

    select
        segment_key,
        value_rank
    from {{ ref('policy_segments') }}

)

select
    history.as_of_date,
    history.customer_id,
    history.previous_segment_key as from_segment_key,
    history.segment_key as to_segment_key,
    history.previous_lifecycle_stage as from_lifecycle_stage,
    history.lifecycle_stage as to_lifecycle_stage,
    case when to_segments.value_rank < from_segments.value_rank then 'up' else 'down' end
        as direction,
    case
        when history.is_overridden or earlier.is_overridden then 'override'
        when
            history.last_order_date >= history.previous_as_of_date
            or (
                history.order_count = earlier.order_count
                and history.net_revenue <> earlier.net_revenue
            )
            then 'purchase'
        {%- if by_activity %}
        when metrics.scored_recency_days <= {{ days_since_previous }} then 'activity'
        {%- endif %}
        when
            history.lifecycle_stage = history.previous_lifecycle_stage
            and history.order_count = earlier.order_count
            and coalesce(history.recency_score, 0) >= coalesce(earlier.recency_score, 0)
            then 'others'
        else 'ageing'
    end as change_reason,
    history.net_revenue as value_at_stake,
    history.previous_as_of_date
from history
inner join history as earlier
    on
        history.customer_id = earlier.customer_id
        and history.previous_as_of_date = earlier.as_of_date
inner join segments as from_segments
    on history.previous_segment_key = from_segments.segment_key
inner join segments as to_segments
    on history.segment_key = to_segments.segment_key
{%- if by_activity %}
inner join {{ ref('int_customer_metrics') }} as metrics
    on
        history.as_of_date = metrics.as_of_date
        and history.customer_id = metrics.customer_id
{%- endif %}
where history.segment_key <> history.previous_segment_key
