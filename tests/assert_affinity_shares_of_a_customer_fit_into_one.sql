-- The shares of the listed categories (products) are parts of one whole.
with

share_totals as (

    select
        customer_id,
        affinity_type,
        sum(spend_share) as share_total
    from {{ ref('customer_category_affinity') }}
    group by customer_id, affinity_type

)

select
    customer_id,
    affinity_type,
    share_total
from share_totals
where share_total > 1 + 1e-9 or share_total <= 0
