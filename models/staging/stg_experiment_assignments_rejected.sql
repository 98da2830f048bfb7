-- Grain: one row per row of the experiment assignments source that cannot be used, with the reason.
select
    experiment_code,
    customer_id,
    arm,
    is_control_text,
    assigned_at_text,
    pre_period_revenue_text,
    planned_share_text,
    is_control,
    assigned_on,
    rejection_reason
from {{ ref('stg_experiment_assignments_classified') }}
where rejection_reason is not null
