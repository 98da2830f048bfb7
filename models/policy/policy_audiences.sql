-- Grain: one row per row of audience_definitions.csv, typed.
with

audiences as (

    {{ policy_seed('audience_definitions') }}

)

select
    csv_row,
    segment_scheme,
    {{ bytewise('audience_code') }} as audience_code,
    audience_name,
    segment_code,
    lifecycle_stage,
    flag,
    {{ lower_text('category') }} as category,
    {{ policy_number('affinity_index_min') }} as affinity_index_min,
    trigger_code,
    {{ policy_integer('trigger_days') }} as trigger_days,
    channel,
    {{ policy_boolean('needs_consent') }} as needs_consent,
    {{ policy_integer('priority') }} as priority,
    {{ policy_integer('max_contacts') }} as max_contacts,
    {{ policy_integer('contact_window_days') }} as contact_window_days,
    {{ policy_integer('expires_after_days') }} as expires_after_days,
    {{ policy_date('valid_from') }} as valid_from,
    {{ policy_date('valid_to') }} as valid_to,
    rationale
from audiences
