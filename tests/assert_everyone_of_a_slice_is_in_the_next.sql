-- Conservation: whoever was known at a grid date, and still is in the data, is known at the next
-- one.
-- An id that was erased or merged since is in the old slices only, which is no fault of the build.
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
inner join history as today
    on history.customer_id = today.customer_id
inner join {{ ref('int_as_of_dates') }} as current_dates
    on
        today.as_of_date = current_dates.as_of_date
        and current_dates.is_current
left join history as later
    on
        next_dates.next_as_of_date = later.as_of_date
        and history.customer_id = later.customer_id
where next_dates.next_as_of_date is not null and later.customer_id is null
