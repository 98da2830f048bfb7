-- Grain: one row per accepted engagement event.
select
    event_id,
    customer_id,
    event_type,
    channel,
    event_value,
    event_date,
    loaded_at
from {{ ref('stg_engagement_events_classified') }}
where rejection_reason is null
