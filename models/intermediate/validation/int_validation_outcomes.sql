-- Grain: one row per (as_of_date, horizon_code, customer_id) of scored customers who ordered or
-- returned something within the window; the others have all zeros.
-- `lower_count` and `equal_count`: scored customers with less and with the same revenue in the
-- window (the customer included), for ranks.
with

scores as (

    select
        as_of_date,
        customer_id
    from {{ ref('int_rfm_scores') }}

),

scored_counts as (

    select
        as_of_date,
        count(*) as customer_count
    from scores
    group by as_of_date

),

outcomes as (

    select
        windows.as_of_date,
        windows.horizon_code,
        orders.customer_id,
        sum(orders.order_count) as order_count,
        sum(orders.net_revenue) as net_revenue
    from {{ ref('int_validation_windows') }} as windows
    inner join {{ ref('int_orders') }} as orders
        on
            windows.as_of_date <= orders.sale_date
            and windows.end_date > orders.sale_date
    group by windows.as_of_date, windows.horizon_code, orders.customer_id

),

ranked as (

    select
        outcomes.as_of_date,
        outcomes.horizon_code,
        outcomes.customer_id,
        outcomes.order_count,
        outcomes.net_revenue,
        scored_counts.customer_count,
        count(*) over (
            partition by outcomes.as_of_date, outcomes.horizon_code
        ) as active_count,
        rank() over (
            partition by outcomes.as_of_date, outcomes.horizon_code
            order by outcomes.net_revenue
        ) - 1 as active_lower_count,
        count(*) over (
            partition by outcomes.as_of_date, outcomes.horizon_code, outcomes.net_revenue
        ) as active_equal_count
    from outcomes
    inner join scores
        on
            outcomes.as_of_date = scores.as_of_date
            and outcomes.customer_id = scores.customer_id
    inner join scored_counts
        on outcomes.as_of_date = scored_counts.as_of_date

)

-- Those who did nothing have revenue 0 and stand among the others there.
select
    as_of_date,
    horizon_code,
    customer_id,
    cast(order_count as integer) as order_count,
    cast(net_revenue as {{ type_money() }}) as net_revenue,
    active_lower_count
    + case when net_revenue > 0 then customer_count - active_count else 0 end as lower_count,
    active_equal_count
    + case when net_revenue = 0 then customer_count - active_count else 0 end as equal_count
from ranked
