-- Grain: one row: the latest loaded_at among the rows that slices are made of, null where no source
-- says when its rows came in.
-- What comes in later than this and is dated before a finished slice is a late row of that slice.
with

load_times as (

    select cast(null as timestamp) as loaded_at
    {%- if has_load_times('sales') %}
    union all
    select max(loaded_at) as loaded_at
    from {{ ref('stg_sales') }}
    {%- endif %}
    {%- if has_load_times('engagement_events') %}
    union all
    select max(loaded_at) as loaded_at
    from {{ ref('stg_engagement_events') }}
    {%- endif %}

)

select max(loaded_at) as loaded_until
from load_times
