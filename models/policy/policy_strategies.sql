-- Grain: one row per row of strategy_policy.csv, typed.
with

strategies as (

    {{ policy_seed('strategy_policy') }}

)

select
    csv_row,
    {{ dbt.concat(['segment_scheme', "':'", 'segment_code']) }} as segment_key,
    segment_scheme,
    segment_code,
    strategy_code,
    objective,
    core_message,
    incentive_type,
    {{ policy_number('incentive_depth_pct') }} as incentive_depth_pct,
    primary_channel,
    secondary_channel,
    {{ policy_integer('contact_cadence_days') }} as contact_cadence_days,
    {{ policy_boolean('is_high_touch') }} as is_high_touch,
    {{ policy_boolean('is_suppressed') }} as is_suppressed,
    suppression_reason,
    {{ policy_number('expected_save_rate') }} as expected_save_rate,
    {{ policy_integer('review_cadence_days') }} as review_cadence_days,
    kpi,
    rationale
from strategies
