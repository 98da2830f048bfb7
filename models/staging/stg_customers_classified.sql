-- Grain: one row per row of the customers source, with the reason why it cannot be used
-- (null = accepted).
with

customers as (

    select
        customer_id,
        created_at as created_date,
        country,
        score_group,
        row_number() over (
            partition by customer_id
            order by
                created_at nulls last,
                country nulls last,
                score_group nulls last
        ) as occurrence
    from {{ ref('base_customers') }}

)

select
    customer_id,
    created_date,
    country,
    score_group,
    case
        when customer_id is null then 'missing_customer_id'
        when occurrence > 1 then 'repeated_customer_id'
    end as rejection_reason
from customers
