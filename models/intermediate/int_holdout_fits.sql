-- Grain: one row per (experiment_code, customer_id): a customer whom an experiment of
-- holdout_policy.csv is about at the current date, assigned to it or not. One that has not begun
-- yet would be about these (is_assigning false); one that has ended, or whose segment is of another
-- scheme, is about nobody. Internal customers are in none: nobody contacts them anyway.
with

current_dates as (

    select as_of_date
    from {{ ref('int_as_of_dates') }}
    where is_current

),

experiments as (

    select
        experiments.experiment_code,
        experiments.audience_code,
        experiments.segment_key,
        experiments.is_global,
        experiments.valid_from <= current_dates.as_of_date as is_assigning
    from {{ ref('policy_holdouts') }} as experiments
    inner join current_dates
        on coalesce(experiments.valid_to, current_dates.as_of_date) >= current_dates.as_of_date
    where
        experiments.segment_scheme is null
        or experiments.segment_scheme = {{ text_literal(var('segment_scheme')) }}

),

internal_customers as (

    select customer_id
    from {{ ref('int_customer_reach') }}
    where is_internal

),

customers as (

    select
        segments.customer_id,
        segments.published_segment_key as segment_key
    from {{ ref('customer_segments') }} as segments
    left join internal_customers
        on segments.customer_id = internal_customers.customer_id
    where internal_customers.customer_id is null

),

-- Who would be on a list if nobody were held out.
would_be_members as (

    select
        audience_code,
        customer_id,
        segment_key
    from {{ ref('int_audience_fits') }}
    where suppression_reason is null

)

select
    experiments.experiment_code,
    customers.customer_id,
    customers.segment_key,
    experiments.is_assigning
from experiments
inner join customers
    on experiments.is_global or experiments.segment_key = customers.segment_key
where experiments.audience_code is null
union all
select
    experiments.experiment_code,
    would_be_members.customer_id,
    would_be_members.segment_key,
    experiments.is_assigning
from experiments
inner join would_be_members
    on
        experiments.audience_code = would_be_members.audience_code
        and (
            experiments.segment_key is null
            or experiments.segment_key = would_be_members.segment_key
        )
