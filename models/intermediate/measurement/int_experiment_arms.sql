-- Grain: one row per (experiment_code, arm).
-- `arm_kind`: control, treated, or mixed where some of its rows are control and some are not; then
-- nobody can say what the arm got. An arm has a planned share only if all of its rows say the same.
with

arms as (

    select
        experiment_code,
        arm,
        min(assignment_origin) as assignment_origin,
        count(*) as assigned_count,
        count(case when is_control then 1 end) as control_count,
        count(planned_share) as planned_count,
        min(planned_share) as least_planned_share,
        max(planned_share) as most_planned_share
    from {{ ref('int_experiment_members') }}
    group by experiment_code, arm

),

shared as (

    select
        *,
        planned_count < assigned_count as is_plan_missing,
        least_planned_share <> most_planned_share as is_plan_varying,
        least_planned_share <= 0 or most_planned_share > 1 as is_plan_impossible
    from arms

)

select
    experiment_code,
    arm,
    assignment_origin,
    case
        when control_count = 0 then 'treated'
        when control_count = assigned_count then 'control'
        else 'mixed'
    end as arm_kind,
    assigned_count,
    case
        when not is_plan_missing and not is_plan_varying and not is_plan_impossible
            then least_planned_share
    end as planned_share,
    is_plan_missing,
    coalesce(is_plan_varying, false) as is_plan_varying,
    coalesce(is_plan_impossible, false) as is_plan_impossible
from shared
