-- Grain: one row per customer known at the current as-of date.
{{ config(
    indexes=[
        {'columns': ['customer_id'], 'unique': true},
        {'columns': ['segment_key']},
    ] if target.type == 'postgres' else []
) }}
{%- set scheme = text_literal(var('segment_scheme')) %}
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
        strategies.strategy_code
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
    left join score_cells
        on
            scores.recency_score = score_cells.recency_score
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
    assigned.score_group,
    assigned.scored_within,
    customers.country,
    assigned.rfm_code,
    assigned.recency_score,
    assigned.frequency_score,
    assigned.monetary_score,
    assigned.rfm_score,
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
    assigned.is_scored,
    customers.created_date,
    assigned.first_order_date,
    assigned.last_order_date
from assigned
inner join segments
    on assigned.segment_code = segments.segment_code
left join customers
    on assigned.customer_id = customers.customer_id
