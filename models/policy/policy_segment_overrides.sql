-- Grain: one row per row of segment_overrides.csv, typed.
with

overrides as (

    {{ policy_seed('segment_overrides') }}

)

select
    csv_row,
    {{ bytewise('customer_id') }} as customer_id,
    segment_scheme,
    segment_code,
    reason,
    decided_by,
    {{ policy_date('valid_from') }} as valid_from,
    {{ policy_date('valid_to') }} as valid_to
from overrides
