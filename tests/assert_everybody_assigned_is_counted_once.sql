-- Every accepted assignment is counted in one arm of its experiment, finished or not; the segments
-- of an experiment add up to its total.
with

assigned as (

    select
        experiment_code,
        arm,
        count(*) as customer_count
    from {{ ref('stg_experiment_assignments') }}
    group by experiment_code, arm

),

totals as (

    select
        experiment_code,
        arm,
        assigned_count + unfinished_count as customer_count,
        retained_count,
        revenue
    from {{ ref('campaign_results') }}
    where segment_key = '(total)'

),

segments as (

    select
        experiment_code,
        arm,
        sum(assigned_count + unfinished_count) as customer_count,
        sum(retained_count) as retained_count,
        sum(revenue) as revenue
    from {{ ref('campaign_results') }}
    where segment_key <> '(total)'
    group by experiment_code, arm

)

select
    'assigned' as compared,
    assigned.experiment_code,
    assigned.arm,
    assigned.customer_count,
    totals.customer_count as counted
from assigned
left join totals
    on
        assigned.experiment_code = totals.experiment_code
        and assigned.arm = totals.arm
where totals.customer_count is null or assigned.customer_count <> totals.customer_count
union all
select
    'segments' as compared,
    segments.experiment_code,
    segments.arm,
    segments.customer_count,
    totals.customer_count as counted
from segments
inner join totals
    on
        segments.experiment_code = totals.experiment_code
        and segments.arm = totals.arm
where
    segments.customer_count <> totals.customer_count
    or segments.retained_count <> totals.retained_count
    or segments.revenue <> totals.revenue
