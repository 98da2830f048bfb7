-- Grain: one row per product of the products source.
select
    product_id,
    product_name,
    category,
    margin_rate
from {{ ref('stg_products_classified') }}
where rejection_reason is null
