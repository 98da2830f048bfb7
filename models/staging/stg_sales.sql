-- Grain: one row per accepted sale line.
-- `net_revenue` carries the sign: a return lowers revenue by its absolute amount, however the
-- source writes it.
with

sales as (

    select
        sale_id,
        order_id,
        customer_id,
        product_id,
        channel,
        score_group,
        quantity,
        revenue,
        discount_amount,
        is_return or revenue < 0 as is_return,
        sale_date,
        loaded_at
    from {{ ref('stg_sales_classified') }}
    where is_accepted

)

select
    sale_id,
    order_id,
    customer_id,
    product_id,
    channel,
    score_group,
    quantity,
    revenue,
    case when is_return then -abs(revenue) else revenue end as net_revenue,
    discount_amount,
    is_return,
    sale_date,
    {{ plausible_load_time('loaded_at') }} as loaded_at
from sales
