-- Grain: one row per (customer_id, order_date): the days on which a customer ordered.
-- The earlier dates are those before this one, so the latest row before an as-of date knows them as
-- of that date. They only grow with the date: a maximum finds them.
with

order_days as (

    select
        customer_id,
        sale_date as order_date,
        sum(order_count) as order_count
    from {{ ref('int_orders') }}
    where order_count > 0
    group by customer_id, sale_date

)

select
    customer_id,
    cast(order_count as integer) as order_count,
    order_date,
    lag(order_date, 1) over (partition by customer_id order by order_date) as previous_order_date,
    lag(order_date, 2) over (partition by customer_id order by order_date) as third_last_order_date
from order_days
