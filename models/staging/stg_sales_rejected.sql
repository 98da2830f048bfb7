-- Grain: one row per row of the sales source that cannot be used, with the reason.
select
    sale_id,
    order_id,
    customer_id,
    product_id,
    revenue_text,
    sale_date_text,
    revenue,
    sale_date,
    rejection_reason
from {{ ref('stg_sales_classified') }}
where not is_accepted
