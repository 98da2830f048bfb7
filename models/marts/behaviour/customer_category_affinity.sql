-- Grain: one row per (customer_id, affinity_type, affinity_rank): the three categories and the
-- three products that a customer spent most on, at the current as-of date.
{{ config(
    indexes=[{'columns': ['customer_id', 'affinity_type', 'affinity_rank'], 'unique': true}]
        if target.type == 'postgres' else []
) }}
{%- set kinds = {
    'category': ['int_customer_categories', 'category'],
    'product': ['int_customer_products', 'product_id'],
} %}
with

current_dates as (

    select as_of_date
    from {{ ref('int_as_of_dates') }}
    where is_current

),

spends as (

    {% for kind, source in kinds.items() %}
    select
        spends.as_of_date,
        spends.customer_id,
        '{{ kind }}' as affinity_type,
        spends.spend_rank,
        spends.{{ source[1] }} as item,
        spends.spend_amount,
        spends.spend_share
    from {{ ref(source[0]) }} as spends
    inner join current_dates
        on spends.as_of_date = current_dates.as_of_date
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

-- Sums are in cents and divided once: the same share on every engine.
item_totals as (

    select
        affinity_type,
        item,
        sum(spend_amount) as item_amount
    from spends
    group by affinity_type, item

),

base_shares as (

    select
        affinity_type,
        item,
        cast(item_amount as {{ type_double() }})
        / cast(
            sum(item_amount) over (partition by affinity_type) as {{ type_double() }}
        ) as base_share
    from item_totals

),

top_spends as (

    select *
    from spends
    where spend_rank <= 3

),

orders as (

    select
        as_of_date,
        customer_id,
        order_count
    from {{ ref('int_customer_behaviour') }}

),

products as (

    select
        product_id,
        product_name,
        'product' as affinity_type
    from {{ ref('stg_products') }}

)

select
    top_spends.as_of_date,
    top_spends.customer_id,
    top_spends.affinity_type,
    top_spends.spend_rank as affinity_rank,
    top_spends.item,
    case
        when top_spends.affinity_type = 'category' then top_spends.item
        else products.product_name
    end as item_name,
    top_spends.spend_amount,
    top_spends.spend_share,
    base_shares.base_share,
    (
        orders.order_count * top_spends.spend_share / base_shares.base_share
        + thresholds.affinity_prior_orders
    )
    / (orders.order_count + thresholds.affinity_prior_orders) as affinity_index
from top_spends
inner join base_shares
    on
        top_spends.affinity_type = base_shares.affinity_type
        and top_spends.item = base_shares.item
inner join orders
    on
        top_spends.as_of_date = orders.as_of_date
        and top_spends.customer_id = orders.customer_id
cross join {{ ref('policy_behaviour_thresholds') }} as thresholds
left join products
    on
        top_spends.affinity_type = products.affinity_type
        and top_spends.item = products.product_id
