-- Grain: one row per row of segment_overrides.csv, with what has become of it at the current date.
with

overrides as (

    select * from {{ ref('policy_segment_overrides') }}

),

current_dates as (

    select as_of_date
    from {{ ref('int_as_of_dates') }}
    where is_current

),

customers as (

    select
        customer_id,
        rule_segment_key
    from {{ ref('customer_segments') }}

)

select
    overrides.csv_row,
    overrides.customer_id,
    overrides.segment_scheme,
    overrides.segment_code,
    customers.rule_segment_key,
    case
        when overrides.segment_scheme <> {{ text_literal(var('segment_scheme')) }}
            then 'other_scheme'
        when customers.customer_id is null then 'unknown_customer'
        when overrides.valid_from > current_dates.as_of_date then 'not_yet_valid'
        when overrides.valid_to < current_dates.as_of_date then 'expired'
        else 'applied'
    end as override_status,
    overrides.reason,
    overrides.decided_by,
    current_dates.as_of_date,
    overrides.valid_from,
    overrides.valid_to
from overrides
cross join current_dates
left join customers
    on overrides.customer_id = customers.customer_id
