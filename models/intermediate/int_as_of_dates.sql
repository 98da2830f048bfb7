-- Grain: one row per as_of_date: the current one and the grid dates of the history.
-- A date is complete when the data have reached it; until then it stays to be computed.
-- A reopened date (the var reopen_periods) is computed again although it is finished, so that late
-- rows get in.
-- The current date is the day after the last accepted sale, so the clock of the build is the data.
{{ config(post_hook='{{ open_again() }}') }}
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
    select
        {{ date_literal(given_date) }} as as_of_date,
        last_sale_date
    from last_sale
    {% else %}
    select
        cast({{ dbt.dateadd('day', 1, 'last_sale_date') | trim }} as date) as as_of_date,
        last_sale_date
    from last_sale
    where last_sale_date is not null
    {% endif %}

),

dates as (

    {% for period in range(var('history_periods') | int) %}
    {%- set grid_date = dbt.dateadd(
        step[0], -period * step[1], dbt.date_trunc(grain, 'as_of_date')
    ) | trim %}
    select
        cast({{ grid_date }} as date) as as_of_date,
        1 as is_grid,
        {{ 1 if period < var('reopen_periods') | int else 0 }} as is_reopened
    from current_date_of_data
    union all
    {% endfor %}
    select
        as_of_date,
        0 as is_grid,
        0 as is_reopened
    from current_date_of_data

),

distinct_dates as (

    select
        as_of_date,
        max(is_grid) as is_grid,
        max(is_reopened) as is_reopened
    from dates
    group by as_of_date

)

select
    distinct_dates.as_of_date,
    distinct_dates.as_of_date = current_date_of_data.as_of_date as is_current,
    distinct_dates.is_grid = 1 as is_grid,
    distinct_dates.is_reopened = 1 as is_reopened,
    coalesce(
        distinct_dates.as_of_date
        <= {{ dbt.dateadd('day', 1, 'current_date_of_data.last_sale_date') | trim }},
        false
    ) as is_complete
from distinct_dates
cross join current_date_of_data
