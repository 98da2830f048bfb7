-- Grain: one row per customer known at the current as-of date.
{{ config(
    indexes=[
        {'columns': ['customer_id'], 'unique': true},
        {'columns': ['segment_key']},
    ] if target.type == 'postgres' else []
) }}
{%- set scheme = text_literal(var('segment_scheme')) %}
{%- set flags = behaviour_flags() %}
with

metrics as (

    select
        metrics.as_of_date,
        metrics.customer_id,
        metrics.score_group,
        metrics.days_since_last_order,
        metrics.order_count,
        metrics.sales_amount,
        metrics.return_amount,
        metrics.net_revenue,
        metrics.is_scored,
        metrics.first_order_date,
        metrics.last_order_date
    from {{ ref('int_customer_metrics') }} as metrics
    inner join {{ ref('int_as_of_dates') }} as as_of_dates
        on metrics.as_of_date = as_of_dates.as_of_date
    where as_of_dates.is_current

),

scores as (

    select
        as_of_date,
        customer_id,
        scored_within,
        recency_score,
        frequency_score,
        monetary_score,
        rfm_code,
        rfm_score
    from {{ ref('int_rfm_scores') }}

),

stages as (

    select
        as_of_date,
        customer_id,
        lifecycle_stage,
        expected_gap_days,
        silence_ratio
    from {{ ref('int_lifecycle_stages') }}

),

engagement as (

    select
        as_of_date,
        customer_id,
        engagement_score,
        days_since_last_event,
        days_since_last_engagement,
        event_count_30d,
        event_count_90d,
        event_trend
    from {{ ref('int_customer_engagement') }}

),

behaviour as (

    select
        as_of_date,
        customer_id,
        top_category,
        {% for flag in flags %}
        {{ flag }},
        {% endfor %}
        category_count
    from {{ ref('int_customer_behaviour') }}

),

score_cells as (

    select *
    from {{ ref('segment_score_cells') }}
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
        segments.segment_code,
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

),

assigned as (

    select
        metrics.*,
        scores.scored_within,
        scores.recency_score,
        scores.frequency_score,
        scores.monetary_score,
        scores.rfm_code,
        scores.rfm_score,
        stages.lifecycle_stage,
        stages.expected_gap_days,
        stages.silence_ratio,
        case
            when metrics.is_scored then score_cells.segment_code
            when metrics.last_order_date is not null then 'dormant'
            else 'prospects'
        end as segment_code,
        score_cells.match_order,
        case
            when metrics.is_scored then score_cells.rule_rationale
            when metrics.last_order_date is not null
                then 'Ordered before the look-back window and not since'
            else 'Known but never ordered'
        end as rule_rationale,
        score_cells.nearest_segment_key,
        case
            when metrics.is_scored then score_cells.nearest_change
            when metrics.last_order_date is not null then 'a new order, then scored'
            else 'a first order, then scored'
        end as nearest_change
    from metrics
    left join scores
        on
            metrics.as_of_date = scores.as_of_date
            and metrics.customer_id = scores.customer_id
    left join stages
        on
            metrics.as_of_date = stages.as_of_date
            and metrics.customer_id = stages.customer_id
    left join score_cells
        on
            stages.lifecycle_stage = score_cells.lifecycle_stage
            and scores.recency_score = score_cells.recency_score
            and scores.frequency_score = score_cells.frequency_score
            and scores.monetary_score = score_cells.monetary_score

)

select
    assigned.customer_id,
    assigned.as_of_date,
    segments.segment_key,
    cast({{ scheme }} as {{ dbt.type_string() }}) as segment_scheme,
    assigned.segment_code,
    segments.segment_name,
    segments.strategy_code,
    segments.action_priority,
    segments.display_order,
    assigned.lifecycle_stage,
    assigned.score_group,
    assigned.scored_within,
    customers.country,
    behaviour.top_category,
    {{ filled_message('segments.core_message', {
        'top_category': 'behaviour.top_category',
        'days_since_last_order': "cast(assigned.days_since_last_order as " ~ dbt.type_string() ~ ")",
        'order_count': "cast(assigned.order_count as " ~ dbt.type_string() ~ ")",
    }) }} as core_message,
    assigned.rfm_code,
    assigned.recency_score,
    assigned.frequency_score,
    assigned.monetary_score,
    assigned.rfm_score,
    engagement.engagement_score,
    assigned.match_order as matched_rule,
    assigned.rule_rationale,
    assigned.nearest_segment_key,
    assigned.nearest_change,
    assigned.days_since_last_order,
    assigned.order_count,
    assigned.sales_amount,
    assigned.return_amount,
    assigned.net_revenue,
    {{ money_per('assigned.net_revenue', 'assigned.order_count') }} as average_order_value,
    assigned.expected_gap_days,
    assigned.silence_ratio,
    engagement.days_since_last_event,
    engagement.days_since_last_engagement,
    engagement.event_count_30d,
    engagement.event_count_90d,
    engagement.event_trend,
    behaviour.category_count,
    assigned.is_scored,
    {% for flag in flags %}
    behaviour.{{ flag }},
    {% endfor %}
    {% if is_using('engagement_events') -%}
    coalesce(engagement.days_since_last_engagement <= thresholds.engaged_within_days, false)
    and assigned.lifecycle_stage in ('prospect', 'lapsing', 'lapsed') as is_engaged_not_buying,
    not coalesce(engagement.days_since_last_engagement <= thresholds.engaged_within_days, false)
    and assigned.lifecycle_stage in ('new', 'active', 'reactivated') as is_buying_not_engaged,
    {%- else -%}
    cast(null as boolean) as is_engaged_not_buying,
    cast(null as boolean) as is_buying_not_engaged,
    {%- endif %}
    customers.created_date,
    assigned.first_order_date,
    assigned.last_order_date
from assigned
inner join segments
    on assigned.segment_code = segments.segment_code
{% if is_using('engagement_events') %}
cross join {{ ref('policy_behaviour_thresholds') }} as thresholds
{% endif %}
left join customers
    on assigned.customer_id = customers.customer_id
left join engagement
    on
        assigned.as_of_date = engagement.as_of_date
        and assigned.customer_id = engagement.customer_id
left join behaviour
    on
        assigned.as_of_date = behaviour.as_of_date
        and assigned.customer_id = behaviour.customer_id
