-- Grain: one row per row of the experiment assignments source, with the reason why it cannot be
-- used (null = accepted).
-- A customer in two arms of an experiment, or both in its control and not, is in none: nobody can
-- say what was assigned, so all of these rows are rejected.
{{ config(
    materialized='table',
    pre_hook="{{ refuse_bad_policy() }}",
    post_hook="{{ analyze_table() }}"
) }}
{%- set earliest = date_literal('1900-01-01') %}
{%- set latest = date_literal(latest_plausible_date()) %}
{%- set figures = ['pre_period_revenue', 'planned_share'] %}
{%- set assigned_key = 'case when is_readable then experiment_code end,'
    ~ ' case when is_readable then customer_id end' %}
with

assignments as (

    select
        *,
        coalesce(
            experiment_code is not null
            and customer_id is not null
            and arm is not null
            and is_control is not null
            and assigned_at >= {{ earliest }}
            and assigned_at <= {{ latest }}
            {%- for figure in figures %}
            and (
                {{ figure }} is not null
                or nullif({{ clean_text(figure ~ '_text') }}, '') is null
            )
            {%- endfor %},
            false
        ) as is_readable
    from {{ ref('base_experiment_assignments') }}

),

numbered_assignments as (

    select
        row_number() over (
            partition by {{ assigned_key }}
            order by
                assigned_at asc
                {%- for column in columns_that_differ('experiment_assignments', [
                    'segment_code', 'pre_period_revenue', 'planned_share', 'arm', 'is_control',
                    'assigned_at_text', 'is_control_text', 'pre_period_revenue_text',
                    'planned_share_text',
                ]) %},
                {{ column }} asc nulls last
                {%- endfor %}
        ) as occurrence,
        min(arm) over (partition by {{ assigned_key }}) as first_arm,
        max(arm) over (partition by {{ assigned_key }}) as last_arm,
        min(case when is_control then 1 else 0 end) over (
            partition by {{ assigned_key }}
        ) as least_control,
        max(case when is_control then 1 else 0 end) over (
            partition by {{ assigned_key }}
        ) as most_control,
        *
    from assignments

),

judged_assignments as (

    select
        *,
        is_readable and (first_arm <> last_arm or least_control <> most_control)
            as has_several_arms,
        is_readable and first_arm = last_arm and least_control = most_control and occurrence = 1
            as is_accepted
    from numbered_assignments

)

select
    experiment_code,
    customer_id,
    arm,
    segment_code,
    pre_period_revenue,
    planned_share,
    is_control,
    assigned_at as assigned_on,
    case when not is_accepted then is_control_text end as is_control_text,
    case when not is_accepted then assigned_at_text end as assigned_at_text,
    case when not is_accepted then pre_period_revenue_text end as pre_period_revenue_text,
    case when not is_accepted then planned_share_text end as planned_share_text,
    case
        when is_accepted then cast(null as {{ dbt.type_string() }})
        when has_several_arms then 'several_arms'
        when is_readable then 'repeated_assignment'
        when experiment_code is null then 'missing_experiment_code'
        when customer_id is null then 'missing_customer_id'
        when arm is null then 'missing_arm'
        when nullif({{ clean_text('assigned_at_text') }}, '') is null then 'missing_assigned_at'
        when assigned_at is null then 'unparsable_assigned_at'
        when assigned_at < {{ earliest }} or assigned_at > {{ latest }}
            then 'implausible_assigned_at'
        when nullif({{ clean_text('is_control_text') }}, '') is null then 'missing_is_control'
        when is_control is null then 'unusable_is_control'
        when
            pre_period_revenue is null
            and nullif({{ clean_text('pre_period_revenue_text') }}, '') is not null
            then 'unusable_pre_period_revenue'
        else 'unusable_planned_share'
    end as rejection_reason
from judged_assignments
