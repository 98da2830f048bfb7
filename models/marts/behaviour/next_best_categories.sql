-- Grain: one row per (segment_key, top_category, category): what customers of a segment with the
-- same top category also buy.
-- Categories that hardly anybody of the group buys are left out: the lift of two buyers says
-- nothing.
with

customers as (

    select
        segment_key,
        customer_id,
        top_category
    from {{ ref('customer_segments') }}
    where top_category is not null

),

categories as (

    select
        categories.customer_id,
        categories.category
    from {{ ref('int_customer_categories') }} as categories
    inner join {{ ref('int_as_of_dates') }} as as_of_dates
        on categories.as_of_date = as_of_dates.as_of_date
    where as_of_dates.is_current

),

base as (

    select count(*) as customer_count
    from customers

),

category_buyers as (

    select
        category,
        count(*) as buyer_count
    from categories
    group by category

),

peer_groups as (

    select
        segment_key,
        top_category,
        count(*) as customer_count
    from customers
    group by segment_key, top_category

),

peer_buyers as (

    select
        customers.segment_key,
        customers.top_category,
        categories.category,
        count(*) as buyer_count
    from customers
    inner join categories
        on customers.customer_id = categories.customer_id
    where customers.top_category <> categories.category
    group by customers.segment_key, customers.top_category, categories.category

),

shares as (

    select
        peer_buyers.segment_key,
        peer_buyers.top_category,
        peer_buyers.category,
        peer_groups.customer_count,
        peer_buyers.buyer_count,
        cast(peer_buyers.buyer_count as {{ type_double() }})
        / peer_groups.customer_count as buyer_share,
        cast(category_buyers.buyer_count as {{ type_double() }})
        / base.customer_count as base_share
    from peer_buyers
    inner join peer_groups
        on
            peer_buyers.segment_key = peer_groups.segment_key
            and peer_buyers.top_category = peer_groups.top_category
    inner join category_buyers
        on peer_buyers.category = category_buyers.category
    cross join base

)

select
    shares.segment_key,
    shares.top_category,
    shares.category,
    cast(shares.customer_count as integer) as customer_count,
    cast(shares.buyer_count as integer) as buyer_count,
    shares.buyer_share,
    shares.base_share,
    shares.buyer_share / shares.base_share as lift
from shares
cross join {{ ref('policy_behaviour_thresholds') }} as thresholds
where
    shares.buyer_count >= thresholds.next_best_min_buyers
    and shares.buyer_share >= thresholds.next_best_min_share
