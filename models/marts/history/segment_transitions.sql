-- Grain: one row per (as_of_date, customer_id): a customer who is in another segment at a grid date
-- than at the grid date before.
-- `change_reason` is what made the move, not merely what happened in between: a manual override
-- that began or ended; purchase (an order or a return); with rfm_basis activity also an event;
-- ageing (longer silence, or orders that left the look-back window), which pulls down even those
-- who bought at the beginning of the period; or nothing but the others, who moved the cut points.
-- Dates that are finished are kept, as in the history itself.
{{ config(**sliced(
    looks_back=true,
    indexes=[
        {'columns': ['as_of_date', 'customer_id'], 'unique': true},
        {'columns': ['customer_id']},
    ]
)) }}
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
        frequency_score,
        monetary_score,
        order_count,
        net_revenue,
        previous_as_of_date,
        previous_segment_key,
        previous_lifecycle_stage,
        is_overridden,
        last_order_date,
        case lifecycle_stage when 'lapsing' then 1 when 'lapsed' then 2 else 0 end as silence
    from {{ ref('customer_segment_history') }}
    where is_grid {{ only_due('as_of_date', 'and') }}

),

-- Read once more: one expression for both would be written out with all dates of all customers.
earlier_history as (

    select
        as_of_date,
        customer_id,
        recency_score,
        frequency_score,
        monetary_score,
        order_count,
        net_revenue,
        is_overridden,
        case lifecycle_stage when 'lapsing' then 1 when 'lapsed' then 2 else 0 end as silence
    from {{ ref('customer_segment_history') }}
    where
        is_grid
        and as_of_date in (
            select history.previous_as_of_date
            from history
        )

),

segments as (

    select
        segment_key,
        value_rank
    from {{ ref('policy_segments') }}

),

moves as (

    select
        history.as_of_date,
        history.customer_id,
        history.previous_segment_key as from_segment_key,
        history.segment_key as to_segment_key,
        history.previous_lifecycle_stage as from_lifecycle_stage,
        history.lifecycle_stage as to_lifecycle_stage,
        history.net_revenue,
        history.previous_as_of_date,
        to_segments.value_rank < from_segments.value_rank as is_up,
        history.is_overridden or earlier.is_overridden as is_by_hand,
        history.lifecycle_stage <> history.previous_lifecycle_stage as has_other_stage,
        coalesce(history.last_order_date >= history.previous_as_of_date, false)
        {%- if var('lookback_days') is none %}
        -- A return. Within a look-back window it could also be one that left the window.
        or (
            history.order_count = earlier.order_count
            and history.net_revenue <> earlier.net_revenue
        )
        {%- endif %} as has_bought,
        {% if by_activity -%}
        coalesce(metrics.scored_recency_days <= {{ days_since_previous }}, false) as has_acted,
        {% else -%}
        false as has_acted,
        {% endif -%}
        history.silence > earlier.silence as has_fallen_silent,
        history.silence < earlier.silence as has_come_back,
        history.silence > earlier.silence
        or coalesce(history.recency_score, 0) < coalesce(earlier.recency_score, 0)
        or history.order_count < earlier.order_count as has_aged,
        coalesce(history.frequency_score, 0) < coalesce(earlier.frequency_score, 0)
        or coalesce(history.monetary_score, 0) < coalesce(earlier.monetary_score, 0)
            as has_lower_scores
    from history
    inner join earlier_history as earlier
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

)

select
    as_of_date,
    customer_id,
    from_segment_key,
    to_segment_key,
    from_lifecycle_stage,
    to_lifecycle_stage,
    case when is_up then 'up' else 'down' end as direction,
    case when has_fallen_silent then 'down' when has_come_back then 'up' else 'same' end
        as lifecycle_direction,
    case
        when is_by_hand then 'override'
        when has_fallen_silent or (not is_up and has_aged) then 'ageing'
        when not is_up and has_lower_scores and not has_other_stage then 'others'
        when has_bought then 'purchase'
        when has_acted then 'activity'
        when has_other_stage or has_aged then 'ageing'
        else 'others'
    end as change_reason,
    net_revenue as value_at_stake,
    previous_as_of_date
from moves
