-- Grain: one row per segment of every scheme: who they are and what is done for them.
with

segments as (

    select * from {{ ref('policy_segments') }}

),

strategies as (

    select * from {{ ref('policy_strategies') }}

)

select
    segments.segment_key,
    strategies.strategy_code,
    segments.segment_scheme,
    segments.segment_code,
    segments.segment_name,
    segments.action_priority,
    segments.value_rank,
    segments.expected_retention_rank,
    segments.display_order,
    segments.description,
    segments.needs,
    segments.motivations,
    segments.churn_drivers,
    strategies.objective,
    strategies.core_message,
    strategies.incentive_type,
    strategies.primary_channel,
    strategies.secondary_channel,
    strategies.kpi,
    strategies.rationale,
    strategies.suppression_reason,
    cast(strategies.incentive_depth_pct as numeric(5, 2)) as incentive_depth_pct,
    cast(strategies.expected_save_rate as {{ type_double() }}) as expected_save_rate,
    strategies.contact_cadence_days,
    strategies.review_cadence_days,
    strategies.is_high_touch,
    strategies.is_suppressed,
    segments.segment_scheme = {{ text_literal(var('segment_scheme')) }} as is_active_scheme
from segments
inner join strategies
    on segments.segment_key = strategies.segment_key
