-- Grain: one row per segment of the active scheme, empty ones too, at the current as-of date.
-- Quartiles are over scored customers: the unscored have no recency, frequency or monetary value.
-- What retention is worth is taken from segment_upside. The selector `core` does without that mart
-- and the many models behind it; then its figures are null here.
{%- set measures = {
    'days_since_last_order': 'integer',
    'order_count': 'integer',
    'net_revenue': 'money',
} %}
{%- set upside_columns = {
    'expected_lapse_count': type_double(),
    'save_rate': type_double(),
    'save_rate_source': dbt.type_string(),
    'reachable_share': type_double(),
    'upside': type_unit_money_total(),
    'treatment_cost': type_unit_money_total(),
    'expected_return': type_unit_money_total(),
    'return_rank': 'integer',
} %}
{%- set upside_relation = ref('segment_upside') %}
{#- A unit test knows no `this` and gives the mart. -#}
{%- set has_upside = this is none or not execute or load_relation(upside_relation) is not none %}
{%- set quartiles = {'q1': 0.25, 'median': 0.5, 'q3': 0.75} %}
with

segments as (

    select
        segment_key,
        segment_scheme,
        segment_code,
        segment_name,
        action_priority,
        value_rank,
        display_order
    from {{ ref('policy_segments') }}
    where segment_scheme = {{ text_literal(var('segment_scheme')) }}

),

customers as (

    select
        segment_key,
        order_count as orders,
        net_revenue as revenue,
        case when is_scored then days_since_last_order end as days_since_last_order,
        case when is_scored then order_count end as order_count,
        case when is_scored then net_revenue end as net_revenue
    from {{ ref('customer_segments') }}

),

current_dates as (

    select as_of_date
    from {{ ref('int_as_of_dates') }}
    where is_current

),

base as (

    select
        count(*) as customer_count,
        sum(revenue) as net_revenue
    from customers

),

totals as (

    select
        segment_key,
        {% for measure, kind in measures.items() %}
        min({{ measure }}) as {{ measure }}_min,
        {% for name, share in quartiles.items() %}
        {% if kind == 'money' -%}
        {{ money_quantile(share, measure) }} as {{ measure }}_{{ name }},
        {%- else -%}
        percentile_cont({{ share }}) within group (
            order by {{ measure }}
        ) as {{ measure }}_{{ name }},
        {%- endif %}
        {% endfor %}
        {% if kind == 'money' -%}
        {{ money_per('sum(' ~ measure ~ ')', 'count(' ~ measure ~ ')') }} as {{ measure }}_mean,
        {%- else -%}
        -- Not avg(): it divides decimals on one engine and floating point on the other.
        cast(sum({{ measure }}) as {{ type_double() }})
        / nullif(count({{ measure }}), 0) as {{ measure }}_mean,
        {%- endif %}
        max({{ measure }}) as {{ measure }}_max,
        {% endfor %}
        count(*) as customer_count,
        sum(orders) as order_count,
        sum(revenue) as net_revenue
    from customers
    group by segment_key

),

upside as (

    {% if has_upside -%}
    select
        segment_key,
        as_of_date,
        {{ upside_columns | join(',\n        ') }}
    from {{ upside_relation }}
    {%- else -%}
    select
        cast(null as {{ dbt.type_string() }}) as segment_key,
        cast(null as date) as as_of_date,
        {% for column, type in upside_columns.items() %}
        cast(null as {{ type }}) as {{ column }}{% if not loop.last %},{% endif %}
        {% endfor %}
    {%- endif %}

)

select
    segments.segment_key,
    current_dates.as_of_date,
    segments.segment_scheme,
    segments.segment_code,
    segments.segment_name,
    segments.action_priority,
    segments.value_rank,
    segments.display_order,
    cast(coalesce(totals.customer_count, 0) as integer) as customer_count,
    cast(coalesce(totals.customer_count, 0) as {{ type_double() }})
    / nullif(base.customer_count, 0) as customer_share,
    cast(coalesce(totals.order_count, 0) as bigint) as order_count,
    cast(coalesce(totals.net_revenue, 0) as {{ type_money_total() }}) as net_revenue,
    cast(coalesce(totals.net_revenue, 0) as {{ type_double() }})
    / nullif(cast(base.net_revenue as {{ type_double() }}), 0) as net_revenue_share,
    {{ money_per('totals.net_revenue', 'totals.order_count') }} as average_order_value,
    {% for measure, kind in measures.items() %}
    {%- set value_type = type_money() if kind == 'money' else 'integer' %}
    {%- set average_type = type_money() if kind == 'money' else type_double() %}
    cast(totals.{{ measure }}_min as {{ value_type }}) as {{ measure }}_min,
    cast(totals.{{ measure }}_q1 as {{ average_type }}) as {{ measure }}_q1,
    cast(totals.{{ measure }}_median as {{ average_type }}) as {{ measure }}_median,
    cast(totals.{{ measure }}_mean as {{ average_type }}) as {{ measure }}_mean,
    cast(totals.{{ measure }}_q3 as {{ average_type }}) as {{ measure }}_q3,
    cast(totals.{{ measure }}_max as {{ value_type }}) as {{ measure }}_max
    {%- if not loop.last %},{% endif %}
    {% endfor %},
    {% for column in upside_columns %}
    upside.{{ column }}{% if not loop.last %},{% endif %}
    {% endfor %}
from segments
cross join base
left join current_dates
    on 1 = 1
left join totals
    on segments.segment_key = totals.segment_key
-- By date too: an older segment_upside is none of the current date.
left join upside
    on
        segments.segment_key = upside.segment_key
        and current_dates.as_of_date = upside.as_of_date
