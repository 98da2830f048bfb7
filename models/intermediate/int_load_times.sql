-- Grain: one row: the latest loaded_at of each source that slices are made of, null where it does
-- not say when its rows came in.
-- What comes in later than this and is dated before a finished slice is a late row of that slice.
with

sales as (

    {% if has_load_times('sales') -%}
    select max(loaded_at) as loaded_until
    from {{ ref('stg_sales') }}
    {%- else -%}
    select cast(null as timestamp) as loaded_until
    {%- endif %}

),

engagement_events as (

    {% if has_load_times('engagement_events') -%}
    select max(loaded_at) as loaded_until
    from {{ ref('stg_engagement_events') }}
    {%- else -%}
    select cast(null as timestamp) as loaded_until
    {%- endif %}

)

select
    sales.loaded_until as sales_loaded_until,
    engagement_events.loaded_until as engagement_events_loaded_until
from sales
cross join engagement_events
