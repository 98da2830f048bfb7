-- Grain: one row per (as_of_date, customer_id, event_family) with an event before the date.
{{ config(**sliced()) }}
{%- set days_ago = dbt.datediff('event_days.event_date', 'as_of_dates.as_of_date', 'day') | trim %}
{%- set days_since = dbt.datediff('last_event_date', 'as_of_date', 'day') | trim %}
{%- set days_engaged = dbt.datediff('last_engagement_date', 'as_of_date', 'day') | trim %}
with

as_of_dates as (

    {{ due_dates() }}

),

events as (

    select
        as_of_dates.as_of_date,
        event_days.customer_id,
        event_days.event_family,
        event_days.event_count,
        event_days.event_weight,
        event_days.event_date,
        {{ days_ago }} as days_ago
    from {{ ref('int_event_days') }} as event_days
    inner join as_of_dates
        on event_days.event_date < as_of_dates.as_of_date

),

families as (

    select
        as_of_date,
        customer_id,
        event_family,
        max(event_date) as last_event_date,
        max(case when event_weight > 0 then event_date end) as last_engagement_date,
        sum(event_count) as event_count,
        sum(case when days_ago <= 30 then event_count else 0 end) as event_count_30d,
        sum(case when days_ago <= 90 then event_count else 0 end) as event_count_90d,
        sum(case when days_ago <= 90 then event_weight else 0 end) as engagement_value
    from events
    group by as_of_date, customer_id, event_family

)

select
    as_of_date,
    customer_id,
    event_family,
    cast({{ days_since }} as integer) as days_since_last_event,
    cast({{ days_engaged }} as integer) as days_since_last_engagement,
    cast(event_count as integer) as event_count,
    cast(event_count_30d as integer) as event_count_30d,
    cast(event_count_90d as integer) as event_count_90d,
    {{ event_trend('event_count_30d', 'event_count_90d') }} as event_trend,
    cast(engagement_value as {{ type_weight() }}) as engagement_value,
    last_event_date,
    last_engagement_date
from families
