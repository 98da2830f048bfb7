-- Grain: one row per (as_of_date, customer_id), customers who ever ordered before the date.
-- A customer's gaps add up to the days from the first to the last order date, so their mean needs
-- no list of them.
{{ config(**sliced()) }}
{%- set days_between = dbt.datediff(
    'customer_dates.first_order_date', 'customer_dates.last_order_date', 'day'
) | trim %}
with

as_of_dates as (

    {{ due_dates() }}

),

customer_dates as (

    select
        as_of_dates.as_of_date,
        order_dates.customer_id,
        count(*) as order_date_count,
        min(order_dates.order_date) as first_order_date,
        max(order_dates.order_date) as last_order_date,
        max(order_dates.previous_order_date) as previous_order_date,
        max(order_dates.third_last_order_date) as third_last_order_date
    from {{ ref('int_order_dates') }} as order_dates
    inner join as_of_dates
        on order_dates.order_date < as_of_dates.as_of_date
    group by as_of_dates.as_of_date, order_dates.customer_id

)

select
    customer_dates.as_of_date,
    customer_dates.customer_id,
    metrics.score_group,
    cast(customer_dates.order_date_count as integer) as order_date_count,
    cast({{ days_between }} as {{ type_double() }})
    / nullif(customer_dates.order_date_count - 1, 0) as own_gap_days,
    customer_dates.first_order_date,
    customer_dates.last_order_date,
    customer_dates.previous_order_date,
    customer_dates.third_last_order_date
from customer_dates
inner join {{ ref('int_customer_metrics') }} as metrics
    on
        customer_dates.as_of_date = metrics.as_of_date
        and customer_dates.customer_id = metrics.customer_id
