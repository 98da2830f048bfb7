-- Grain: one row per row of what_if_policy.csv, typed.
with

overrides as (

    {{ policy_seed('what_if_policy') }}

)

select
    csv_row,
    {{ dbt.concat(['segment_scheme', "':'", 'segment_code']) }} as segment_key,
    segment_scheme,
    segment_code,
    {{ policy_number('expected_save_rate') }} as expected_save_rate,
    {{ policy_number('incentive_depth_pct') }} as incentive_depth_pct,
    primary_channel,
    rationale
from overrides
