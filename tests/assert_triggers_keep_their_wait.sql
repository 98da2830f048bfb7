-- A trigger never fires for a customer twice within its wait.
{%- set days_since = dbt.datediff('earlier_date', 'as_of_date', 'day') | trim %}
with

fires as (

    select
        as_of_date,
        customer_id,
        trigger_code,
        reentry_wait_days,
        lag(as_of_date) over (
            partition by customer_id, trigger_code order by as_of_date
        ) as earlier_date
    from {{ ref('retention_triggers') }}

)

select
    as_of_date,
    customer_id,
    trigger_code,
    earlier_date,
    reentry_wait_days
from fires
where {{ days_since }} < reentry_wait_days
