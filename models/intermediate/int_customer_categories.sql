-- Grain: one row per (as_of_date, customer_id, category) with spend above 0 before the date.
{{ config(**sliced()) }}
with

as_of_dates as (

    {{ due_dates() }}

),

item_days as (

    select
        as_of_dates.as_of_date,
        item_days.customer_id,
        products.category,
        item_days.net_revenue
    from {{ ref('int_item_days') }} as item_days
    inner join {{ ref('int_product_categories') }} as products
        on item_days.product_id = products.product_id
    inner join as_of_dates
        on item_days.sale_date < as_of_dates.as_of_date

),

category_totals as (

    select
        as_of_date,
        customer_id,
        category,
        sum(net_revenue) as spend_amount
    from item_days
    group by as_of_date, customer_id, category
    having sum(net_revenue) > 0

)

select
    as_of_date,
    customer_id,
    category,
    cast(spend_amount as {{ type_money() }}) as spend_amount,
    cast(spend_amount as {{ type_double() }})
    / cast(
        sum(spend_amount) over (partition by as_of_date, customer_id) as {{ type_double() }}
    ) as spend_share,
    cast(
        row_number() over (
            partition by as_of_date, customer_id
            order by spend_amount desc, {{ bytewise('category') }} asc
        ) as integer
    ) as spend_rank
from category_totals
