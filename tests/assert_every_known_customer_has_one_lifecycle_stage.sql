-- Nobody known at a date is without a stage or in two, at any date.
with

known_customers as (

    select
        as_of_date,
        customer_id
    from {{ ref('int_customer_metrics') }}

),

staged as (

    select
        as_of_date,
        customer_id,
        count(lifecycle_stage) as stage_count
    from {{ ref('int_lifecycle_stages') }}
    group by as_of_date, customer_id

)

select
    coalesce(known_customers.as_of_date, staged.as_of_date) as as_of_date,
    coalesce(known_customers.customer_id, staged.customer_id) as customer_id,
    coalesce(staged.stage_count, 0) as stage_count
from known_customers
full outer join staged
    on
        known_customers.as_of_date = staged.as_of_date
        and known_customers.customer_id = staged.customer_id
where known_customers.customer_id is null or coalesce(staged.stage_count, 0) <> 1
