-- The spend of every listed category and product, added up again from the accepted sales, and no
-- larger one left out.
with

current_sales as (

    select
        sales.customer_id,
        sales.product_id,
        sales.net_revenue
    from {{ ref('stg_sales') }} as sales
    inner join {{ ref('int_as_of_dates') }} as as_of_dates
        on sales.sale_date < as_of_dates.as_of_date
    where as_of_dates.is_current and sales.product_id is not null

),

sold as (

    select
        current_sales.customer_id,
        'category' as affinity_type,
        products.category as item,
        sum(current_sales.net_revenue) as spend_amount
    from current_sales
    inner join {{ ref('int_product_categories') }} as products
        on current_sales.product_id = products.product_id
    group by current_sales.customer_id, products.category
    union all
    select
        customer_id,
        'product' as affinity_type,
        product_id as item,
        sum(net_revenue) as spend_amount
    from current_sales
    group by customer_id, product_id

),

listed as (

    select
        customer_id,
        affinity_type,
        item,
        spend_amount,
        min(spend_amount) over (partition by customer_id, affinity_type) as least_amount,
        count(*) over (partition by customer_id, affinity_type) as item_count
    from {{ ref('customer_category_affinity') }}

)

select
    coalesce(sold.customer_id, listed.customer_id) as customer_id,
    coalesce(sold.affinity_type, listed.affinity_type) as affinity_type,
    coalesce(sold.item, listed.item) as item,
    sold.spend_amount as sold_amount,
    listed.spend_amount as listed_amount
from sold
full outer join listed
    on
        sold.customer_id = listed.customer_id
        and sold.affinity_type = listed.affinity_type
        and sold.item = listed.item
left join listed as least_listed
    on
        sold.customer_id = least_listed.customer_id
        and sold.affinity_type = least_listed.affinity_type
        and least_listed.spend_amount = least_listed.least_amount
where
    listed.spend_amount <> sold.spend_amount
    or (listed.item is not null and sold.item is null)
    or (
        listed.item is null
        and sold.spend_amount > 0
        and (
            least_listed.item is null
            or least_listed.item_count < 3
            or sold.spend_amount > least_listed.least_amount
        )
    )
