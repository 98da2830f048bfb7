-- Grain: one row per (customer_id, order_id, sale_date): an order and what was added to it or returned, by day.
-- Rows without order id share one row per customer and day (order_id null); each sale among them is its own order.
-- By day and not by order, since a date only knows what was dated before it: an order counts on the day of its
-- earliest sale (`order_count`), its later lines and returns on their own days.
{%- set has_order_ids = sales_have_order_ids() %}
with

sales as (

    select
        customer_id,
        order_id,
        net_revenue,
        not is_return and revenue {{ '>=' if var('count_zero_value_orders') else '>' }} 0 as is_sale,
        is_return,
        sale_date
    from {{ ref('stg_sales') }}

),

order_days as (

    select
        customer_id,
        order_id,
        sale_date,
        sum(case when is_sale then 1 else 0 end) as sale_line_count,
        sum(case when is_return then 0 else net_revenue end) as sales_amount,
        sum(case when is_return then -net_revenue else 0 end) as return_amount
    from sales
    group by customer_id, order_id, sale_date

)

{%- if has_order_ids %}
,

order_starts as (

    select
        *,
        min(case when sale_line_count > 0 then sale_date end)
            over (partition by customer_id, order_id) as order_date
    from order_days

)
{%- endif %}

select
    customer_id,
    order_id,
    {% if has_order_ids -%}
    cast(case
        when order_id is null then sale_line_count
        when sale_date = order_date then 1
        else 0
    end as integer) as order_count,
    {%- else -%}
    -- The source has no order ids, so there is no order that could spread over several days.
    cast(sale_line_count as integer) as order_count,
    {%- endif %}
    cast(sales_amount as {{ type_money() }}) as sales_amount,
    cast(return_amount as {{ type_money() }}) as return_amount,
    cast(sales_amount - return_amount as {{ type_money() }}) as net_revenue,
    sale_date
from {{ 'order_starts' if has_order_ids else 'order_days' }}
