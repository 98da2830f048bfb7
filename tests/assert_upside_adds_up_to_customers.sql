-- The upside of the segments is that of their customers, to the last digit: heads, margin, cost.
with

segments as (

    select
        sum(customer_count) as customer_count,
        sum(reachable_count) as reachable_count,
        coalesce(sum(upside), 0) as upside,
        coalesce(sum(case when cost_unknown_count = 0 then treatment_cost end), 0)
            as treatment_cost
    from {{ ref('segment_upside') }}

),

options as (

    select
        *,
        sum(case when is_reachable and total_cost is null then 1 else 0 end) over (
            partition by segment_key
        ) as cost_unknown_count
    from {{ ref('int_treatment_options') }}
    where policy_code = 'current'

),

customers as (

    select
        count(*) as customer_count,
        coalesce(sum(case when is_reachable then 1 else 0 end), 0) as reachable_count,
        coalesce(sum(case when is_reachable then incremental_margin end), 0) as upside,
        coalesce(
            sum(case when is_reachable and cost_unknown_count = 0 then total_cost end), 0
        ) as treatment_cost
    from options

)

select
    segments.customer_count as segment_customer_count,
    customers.customer_count,
    segments.reachable_count as segment_reachable_count,
    customers.reachable_count,
    segments.upside as segment_upside,
    customers.upside,
    segments.treatment_cost as segment_treatment_cost,
    customers.treatment_cost
from segments
cross join customers
where
    segments.customer_count <> customers.customer_count
    or segments.reachable_count <> customers.reachable_count
    or segments.upside <> customers.upside
    or segments.treatment_cost <> customers.treatment_cost
