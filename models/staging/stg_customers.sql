-- Grain: one row per customer of the customers source.
select
    customer_id,
    country,
    score_group,
    created_date
from {{ ref('stg_customers_classified') }}
where rejection_reason is null
