-- Grain: one row per row of current_budget_allocation.csv, typed.
with

allocation as (

    {{ policy_seed('current_budget_allocation') }}

)

select
    csv_row,
    {{ dbt.concat(['segment_scheme', "':'", 'segment_code']) }} as segment_key,
    segment_scheme,
    segment_code,
    {{ policy_number('amount') }} as amount,
    rationale
from allocation
