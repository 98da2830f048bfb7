-- Grain: one row per (customer_id, product_id, channel, sale_date) of the sales that name a product
-- or a channel.
-- What was bought and where, as far as lines are needed for it: one pass over the sales.
with

sales as (

    select
        customer_id,
        product_id,
        channel,
        net_revenue,
        is_return,
        sale_date
    from {{ ref('stg_sales') }}
    where product_id is not null or channel is not null

)

select
    customer_id,
    product_id,
    channel,
    cast(count(case when not is_return then 1 end) as integer) as sale_line_count,
    cast(sum(net_revenue) as {{ type_money() }}) as net_revenue,
    sale_date
from sales
group by customer_id, product_id, channel, sale_date
