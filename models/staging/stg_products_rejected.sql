-- Grain: one row per row of the products source that cannot be used, with the reason.
select
    product_id,
    product_name,
    category,
    margin_rate,
    rejection_reason
from {{ ref('stg_products_classified') }}
where rejection_reason is not null
