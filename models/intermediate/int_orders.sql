-- Grain: one row per (customer_id, order_id, sale_date): an order and what was added to it or
-- returned, by day. Rows without order id share one row per customer and day (order_id null); each
-- sale among them is its own order. By day and not by order, since a date only knows what was dated
-- before it: an order counts on the day of its earliest sale (`order_count`), its later lines and
-- returns on their own days.
{%- set has_order_ids = sales_have_order_ids() %}
{%- set enough = '>=' if var('count_zero_value_orders') else '>' %}
with

sales as (

    select
        customer_id,
        order_id,
        net_revenue,
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
        sum(net_revenue) as net_revenue,
        coalesce(-sum(case when is_return then net_revenue end), 0) as return_amount
    from sales
    group by customer_id, order_id, sale_date

),

order_starts as (

    select
        *,
        {% if has_order_ids -%}
        case
            when order_id is null then sale_line_count
            when
                sale_date = min(case when sale_line_count > 0 then sale_date end)
                    over (partition by customer_id, order_id)
                then 1
            else 0
        end as order_count
        {%- else -%}
        -- Without any order ids there is no order that could spread over several days.
        sale_line_count as order_count
        {%- endif %}
    from order_days

)

select
    customer_id,
    order_id,
    cast(order_count as integer) as order_count,
    cast(net_revenue + return_amount as {{ type_money() }}) as sales_amount,
    cast(return_amount as {{ type_money() }}) as return_amount,
    cast(net_revenue as {{ type_money() }}) as net_revenue,
    sale_date
from order_starts
