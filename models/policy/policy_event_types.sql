-- Grain: one row per row of engagement_event_types.csv, typed.
with

event_types as (

    {{ policy_seed('engagement_event_types') }}

)

select
    csv_row,
    {{ lower_text('event_type') }} as event_type,
    event_family,
    {{ policy_number('weight') }} as weight,
    channel_effect,
    rationale
from event_types
