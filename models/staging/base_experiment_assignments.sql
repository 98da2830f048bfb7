-- Grain: one row per row of the experiment assignments source; no rows when the var
-- using_experiment_assignments is false.
{{ read_source('experiment_assignments', keep_text=[
    'is_control', 'assigned_at', 'pre_period_revenue', 'planned_share'
]) }}
