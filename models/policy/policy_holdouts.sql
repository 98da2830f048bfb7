-- Grain: one row per row of holdout_policy.csv, typed.
with

experiments as (

    {{ policy_seed('holdout_policy') }}

)

select
    csv_row,
    {{ bytewise('experiment_code') }} as experiment_code,
    {{ bytewise('audience_code') }} as audience_code,
    segment_scheme,
    segment_code,
    case
        when segment_code is not null
            then {{ dbt.concat(['segment_scheme', "':'", 'segment_code']) }}
    end as segment_key,
    coalesce({{ policy_boolean('is_global') }}, false) as is_global,
    {{ policy_number('holdout_share') }} as holdout_share,
    {{ bytewise('salt') }} as salt,
    {{ policy_date('valid_from') }} as valid_from,
    {{ policy_date('valid_to') }} as valid_to,
    {{ policy_integer('minimum_size') }} as minimum_size,
    rationale
from experiments
