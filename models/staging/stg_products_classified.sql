-- Grain: one row per row of the products source, with the reason why it cannot be used
-- (null = accepted).
with

products as (

    select
        product_id,
        product_name,
        category,
        margin_rate,
        row_number() over (
            partition by product_id
            order by
                product_name nulls last,
                category nulls last,
                margin_rate nulls last
        ) as occurrence
    from {{ ref('base_products') }}

)

select
    product_id,
    product_name,
    category,
    margin_rate,
    case
        when product_id is null then 'missing_product_id'
        when occurrence > 1 then 'repeated_product_id'
    end as rejection_reason
from products
