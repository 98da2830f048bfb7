-- Grain: one row per row of the engagement events source that cannot be used, with the reason.
select
    event_id,
    customer_id,
    event_type,
    event_at_text,
    event_value_text,
    event_date,
    rejection_reason
from {{ ref('stg_engagement_events_classified') }}
where rejection_reason is not null
