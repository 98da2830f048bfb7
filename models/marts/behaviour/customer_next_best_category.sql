-- Grain: one row per customer for whom there is a category worth proposing, at the current as-of
-- date: of the categories that they never bought, nor sent back, the one that customers like them
-- buy most above the base.
{{ config(
    indexes=[{'columns': ['customer_id'], 'unique': true}] if target.type == 'postgres' else []
) }}
with

customers as (

    select
        customer_id,
        as_of_date,
        segment_key,
        top_category
    from {{ ref('customer_segments') }}
    where top_category is not null

),

bought as (

    select distinct
        item_days.customer_id,
        products.category
    from {{ ref('int_item_days') }} as item_days
    inner join {{ ref('int_product_categories') }} as products
        on item_days.product_id = products.product_id
    inner join {{ ref('int_as_of_dates') }} as as_of_dates
        on item_days.sale_date < as_of_dates.as_of_date
    where as_of_dates.is_current

),

proposals as (

    select
        customers.customer_id,
        customers.as_of_date,
        customers.segment_key,
        customers.top_category,
        next_best.category,
        next_best.buyer_share,
        next_best.lift,
        row_number() over (
            partition by customers.customer_id
            order by
                {{ rounded_ratio('next_best.lift', '1') }} desc,
                {{ rounded_ratio('next_best.buyer_share', '1') }} desc,
                {{ bytewise('next_best.category') }} asc
        ) as proposal_rank
    from customers
    inner join {{ ref('next_best_categories') }} as next_best
        on
            customers.segment_key = next_best.segment_key
            and customers.top_category = next_best.top_category
    left join bought
        on
            customers.customer_id = bought.customer_id
            and next_best.category = bought.category
    where bought.category is null and next_best.lift > 1

)

select
    customer_id,
    as_of_date,
    segment_key,
    top_category,
    category as next_category,
    buyer_share,
    lift
from proposals
where proposal_rank = 1
