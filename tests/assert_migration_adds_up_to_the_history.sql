-- The ways into and out of every segment add up to the customers who are in it.
with

slices as (

    select
        as_of_date,
        segment_key,
        count(*) as customer_count
    from {{ ref('customer_segment_history') }}
    where is_grid
    group by as_of_date, segment_key

),

arrived as (

    select
        as_of_date,
        to_segment_key as segment_key,
        sum(customer_count) as customer_count
    from {{ ref('segment_migration') }}
    group by as_of_date, to_segment_key

),

-- Those who are in the next slice too: an id can have been erased or merged since.
known_later as (

    select
        history.previous_as_of_date as as_of_date,
        history.previous_segment_key as segment_key,
        count(*) as customer_count
    from {{ ref('customer_segment_history') }} as history
    where history.is_grid and history.previous_as_of_date is not null
    group by history.previous_as_of_date, history.previous_segment_key

),

left_from as (

    select
        previous_as_of_date as as_of_date,
        from_segment_key as segment_key,
        sum(customer_count) as customer_count
    from {{ ref('segment_migration') }}
    where from_segment_key <> '(new)'
    group by previous_as_of_date, from_segment_key

)

select
    slices.as_of_date,
    slices.segment_key,
    slices.customer_count,
    arrived.customer_count as arrived_count,
    known_later.customer_count as known_later_count,
    left_from.customer_count as left_count
from slices
left join arrived
    on
        slices.as_of_date = arrived.as_of_date
        and slices.segment_key = arrived.segment_key
left join known_later
    on
        slices.as_of_date = known_later.as_of_date
        and slices.segment_key = known_later.segment_key
left join left_from
    on
        slices.as_of_date = left_from.as_of_date
        and slices.segment_key = left_from.segment_key
where
    (
        slices.as_of_date > (select min(earliest.as_of_date) from slices as earliest)
        and slices.customer_count <> coalesce(arrived.customer_count, 0)
    )
    or (
        slices.as_of_date < (select max(latest.as_of_date) from slices as latest)
        and coalesce(known_later.customer_count, 0) <> coalesce(left_from.customer_count, 0)
    )
