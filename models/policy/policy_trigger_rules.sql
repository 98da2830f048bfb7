-- Grain: one row per row of trigger_rules.csv, typed.
with

rules as (

    {{ policy_seed('trigger_rules') }}

)

select
    csv_row,
    segment_scheme,
    {{ bytewise('trigger_code') }} as trigger_code,
    from_segment,
    to_segment,
    from_stage,
    to_stage,
    from_flag,
    to_flag,
    coalesce({{ policy_integer('minimum_days_before') }}, 0) as minimum_days_before,
    {{ policy_integer('reentry_wait_days') }} as reentry_wait_days,
    {{ policy_integer('priority') }} as priority,
    {{ policy_date('valid_from') }} as valid_from,
    {{ policy_date('valid_to') }} as valid_to,
    rationale
from rules
