-- Grain: one row per (customer_id, event_type, event_date) of the engagement events.
with

events as (

    select
        customer_id,
        event_type,
        event_value,
        event_date
    from {{ ref('stg_engagement_events') }}

),

event_days as (

    select
        customer_id,
        event_type,
        event_date,
        count(*) as event_count,
        sum(coalesce(event_value, 0)) as event_value
    from events
    group by customer_id, event_type, event_date

)

select
    event_days.customer_id,
    event_days.event_type,
    coalesce(event_types.event_family, 'unmapped') as event_family,
    cast(event_days.event_count as integer) as event_count,
    cast(event_days.event_value as {{ type_money() }}) as event_value,
    cast(
        event_days.event_count * coalesce(event_types.weight, 0) as {{ type_weight() }}
    ) as event_weight,
    cast(
        event_days.event_value * coalesce(event_types.weight, 0) as {{ type_money() }}
    ) as weighted_value,
    event_types.event_type is not null as is_mapped,
    event_days.event_date
from event_days
left join {{ ref('policy_event_types') }} as event_types
    on event_days.event_type = event_types.event_type
