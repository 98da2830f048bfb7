-- Grain: one row per accepted engagement event.
select
    event_id,
    customer_id,
    event_type,
    channel,
    event_value,
    event_date,
    {{ plausible_load_time('loaded_at') }} as loaded_at
from {{ ref('stg_engagement_events_classified') }}
where rejection_reason is null
