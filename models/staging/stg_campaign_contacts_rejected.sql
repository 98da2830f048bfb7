-- Grain: one row per row of the campaign contacts source that cannot be used, with the reason.
select
    contact_id,
    campaign_id,
    customer_id,
    contacted_at_text,
    contact_cost_text,
    incentive_cost_text,
    contact_date,
    rejection_reason
from {{ ref('stg_campaign_contacts_classified') }}
where rejection_reason is not null
