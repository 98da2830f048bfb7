-- Every accepted assignment, and everyone of our own, is counted in one arm of its experiment,
-- finished or not; the segments of an experiment add up to its total. Rows from outside under a
-- code of holdout_policy.csv are left out (the warning experiment_code_taken).
with

own_codes as (

    select experiment_code
    from {{ ref('policy_holdouts') }}

),

assigned as (

    select
        assignments.experiment_code,
        assignments.arm,
        count(*) as customer_count
    from {{ ref('stg_experiment_assignments') }} as assignments
    left join own_codes
        on assignments.experiment_code = own_codes.experiment_code
    where own_codes.experiment_code is null
    group by assignments.experiment_code, assignments.arm
    union all
    select
        experiment_code,
        arm,
        count(*) as customer_count
    from {{ ref('holdout_assignments') }}
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
