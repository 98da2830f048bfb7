-- Grain: one row per row of segments.csv, typed.
with

segments as (

    {{ policy_seed('segments') }}

)

select
    csv_row,
    {{ dbt.concat(['segment_scheme', "':'", 'segment_code']) }} as segment_key,
    segment_scheme,
    segment_code,
    segment_name,
    {{ policy_integer('action_priority') }} as action_priority,
    {{ policy_integer('value_rank') }} as value_rank,
    {{ policy_integer('expected_retention_rank') }} as expected_retention_rank,
    {{ policy_integer('display_order') }} as display_order,
    needs,
    motivations,
    churn_drivers,
    description
from segments
