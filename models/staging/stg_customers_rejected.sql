-- Grain: one row per row of the customers source that cannot be used, with the reason.
select
    customer_id,
    country,
    score_group,
    created_date,
    rejection_reason
from {{ ref('stg_customers_classified') }}
where rejection_reason is not null
