-- Grain: one row per (scope, horizon_code, dimension, segment_scheme, level): what the customers of
-- a level did within the window. Scope: a finished date, or all of them pooled.
{%- set measures = [
    'customer_count', 'retained_count', 'order_count', 'net_revenue', 'revenue_rank_sum',
] %}
{%- set string = dbt.type_string() %}
with

by_date as (

    {{ cells_by_level(['as_of_date', 'horizon_code'], measures) }}

),

scoped as (

    select
        cast(by_date.as_of_date as {{ string }}) as scope,
        by_date.*
    from by_date
    union all
    select
        'pooled' as scope,
        cast(null as date) as as_of_date,
        horizon_code,
        dimension,
        segment_scheme,
        level,
        level_rank,
        {% for measure in measures %}
        sum({{ measure }}) as {{ measure }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from by_date
    group by horizon_code, dimension, segment_scheme, level, level_rank

)

select
    scope,
    as_of_date,
    horizon_code,
    dimension,
    segment_scheme,
    level,
    level_rank,
    cast(customer_count as bigint) as customer_count,
    cast(retained_count as bigint) as retained_count,
    cast(order_count as bigint) as order_count,
    cast(net_revenue as {{ type_money_total() }}) as net_revenue,
    cast(revenue_rank_sum as numeric(28, 1)) as revenue_rank_sum
from scoped
