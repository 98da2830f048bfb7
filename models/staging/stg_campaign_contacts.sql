-- Grain: one row per accepted campaign contact.
select
    contact_id,
    campaign_id,
    customer_id,
    channel,
    contact_cost,
    incentive_cost,
    contact_date
from {{ ref('stg_campaign_contacts_classified') }}
where rejection_reason is null
