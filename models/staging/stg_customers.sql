-- Grain: one row per customer of the customers source.
select
    customer_id,
    country,
    score_group,
    email_sha256,
    phone_sha256,
    is_internal,
    email_consent,
    sms_consent,
    ads_consent,
    created_date
from {{ ref('stg_customers_classified') }}
where rejection_reason is null
