-- How often do customers change segment and change back by the next date, without an order, a
-- return or an event of theirs? One row per pair of segments. A large share of `without_activity`
-- is noise of the boundary between the two: consider the var min_stay_days, or a wider rule.
with

history as (

    select
        as_of_date,
        customer_id,
        segment_key,
        order_count,
        net_revenue,
        last_order_date,
        lag(as_of_date, 1) over customer_dates as middle_date,
        lag(as_of_date, 2) over customer_dates as first_date,
        lag(segment_key, 1) over customer_dates as middle_segment_key,
        lag(segment_key, 2) over customer_dates as first_segment_key,
        lag(order_count, 2) over customer_dates as first_order_count,
        lag(net_revenue, 2) over customer_dates as first_net_revenue
    from {{ ref('customer_segment_history') }}
    where is_grid
    window customer_dates as (partition by customer_id order by as_of_date)

),

-- Event days since the first of the three dates.
active_in_between as (

    select distinct
        history.as_of_date,
        history.customer_id
    from history
    inner join {{ ref('int_event_days') }} as event_days
        on
            history.customer_id = event_days.customer_id
            and history.first_date <= event_days.event_date
            and history.as_of_date > event_days.event_date
    where
        history.segment_key = history.first_segment_key
        and history.segment_key <> history.middle_segment_key

),

flaps as (

    select
        history.first_segment_key as segment_key,
        history.middle_segment_key as through_segment_key,
        coalesce(history.last_order_date >= history.first_date, false)
        or history.order_count <> history.first_order_count
        or history.net_revenue <> history.first_net_revenue
        or active_in_between.customer_id is not null as has_activity
    from history
    left join active_in_between
        on
            history.as_of_date = active_in_between.as_of_date
            and history.customer_id = active_in_between.customer_id
    where
        history.segment_key = history.first_segment_key
        and history.segment_key <> history.middle_segment_key

),

moves as (

    select
        from_segment_key as segment_key,
        to_segment_key as through_segment_key,
        count(*) as move_count
    from {{ ref('segment_transitions') }}
    group by from_segment_key, to_segment_key

)

select
    flaps.segment_key,
    flaps.through_segment_key,
    max(moves.move_count) as move_count,
    count(*) as back_and_forth_count,
    sum(case when flaps.has_activity then 0 else 1 end) as without_activity_count,
    cast(sum(case when flaps.has_activity then 0 else 1 end) as {{ type_double() }})
    / cast(max(moves.move_count) as {{ type_double() }}) as without_activity_share
from flaps
inner join moves
    on
        flaps.segment_key = moves.segment_key
        and flaps.through_segment_key = moves.through_segment_key
group by flaps.segment_key, flaps.through_segment_key
order by
    without_activity_count desc,
    flaps.segment_key asc,
    flaps.through_segment_key asc
