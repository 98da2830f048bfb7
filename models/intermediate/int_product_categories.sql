-- Grain: one row per product with a category that is not in excluded_categories.csv.
with

products as (

    select
        product_id,
        category,
        {{ lower_text('category') }} as category_key
    from {{ ref('stg_products') }}
    where category is not null

)

select
    products.product_id,
    products.category
from products
left join {{ ref('policy_excluded_categories') }} as excluded
    on products.category_key = excluded.category
where excluded.category is null
