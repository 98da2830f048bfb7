-- Conservation: whoever was known at a grid date is known at the next one and at the current date.
with

history as (

    select
        as_of_date,
        customer_id
    from {{ ref('customer_segment_history') }}

),

next_dates as (

    select
        as_of_date,
        lead(as_of_date) over (order by as_of_date) as next_as_of_date
    from {{ ref('int_as_of_dates') }}

)

select
    history.as_of_date,
    history.customer_id,
    next_dates.next_as_of_date
from history
inner join next_dates
    on history.as_of_date = next_dates.as_of_date
left join history as later
    on
        next_dates.next_as_of_date = later.as_of_date
        and history.customer_id = later.customer_id
where next_dates.next_as_of_date is not null and later.customer_id is null
