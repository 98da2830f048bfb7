-- Conservation: whoever was known at a date, and still is in the data, is known at the next one;
-- the history holds exactly the customers who were known.
-- An id that was erased or merged since is in the old slices only, which is no fault of the build.
with

known as (

    select
        as_of_date,
        customer_id
    from {{ ref('int_customer_metrics') }}

),

next_dates as (

    select
        as_of_date,
        lead(as_of_date) over (order by as_of_date) as next_as_of_date
    from {{ ref('int_as_of_dates') }}

),

facts as (

    select
        customer_id,
        sale_date as known_from_date
    from {{ ref('int_orders') }}
    union all
    select
        customer_id,
        event_date as known_from_date
    from {{ ref('int_event_days') }}
    union all
    select
        customer_id,
        created_date as known_from_date
    from {{ ref('stg_customers') }}

),

in_the_data as (

    select
        customer_id,
        min(known_from_date) as known_from_date
    from facts
    group by customer_id

)

select
    known.customer_id,
    next_dates.next_as_of_date as as_of_date,
    'known at the date before' as what_is_missing
from known
inner join next_dates
    on known.as_of_date = next_dates.as_of_date
inner join in_the_data
    on
        known.customer_id = in_the_data.customer_id
        and next_dates.next_as_of_date > in_the_data.known_from_date
left join known as later
    on
        next_dates.next_as_of_date = later.as_of_date
        and known.customer_id = later.customer_id
where next_dates.next_as_of_date is not null and later.customer_id is null
union all
select
    coalesce(known.customer_id, history.customer_id) as customer_id,
    coalesce(known.as_of_date, history.as_of_date) as as_of_date,
    case
        when history.customer_id is null then 'a row of the history'
        else 'metrics'
    end as what_is_missing
from known
full join {{ ref('customer_segment_history') }} as history
    on
        known.as_of_date = history.as_of_date
        and known.customer_id = history.customer_id
where known.customer_id is null or history.customer_id is null
