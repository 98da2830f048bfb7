-- Grain: one row per (as_of_date, from_segment_key, to_segment_key) that a customer went at that
-- grid date; staying is a way too, and `(new)` is where customers come from who were not known
-- before.
-- Dates that are finished are kept, as in the history itself.
{{ config(**sliced(looks_back=true)) }}
with

history as (

    select
        as_of_date,
        segment_key,
        net_revenue,
        previous_as_of_date,
        coalesce(previous_segment_key, '(new)') as from_segment_key
    from {{ ref('customer_segment_history') }}
    where is_grid {{ only_due('as_of_date', 'and') }}

),

-- The first grid date has nothing before it.
first_dates as (

    select min(as_of_date) as first_as_of_date
    from {{ ref('customer_segment_history') }}
    where is_grid

),

ways as (

    select
        history.as_of_date,
        history.from_segment_key,
        history.segment_key as to_segment_key,
        max(history.previous_as_of_date) as previous_as_of_date,
        count(*) as customer_count,
        sum(history.net_revenue) as net_revenue
    from history
    cross join first_dates
    where history.as_of_date > first_dates.first_as_of_date
    group by history.as_of_date, history.from_segment_key, history.segment_key

)

select
    as_of_date,
    from_segment_key,
    to_segment_key,
    cast(customer_count as integer) as customer_count,
    cast(net_revenue as {{ type_money() }}) as net_revenue,
    cast(customer_count as {{ type_double() }})
    / cast(
        sum(customer_count) over (partition by as_of_date, from_segment_key) as {{ type_double() }}
    ) as share_of_from,
    cast(customer_count as {{ type_double() }})
    / cast(
        sum(customer_count) over (partition by as_of_date, to_segment_key) as {{ type_double() }}
    ) as share_of_to,
    from_segment_key = to_segment_key as is_staying,
    previous_as_of_date
from ways
