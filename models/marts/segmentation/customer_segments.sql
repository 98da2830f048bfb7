-- Grain: one row per customer known at the current as-of date.
-- All parts are of that date, so they are joined on the customer alone: PostgreSQL takes a second
-- condition on the date for a further choice, expects a handful of rows and loops over the tables.
{{ config(
    indexes=[
        {'columns': ['customer_id'], 'unique': true},
        {'columns': ['segment_key']},
    ] if target.type == 'postgres' else []
) }}
{%- set scheme = text_literal(var('segment_scheme')) %}
{%- set flags = behaviour_flags() + engagement_flags() %}
with

history as (

    select *
    from {{ ref('customer_segment_history') }}
    where is_current

),

metrics as (

    select
        customer_id,
        score_group,
        days_since_last_order,
        sales_amount,
        return_amount,
        first_order_date
    from {{ ref('int_customer_metrics') }}
    where {{ at_current_date() }}

),

scores as (

    select
        customer_id,
        scored_within
    from {{ ref('int_rfm_scores') }}
    where {{ at_current_date() }}

),

stages as (

    select
        customer_id,
        expected_gap_days,
        silence_ratio
    from {{ ref('int_lifecycle_stages') }}
    where {{ at_current_date() }}

),

engagement as (

    select
        customer_id,
        engagement_score,
        days_since_last_event,
        days_since_last_engagement,
        event_count_30d,
        event_count_90d,
        event_trend
    from {{ ref('int_customer_engagement') }}
    where {{ at_current_date() }}

),

behaviour as (

    select
        customer_id,
        top_category,
        category_count
    from {{ ref('int_customer_behaviour') }}
    where {{ at_current_date() }}

),

flags as (

    select *
    from {{ ref('int_customer_flags') }}
    where {{ at_current_date() }}

),

score_cells as (

    select *
    from {{ ref('segment_score_cells') }}
    where segment_scheme = {{ scheme }}

),

overrides as (

    select
        customer_id,
        reason,
        valid_from,
        valid_to
    from {{ ref('policy_segment_overrides') }}
    where segment_scheme = {{ scheme }}

),

customers as (

    select
        customer_id,
        country,
        created_date
    from {{ ref('stg_customers') }}

),

segments as (

    select
        segments.segment_key,
        segments.segment_name,
        segments.action_priority,
        segments.display_order,
        strategies.strategy_code,
        strategies.core_message
    from {{ ref('policy_segments') }} as segments
    inner join {{ ref('policy_strategies') }} as strategies
        on segments.segment_key = strategies.segment_key
    where segments.segment_scheme = {{ scheme }}

)

select
    history.customer_id,
    history.as_of_date,
    history.segment_key,
    history.segment_scheme,
    history.segment_code,
    segments.segment_name,
    segments.strategy_code,
    segments.action_priority,
    segments.display_order,
    history.lifecycle_stage,
    history.rule_segment_key,
    history.previous_segment_key,
    history.published_segment_key,
    overrides.reason as override_reason,
    metrics.score_group,
    scores.scored_within,
    customers.country,
    behaviour.top_category,
    {{ filled_message('segments.core_message', {
        'top_category': 'behaviour.top_category',
        'days_since_last_order': "cast(metrics.days_since_last_order as " ~ dbt.type_string() ~ ")",
        'order_count': "cast(history.order_count as " ~ dbt.type_string() ~ ")",
    }) }} as core_message,
    history.rfm_code,
    history.recency_score,
    history.frequency_score,
    history.monetary_score,
    history.rfm_score,
    engagement.engagement_score,
    history.matched_rule,
    case
        when history.is_scored then score_cells.rule_rationale
        when history.last_order_date is not null
            then 'Ordered before the look-back window and not since'
        else 'Known but never ordered'
    end as rule_rationale,
    score_cells.nearest_segment_key,
    case
        when history.is_scored then score_cells.nearest_change
        when history.last_order_date is not null then 'a new order, then scored'
        else 'a first order, then scored'
    end as nearest_change,
    history.days_in_segment,
    metrics.days_since_last_order,
    history.order_count,
    metrics.sales_amount,
    metrics.return_amount,
    history.net_revenue,
    {{ money_per('history.net_revenue', 'history.order_count') }} as average_order_value,
    stages.expected_gap_days,
    stages.silence_ratio,
    engagement.days_since_last_event,
    engagement.days_since_last_engagement,
    engagement.event_count_30d,
    engagement.event_count_90d,
    engagement.event_trend,
    behaviour.category_count,
    history.is_scored,
    history.is_overridden,
    {% for flag in flags %}
    flags.{{ flag }},
    {% endfor %}
    customers.created_date,
    metrics.first_order_date,
    history.last_order_date
from history
inner join segments
    on history.segment_key = segments.segment_key
inner join metrics
    on history.customer_id = metrics.customer_id
inner join stages
    on history.customer_id = stages.customer_id
inner join flags
    on history.customer_id = flags.customer_id
left join scores
    on history.customer_id = scores.customer_id
left join score_cells
    on
        history.lifecycle_stage = score_cells.lifecycle_stage
        and history.recency_score = score_cells.recency_score
        and history.frequency_score = score_cells.frequency_score
        and history.monetary_score = score_cells.monetary_score
left join overrides
    on
        history.customer_id = overrides.customer_id
        and (overrides.valid_from is null or history.as_of_date >= overrides.valid_from)
        and (overrides.valid_to is null or history.as_of_date <= overrides.valid_to)
left join customers
    on history.customer_id = customers.customer_id
left join engagement
    on history.customer_id = engagement.customer_id
left join behaviour
    on history.customer_id = behaviour.customer_id
