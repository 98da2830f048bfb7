-- Grain: one row per (customer_id, order_id, sale_date): an order and what was added to it or
-- returned, by day. Rows without order id share one row per customer and day (order_id null); each
-- sale among them is its own order. By day and not by order, since a date only knows what was dated
-- before it: an order counts on the day of its earliest sale (`order_count`), its later lines and
-- returns on their own days.
{%- set discounted_lines = 'count(case when is_sale and discount_amount <> 0 then 1 end)'
    if sales_have_discounts() else '0' %}
{%- set enough = '>=' if var('count_zero_value_orders') else '>' %}
with

sales as (

    select
        customer_id,
        order_id,
        net_revenue,
        discount_amount,
        is_return,
        sale_date,
        not is_return and revenue {{ enough }} 0 as is_sale
    from {{ ref('stg_sales') }}

),

order_days as (

    select
        customer_id,
        order_id,
        sale_date,
        count(case when is_sale then 1 end) as sale_line_count,
        {{ discounted_lines }} as discounted_line_count,
        sum(net_revenue) as net_revenue,
        coalesce(-sum(case when is_return then net_revenue end), 0) as return_amount,
        sum(case when not is_return then abs(discount_amount) end) as discount_amount,
        max(case when order_id is null and not is_return then net_revenue end)
            as largest_line_amount
    from sales
    group by customer_id, order_id, sale_date

),

-- Few orders spread over several days: found by an aggregate and joined, which is faster than a
-- window over every order. Without any order ids there are none.
several_days as (

    select
        customer_id,
        order_id,
        min(case when sale_line_count > 0 then sale_date end) as order_date
    from order_days
    where {{ 'order_id is not null' if sales_have_order_ids() else '1 = 0' }}
    group by customer_id, order_id
    having count(*) > 1

),

counted_days as (

    select
        order_days.customer_id,
        order_days.order_id,
        case
            when order_days.order_id is null then order_days.sale_line_count
            when several_days.order_id is null and order_days.sale_line_count > 0 then 1
            when order_days.sale_date = several_days.order_date then 1
            else 0
        end as order_count,
        order_days.discounted_line_count,
        order_days.return_amount,
        order_days.net_revenue,
        order_days.discount_amount,
        order_days.largest_line_amount,
        several_days.order_id is not null as is_on_several_days,
        order_days.sale_date
    from order_days
    left join several_days
        on
            order_days.customer_id = several_days.customer_id
            and order_days.order_id = several_days.order_id

)

select
    customer_id,
    order_id,
    cast(order_count as integer) as order_count,
    cast(
        case
            when order_id is null then discounted_line_count
            when discount_amount > 0 then order_count
            else 0
        end as integer
    ) as discounted_order_count,
    cast(net_revenue + return_amount as {{ type_money() }}) as sales_amount,
    cast(return_amount as {{ type_money() }}) as return_amount,
    cast(net_revenue as {{ type_money() }}) as net_revenue,
    cast(discount_amount as {{ type_money() }}) as discount_amount,
    cast(
        case
            when order_id is null then coalesce(largest_line_amount, 0)
            else net_revenue + return_amount
        end as {{ type_money() }}
    ) as largest_order_amount,
    is_on_several_days,
    sale_date
from counted_days
