-- Grain: one row per (segment_scheme, lifecycle_stage, segment_key, other_segment_key): customers
-- at least as good in recency, frequency and monetary value, and better in one, stand in the
-- segment of less value. Of the rules alone, whoever is in them.
-- An inversion can be meant: a rule that asks for a score to be low looks for just these customers.
{%- set dimensions = ['recency', 'frequency', 'monetary'] %}
with

cells as (

    select
        score_cells.segment_scheme,
        score_cells.lifecycle_stage,
        score_cells.recency_score,
        score_cells.frequency_score,
        score_cells.monetary_score,
        score_cells.recency_score + score_cells.frequency_score + score_cells.monetary_score
            as score_sum,
        {{ rfm_code(
            'score_cells.recency_score', 'score_cells.frequency_score', 'score_cells.monetary_score'
        ) }} as rfm_code,
        score_cells.segment_key,
        segments.value_rank
    from {{ ref('segment_score_cells') }} as score_cells
    inner join {{ ref('policy_segments') }} as segments
        on score_cells.segment_key = segments.segment_key

),

inverted as (

    select
        better.segment_scheme,
        better.lifecycle_stage,
        better.segment_key,
        worse.segment_key as other_segment_key,
        better.rfm_code,
        worse.rfm_code as other_rfm_code,
        row_number() over (
            partition by
                better.segment_scheme, better.lifecycle_stage, better.segment_key,
                worse.segment_key
            order by better.score_sum - worse.score_sum, better.rfm_code, worse.rfm_code
        ) as place
    from cells as better
    inner join cells as worse
        on
            better.segment_scheme = worse.segment_scheme
            and better.lifecycle_stage = worse.lifecycle_stage
            {%- for dimension in dimensions %}
            and better.{{ dimension }}_score >= worse.{{ dimension }}_score
            {%- endfor %}
            and better.score_sum > worse.score_sum
            and better.value_rank > worse.value_rank

)

select
    segment_scheme,
    lifecycle_stage,
    segment_key,
    other_segment_key,
    max(case when place = 1 then rfm_code end) as example_rfm_code,
    max(case when place = 1 then other_rfm_code end) as other_example_rfm_code,
    cast(count(*) as integer) as cell_pair_count
from inverted
group by segment_scheme, lifecycle_stage, segment_key, other_segment_key
