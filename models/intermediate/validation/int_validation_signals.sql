-- Grain: one row per (signal, customer_id): scored customers of the latest finished date, what is
-- known of them there, and whether they came back within the window `horizon`.
-- With more than 200,000 customers as many of them, picked by hash: a ranking of signals needs no
-- more.
{%- set signals = validated_signals() %}
{%- set has_engagement = is_using('engagement_events') %}
with

judged_dates as (

    select
        max(as_of_date) as as_of_date,
        max(horizon_days) as horizon_days
    from {{ ref('int_validation_windows') }}
    where horizon_code = 'horizon'

),

stages as (

    select * from {{ ref('int_lifecycle_stages') }}

),

numbered_scores as (

    select
        scores.as_of_date,
        scores.customer_id,
        scores.recency_score,
        scores.frequency_score,
        scores.monetary_score,
        row_number() over (
            order by {{ dbt.hash('scores.customer_id') }}, {{ bytewise('scores.customer_id') }}
        ) as place
    from {{ ref('int_rfm_scores') }} as scores
    inner join judged_dates
        on scores.as_of_date = judged_dates.as_of_date

),

customers as (

    select
        metrics.customer_id,
        score_cells.segment_key,
        {{ rfm_code(
            'scores.recency_score', 'scores.frequency_score', 'scores.monetary_score'
        ) }} as rfm_code,
        case when outcomes.order_count > 0 then 1 else 0 end as is_retained,
        {% for signal, (kind, expression, words) in signals.items() %}
        cast({{ expression }} as numeric(28, 6)) as {{ signal }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from numbered_scores as scores
    inner join {{ ref('int_customer_metrics') }} as metrics
        on
            scores.as_of_date = metrics.as_of_date
            and scores.customer_id = metrics.customer_id
    inner join stages
        on
            scores.as_of_date = stages.as_of_date
            and scores.customer_id = stages.customer_id
    inner join {{ ref('int_customer_flags') }} as flags
        on
            scores.as_of_date = flags.as_of_date
            and scores.customer_id = flags.customer_id
    inner join {{ ref('segment_score_cells') }} as score_cells
        on
            score_cells.segment_scheme = {{ text_literal(var('segment_scheme')) }}
            and stages.lifecycle_stage = score_cells.lifecycle_stage
            and scores.recency_score = score_cells.recency_score
            and scores.frequency_score = score_cells.frequency_score
            and scores.monetary_score = score_cells.monetary_score
    left join {{ ref('int_customer_behaviour') }} as behaviour
        on
            scores.as_of_date = behaviour.as_of_date
            and scores.customer_id = behaviour.customer_id
    {%- if has_engagement %}
    left join {{ ref('int_customer_engagement') }} as engagement
        on
            scores.as_of_date = engagement.as_of_date
            and scores.customer_id = engagement.customer_id
    {%- endif %}
    left join {{ ref('int_validation_outcomes') }} as outcomes
        on
            outcomes.horizon_code = 'horizon'
            and scores.as_of_date = outcomes.as_of_date
            and scores.customer_id = outcomes.customer_id
    where scores.place <= {{ most_judged_customers() }}

)

{% for signal, (kind, expression, words) in signals.items() %}
select
    '{{ signal }}' as signal,
    '{{ kind }}' as signal_kind,
    customer_id,
    segment_key,
    rfm_code,
    is_retained,
    {{ signal }} as signal_value
from customers
{% if not loop.last %}union all{% endif %}
{% endfor %}
