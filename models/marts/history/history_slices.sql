-- Grain: one row per as_of_date of the history.
-- A finished slice keeps what was known when it was computed. Rows dated before it that came in
-- later (by loaded_at) are late: counted here, and taken in when the var reopen_periods reaches the
-- date.
{#- The tables that segments are made of come before customer_segments: the log is complete then. #}
{{ config(pre_hook="{% do ref('customer_segments') %}") }}
{%- set late_sources = [] %}
{%- for entity in ['sales', 'engagement_events'] if has_load_times(entity) %}
{%- do late_sources.append(entity) %}
{%- endfor %}
with

as_of_dates as (

    select * from {{ ref('int_as_of_dates') }}

),

{% if late_sources -%}
computed as (

    -- After a run that broke off the tables of a date can have been computed at different times.
    select
        as_of_date,
        min(sales_loaded_until) as sales_loaded_until,
        min(engagement_events_loaded_until) as engagement_events_loaded_until
    from {{ ref('int_slice_log') }}
    where model_name not in ('retention_triggers', 'segment_transitions', 'segment_migration')
    group by as_of_date

),

{% endif -%}
sizes as (

    select
        as_of_date,
        count(*) as customer_count,
        sum(case when is_scored then 1 else 0 end) as scored_count,
        sum(net_revenue) as net_revenue
    from {{ ref('int_customer_metrics') }}
    group by as_of_date

),

{% if 'sales' in late_sources -%}
late_sales as (

    select
        computed.as_of_date,
        count(*) as late_sale_count,
        sum(sales.net_revenue) as late_net_revenue
    from computed
    inner join {{ ref('stg_sales') }} as sales
        on
            computed.as_of_date > sales.sale_date
            and computed.sales_loaded_until < sales.loaded_at
    group by computed.as_of_date

),

{% endif -%}
{% if 'engagement_events' in late_sources -%}
late_events as (

    select
        computed.as_of_date,
        count(*) as late_event_count
    from computed
    inner join {{ ref('stg_engagement_events') }} as events
        on
            computed.as_of_date > events.event_date
            and computed.engagement_events_loaded_until < events.loaded_at
    group by computed.as_of_date

),

{% endif -%}
sliced as (

    select
        as_of_dates.as_of_date,
        sizes.customer_count,
        sizes.scored_count,
        sizes.net_revenue,
        {% if 'sales' in late_sources -%}
        case
            when computed.sales_loaded_until is not null then coalesce(late_sales.late_sale_count, 0)
        end as late_sale_count,
        case
            when computed.sales_loaded_until is not null
                then coalesce(late_sales.late_net_revenue, 0)
        end as late_net_revenue,
        {% else -%}
        cast(null as integer) as late_sale_count,
        cast(null as {{ type_money_total() }}) as late_net_revenue,
        {% endif -%}
        {% if 'engagement_events' in late_sources -%}
        case
            when computed.engagement_events_loaded_until is not null
                then coalesce(late_events.late_event_count, 0)
        end as late_event_count,
        {% else -%}
        cast(null as integer) as late_event_count,
        {% endif -%}
        as_of_dates.is_grid,
        as_of_dates.is_current
    from as_of_dates
    left join sizes
        on as_of_dates.as_of_date = sizes.as_of_date
    {%- if late_sources %}
    left join computed
        on as_of_dates.as_of_date = computed.as_of_date
    {%- endif %}
    {%- if 'sales' in late_sources %}
    left join late_sales
        on as_of_dates.as_of_date = late_sales.as_of_date
    {%- endif %}
    {%- if 'engagement_events' in late_sources %}
    left join late_events
        on as_of_dates.as_of_date = late_events.as_of_date
    {%- endif %}

)

select
    as_of_date,
    cast(coalesce(customer_count, 0) as integer) as customer_count,
    cast(coalesce(scored_count, 0) as integer) as scored_count,
    cast(coalesce(net_revenue, 0) as {{ type_money_total() }}) as net_revenue,
    cast(late_sale_count as integer) as late_sale_count,
    cast(late_net_revenue as {{ type_money_total() }}) as late_net_revenue,
    cast(late_event_count as integer) as late_event_count,
    is_grid,
    is_current
from sliced
