-- The summary is the customers, counted: heads, orders and cents.
with

summary_totals as (

    select
        coalesce(sum(customer_count), 0) as customer_count,
        coalesce(sum(order_count), 0) as order_count,
        coalesce(sum(net_revenue), 0) as net_revenue
    from {{ ref('segment_summary') }}

),

customer_totals as (

    select
        count(*) as customer_count,
        coalesce(sum(order_count), 0) as order_count,
        coalesce(sum(net_revenue), 0) as net_revenue
    from {{ ref('customer_segments') }}

)

select
    summary_totals.customer_count as summary_customer_count,
    customer_totals.customer_count,
    summary_totals.order_count as summary_order_count,
    customer_totals.order_count,
    summary_totals.net_revenue as summary_net_revenue,
    customer_totals.net_revenue
from summary_totals
cross join customer_totals
where
    summary_totals.customer_count <> customer_totals.customer_count
    or summary_totals.order_count <> customer_totals.order_count
    or summary_totals.net_revenue <> customer_totals.net_revenue
