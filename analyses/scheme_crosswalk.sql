-- Question: where would today's customers be under each of the other schemes?
-- Schemes written for another number of tiles than the var score_tiles cannot be compared and are
-- left out.
with

scores as (

    select
        customer_id,
        recency_score,
        frequency_score,
        monetary_score,
        lifecycle_stage,
        net_revenue
    from {{ ref('customer_segments') }}
    where is_scored

),

score_cells as (

    select
        score_cells.*,
        segments.segment_name,
        segments.display_order
    from {{ ref('segment_score_cells') }} as score_cells
    inner join {{ ref('policy_segment_schemes') }} as schemes
        on score_cells.segment_scheme = schemes.segment_scheme
    inner join {{ ref('policy_segments') }} as segments
        on score_cells.segment_key = segments.segment_key
    where schemes.score_tiles = {{ var('score_tiles') }}

)

select
    active_cells.segment_name as active_segment,
    other_cells.segment_scheme as other_scheme,
    other_cells.segment_name as other_segment,
    count(*) as customer_count,
    sum(scores.net_revenue) as net_revenue
from scores
inner join score_cells as active_cells
    on
        scores.lifecycle_stage = active_cells.lifecycle_stage
        and scores.recency_score = active_cells.recency_score
        and scores.frequency_score = active_cells.frequency_score
        and scores.monetary_score = active_cells.monetary_score
inner join score_cells as other_cells
    on
        scores.lifecycle_stage = other_cells.lifecycle_stage
        and scores.recency_score = other_cells.recency_score
        and scores.frequency_score = other_cells.frequency_score
        and scores.monetary_score = other_cells.monetary_score
where
    active_cells.segment_scheme = {{ text_literal(var('segment_scheme')) }}
    and other_cells.segment_scheme <> active_cells.segment_scheme
group by
    active_cells.segment_name,
    active_cells.display_order,
    other_cells.segment_scheme,
    other_cells.segment_name,
    other_cells.display_order
order by active_cells.display_order, other_cells.segment_scheme, other_cells.display_order
