-- Grain: one row per customer of the customers source or with an event that stopped a channel.
-- How the customer may and can be contacted, whatever the as-of date: who asked us to stop after
-- the last sale is left alone too.
with

channel_effects as (

    select
        event_days.customer_id,
        event_types.channel_effect,
        max(event_days.event_date) as effect_date
    from {{ ref('int_event_days') }} as event_days
    inner join {{ ref('policy_event_types') }} as event_types
        on event_days.event_type = event_types.event_type
    where event_types.channel_effect is not null
    group by event_days.customer_id, event_types.channel_effect

),

channels as (

    {% for channel in reachable_channels() %}
    select '{{ channel }}' as channel
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

last_effects as (

    select
        channel_effects.customer_id,
        channels.channel,
        max(
            case
                when channel_effects.channel_effect like 'stop%' then channel_effects.effect_date
            end
        ) as stop_date,
        max(
            case
                when channel_effects.channel_effect like 'allow%' then channel_effects.effect_date
            end
        ) as allow_date
    from channel_effects
    inner join channels
        on
            channel_effects.channel_effect in (
                'stop_all',
                {{ dbt.concat(["'stop_'", 'channels.channel']) }},
                {{ dbt.concat(["'allow_'", 'channels.channel']) }}
            )
    group by channel_effects.customer_id, channels.channel

),

stops as (

    select
        customer_id,
        {{ dbt.concat(["'|'", dbt.listagg('channel', "'|'", 'order by channel'), "'|'"]) }}
            as stopped_channels
    from last_effects
    where stop_date is not null and (allow_date is null or allow_date <= stop_date)
    group by customer_id

),

addresses as (

    select * from {{ ref('stg_customers') }}

)

select
    coalesce(addresses.customer_id, stops.customer_id) as customer_id,
    addresses.email_sha256,
    addresses.phone_sha256,
    coalesce(addresses.is_internal, false) as is_internal,
    addresses.email_consent,
    addresses.sms_consent,
    addresses.ads_consent,
    coalesce(stops.stopped_channels, '|') as stopped_channels
from addresses
full join stops
    on addresses.customer_id = stops.customer_id
