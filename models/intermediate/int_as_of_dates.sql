-- Grain: one row per as_of_date: the current one and the grid dates of the history.
-- The current date is the day after the last accepted sale, so the clock of the build is the data.
with

last_sale as (

    select max(sale_date) as last_sale_date
    from {{ ref('int_orders') }}

),

current_date_of_data as (

    select
        {% if var('as_of_date') is not none -%}
        {{ date_literal(var('as_of_date')) }} as as_of_date
        {%- else -%}
        cast({{ dbt.dateadd('day', 1, 'last_sale_date') }} as date) as as_of_date
        {%- endif %}
    from last_sale
    {%- if var('as_of_date') is none %}
    where last_sale_date is not null
    {%- endif %}

),

grid_dates as (

    {% for period in range(var('history_periods')) -%}
    select
        cast(
            {{ dbt.dateadd(var('history_grain'), -period, dbt.date_trunc(var('history_grain'), 'as_of_date')) }} as date
        ) as as_of_date
    from current_date_of_data
    union
    {% endfor -%}
    select as_of_date
    from current_date_of_data

)

select
    grid_dates.as_of_date,
    grid_dates.as_of_date = current_date_of_data.as_of_date as is_current
from grid_dates
cross join current_date_of_data
