-- The contract mart and customer_segments tell of the same scored customers with the same figures.
with

contract as (

    select
        customer_id,
        recency,
        frequency,
        monetary
    from {{ ref('customer_rfm') }}

),

scored as (

    select
        customer_id,
        days_since_last_order,
        order_count,
        net_revenue
    from {{ ref('customer_segments') }}
    where is_scored

)

select
    coalesce(contract.customer_id, scored.customer_id) as customer_id,
    contract.recency,
    scored.days_since_last_order,
    contract.frequency,
    scored.order_count,
    contract.monetary,
    scored.net_revenue
from contract
full outer join scored
    on contract.customer_id = scored.customer_id
where
    contract.customer_id is null
    or scored.customer_id is null
    or contract.recency <> scored.days_since_last_order
    or contract.frequency <> scored.order_count
    or contract.monetary <> scored.net_revenue
