-- Grain: one row per (segment_key, top_category, category): what customers of a segment with the
-- same top category also buy.
-- Compared within the segment, since the best customers buy more of everything, and with those
-- whose top category is another one, since those who have it as theirs buy it by definition.
-- Categories that few of the group buy are left out, and the lift of a small group is pulled
-- towards 1.
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

segments as (

    select
        segment_key,
        count(*) as customer_count
    from customers
    group by segment_key

),

category_buyers as (

    select
        customers.segment_key,
        categories.category,
        count(*) as buyer_count
    from customers
    inner join categories
        on customers.customer_id = categories.customer_id
    group by customers.segment_key, categories.category

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

base_shares as (

    select
        category_buyers.segment_key,
        category_buyers.category,
        cast(
            category_buyers.buyer_count - coalesce(fans.customer_count, 0) as {{ type_double() }}
        )
        / nullif(segments.customer_count - coalesce(fans.customer_count, 0), 0) as base_share
    from category_buyers
    inner join segments
        on category_buyers.segment_key = segments.segment_key
    left join peer_groups as fans
        on
            category_buyers.segment_key = fans.segment_key
            and category_buyers.category = fans.top_category

)

select
    peer_buyers.segment_key,
    peer_buyers.top_category,
    peer_buyers.category,
    cast(peer_groups.customer_count as integer) as customer_count,
    cast(peer_buyers.buyer_count as integer) as buyer_count,
    cast(peer_buyers.buyer_count as {{ type_double() }})
    / peer_groups.customer_count as buyer_share,
    base_shares.base_share,
    (peer_buyers.buyer_count / base_shares.base_share + thresholds.next_best_prior_customers)
    / (peer_groups.customer_count + thresholds.next_best_prior_customers) as lift
from peer_buyers
inner join peer_groups
    on
        peer_buyers.segment_key = peer_groups.segment_key
        and peer_buyers.top_category = peer_groups.top_category
inner join base_shares
    on
        peer_buyers.segment_key = base_shares.segment_key
        and peer_buyers.category = base_shares.category
cross join {{ ref('policy_behaviour_thresholds') }} as thresholds
where
    peer_buyers.buyer_count >= thresholds.next_best_min_buyers
    and peer_buyers.buyer_count
    >= thresholds.next_best_min_share * peer_groups.customer_count
