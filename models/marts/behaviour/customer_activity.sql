-- Grain: one row per accepted sale line, engagement event or campaign contact before the current
-- as-of date: what a customer did and what we did, as one timeline.
{{ config(
    indexes=[{'columns': ['customer_id', 'activity_date']}] if target.type == 'postgres' else []
) }}
with

current_dates as (

    select as_of_date
    from {{ ref('int_as_of_dates') }}
    where is_current

),

event_types as (

    select
        event_type,
        event_family
    from {{ ref('policy_event_types') }}

),

activities as (

    select
        customer_id,
        case when is_return then 'return' else 'purchase' end as activity_type,
        'sale' as activity_family,
        product_id as activity_detail,
        channel,
        net_revenue as activity_value,
        sale_id as source_row_id,
        sale_date as activity_date
    from {{ ref('stg_sales') }}
    union all
    select
        events.customer_id,
        'event' as activity_type,
        coalesce(event_types.event_family, 'unmapped') as activity_family,
        events.event_type as activity_detail,
        events.channel,
        events.event_value as activity_value,
        events.event_id as source_row_id,
        events.event_date as activity_date
    from {{ ref('stg_engagement_events') }} as events
    left join event_types
        on events.event_type = event_types.event_type
    union all
    select
        customer_id,
        'contact' as activity_type,
        'contact' as activity_family,
        campaign_id as activity_detail,
        channel,
        case
            when contact_cost is not null or incentive_cost is not null
                then -(coalesce(contact_cost, 0) + coalesce(incentive_cost, 0))
        end as activity_value,
        contact_id as source_row_id,
        contact_date as activity_date
    from {{ ref('stg_campaign_contacts') }}

)

select
    activities.customer_id,
    activities.activity_type,
    activities.activity_family,
    activities.activity_detail,
    activities.channel,
    activities.source_row_id,
    cast(activities.activity_value as {{ type_money() }}) as activity_value,
    activities.activity_date
from activities
inner join current_dates
    on activities.activity_date < current_dates.as_of_date
