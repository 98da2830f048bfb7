-- Grain: one row per experiment_code, campaigns without assignments included.
-- Finished = the window of everybody assigned is over. Several arms of controls count as one.
{%- set string = dbt.type_string() %}
with

arms as (

    select
        experiment_code,
        max(assignment_origin) as assignment_origin,
        count(*) as arm_count,
        count(case when arm_kind = 'control' then 1 end) as control_arm_count,
        count(case when arm_kind = 'treated' then 1 end) as treated_arm_count,
        count(case when arm_kind = 'mixed' then 1 end) as mixed_arm_count,
        {{ dbt.listagg(
            "case when arm_kind = 'control' then arm end", "', '", 'order by arm'
        ) | trim }} as control_arm,
        {{ dbt.listagg(
            "case when arm_kind = 'mixed' then arm end", "', '", 'order by arm'
        ) | trim }} as mixed_arms,
        count(case when is_plan_missing then 1 end) as missing_plan_count,
        count(case when is_plan_varying then 1 end) as varying_plan_count,
        count(case when is_plan_impossible then 1 end) as impossible_plan_count,
        sum(planned_share) as planned_share_sum
    from {{ ref('int_experiment_arms') }}
    group by experiment_code

),

members as (

    select
        experiment_code,
        count(*) as assigned_count,
        count(case when not is_finished then 1 end) as unfinished_count,
        count(case when is_finished then 1 end) as finished_count,
        count(case when is_finished and has_given_revenue then 1 end) as given_revenue_count,
        count(is_contacted) as contact_known_count,
        {{ money_per("sum(case when is_finished then revenue end)",
            "count(case when is_finished then 1 end)") }} as mean_revenue,
        {{ money_per("sum(case when is_finished then margin end)",
            "count(case when is_finished then 1 end)") }} as mean_margin,
        {{ money_per("sum(case when is_finished then pre_period_revenue end)",
            "count(case when is_finished then 1 end)") }} as mean_pre_period_revenue,
        count(case when segment_key is not null then 1 end) as segmented_count,
        min(assigned_on) as first_assigned_on,
        max(assigned_on) as last_assigned_on,
        max(end_date) as last_end_date
    from {{ ref('int_experiment_outcomes') }}
    group by experiment_code

),

history as (

    select min(as_of_date) as history_begins_on
    from {{ ref('int_as_of_dates') }}
    where is_grid

),

sales as (

    select min(sale_date) as sales_begin_on
    from {{ ref('int_orders') }}

),

rejected as (

    select
        experiment_code,
        count(*) as rejected_count
    from {{ ref('stg_experiment_assignments_rejected') }}
    where experiment_code is not null
    group by experiment_code

)

select
    members.experiment_code,
    arms.assignment_origin,
    cast(arms.control_arm as {{ string }}) as control_arm,
    cast(arms.mixed_arms as {{ string }}) as mixed_arms,
    cast({{ var('retention_horizon_days') }} as integer) as horizon_days,
    cast(arms.arm_count as integer) as arm_count,
    cast(arms.control_arm_count as integer) as control_arm_count,
    cast(arms.treated_arm_count as integer) as treated_arm_count,
    cast(members.assigned_count as bigint) as assigned_count,
    cast(members.unfinished_count as bigint) as unfinished_count,
    cast(members.finished_count as bigint) as finished_count,
    cast(members.given_revenue_count as bigint) as given_revenue_count,
    cast(
        case
            when arms.assignment_origin = 'experiment_assignments'
                then coalesce(rejected.rejected_count, 0)
            else 0
        end as bigint
    ) as rejected_count,
    coalesce(members.mean_revenue, 0) as mean_revenue,
    coalesce(members.mean_margin, 0) as mean_margin,
    coalesce(members.mean_pre_period_revenue, 0) as mean_pre_period_revenue,
    -- Null = the planned shares are known.
    case
        when arms.arm_count = 1 then 'there is one arm only'
        when arms.arm_count > 61 then 'there are more than 61 arms'
        when arms.missing_plan_count > 0 then 'planned shares are not known'
        when arms.impossible_plan_count > 0 then 'a planned share does not lie between 0 and 1'
        when arms.varying_plan_count > 0 then 'the planned share differs within an arm'
        when abs(arms.planned_share_sum - 1) > 0.005
            then {{ dbt.concat([
                "'planned shares add up to '", ratio_text('arms.planned_share_sum', 3)
            ]) }}
    end as plan_problem,
    cast(arms.planned_share_sum as {{ type_double() }}) as planned_share_sum,
    members.segmented_count > 0 as has_segments,
    members.contact_known_count > 0 as has_contacts,
    arms.mixed_arm_count = 0 as is_unmixed,
    members.unfinished_count = 0 as is_finished,
    arms.assignment_origin <> 'campaign_contacts' as is_randomised,
    members.first_assigned_on,
    members.last_assigned_on,
    members.last_end_date,
    history.history_begins_on,
    sales.sales_begin_on
from members
cross join history
cross join sales
inner join arms
    on members.experiment_code = arms.experiment_code
left join rejected
    on members.experiment_code = rejected.experiment_code
