-- Grain: one row per as_of_date: the current one and the grid dates of the history.
-- The current date is the day after the last accepted sale, so the clock of the build is the data.
{%- set given_date = var('as_of_date') %}
{%- set grain = var('history_grain') %}
{#- PostgreSQL has no interval of a quarter. #}
{%- set step = {'quarter': ['month', 3]}.get(grain, [grain, 1]) %}
with

last_sale as (

    select max(sale_date) as last_sale_date
    from {{ ref('int_orders') }}

),

current_date_of_data as (

    {% if given_date is not none %}
    select {{ date_literal(given_date) }} as as_of_date
    from last_sale
    {% else %}
    select cast({{ dbt.dateadd('day', 1, 'last_sale_date') | trim }} as date) as as_of_date
    from last_sale
    where last_sale_date is not null
    {% endif %}

),

grid_dates as (

    {% for period in range(var('history_periods') | int) %}
    {%- set grid_date = dbt.dateadd(
        step[0], -period * step[1], dbt.date_trunc(grain, 'as_of_date')
    ) | trim %}
    select cast({{ grid_date }} as date) as as_of_date
    from current_date_of_data
    union
    {% endfor %}
    select as_of_date
    from current_date_of_data

)

select
    grid_dates.as_of_date,
    grid_dates.as_of_date = current_date_of_data.as_of_date as is_current
from grid_dates
cross join current_date_of_data
