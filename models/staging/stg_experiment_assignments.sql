-- Grain: one row per (experiment_code, customer_id), the accepted assignments.
select
    experiment_code,
    customer_id,
    arm,
    segment_code,
    pre_period_revenue,
    planned_share,
    is_control,
    assigned_on
from {{ ref('stg_experiment_assignments_classified') }}
where rejection_reason is null
