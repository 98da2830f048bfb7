-- Grain: one row per scored customer at the current as-of date.
-- A fixed contract for existing reports: its columns, five tiles and the segments of core_five do
-- not depend on the active scheme or on score_tiles. The look-back, the tie method, score groups
-- and (with five tiles) fixed cut points apply as everywhere. Schema and name are vars.
{{ config(
    alias=var('customer_rfm_name'),
    indexes=[{'columns': ['customer_id'], 'unique': true}] if target.type == 'postgres' else []
) }}
with

scores as (

    select
        scores.customer_id,
        scores.days_since_last_order,
        scores.order_count,
        scores.net_revenue,
        scores.recency_score_of_five,
        scores.frequency_score_of_five,
        scores.monetary_score_of_five
    from {{ ref('int_rfm_scores') }} as scores
    inner join {{ ref('int_as_of_dates') }} as as_of_dates
        on scores.as_of_date = as_of_dates.as_of_date
    where as_of_dates.is_current

),

score_cells as (

    select
        score_cells.recency_score,
        score_cells.frequency_score,
        score_cells.monetary_score,
        segments.segment_name
    from {{ ref('segment_score_cells') }} as score_cells
    inner join {{ ref('policy_segments') }} as segments
        on score_cells.segment_key = segments.segment_key
    -- The rules of core_five ask for no stage, so one stage stands for all.
    where score_cells.segment_scheme = 'core_five' and score_cells.lifecycle_stage = 'active'

)

select
    scores.customer_id,
    scores.days_since_last_order as recency,
    scores.order_count as frequency,
    scores.net_revenue as monetary,
    scores.recency_score_of_five as {{ adapter.quote('R_score') }},
    scores.frequency_score_of_five as {{ adapter.quote('F_score') }},
    scores.monetary_score_of_five as {{ adapter.quote('M_score') }},
    score_cells.segment_name as segment
from scores
inner join score_cells
    on
        scores.recency_score_of_five = score_cells.recency_score
        and scores.frequency_score_of_five = score_cells.frequency_score
        and scores.monetary_score_of_five = score_cells.monetary_score
