-- Every date of the history has the segments that today's rules (or clusters) give its scores and
-- stages: an edited rule must not look like customers moving between two dates.
with

history as (

    select
        as_of_date,
        customer_id,
        segment_scheme,
        rule_segment_key,
        lifecycle_stage,
        recency_score,
        frequency_score,
        monetary_score
    from {{ ref('customer_segment_history') }}
    where is_scored

),

cells as (

    select
        segment_scheme,
        lifecycle_stage,
        recency_score,
        frequency_score,
        monetary_score,
        segment_code
    from {{ ref('segment_score_cells') }}

)

select
    history.as_of_date,
    history.customer_id,
    history.rule_segment_key,
    cells.segment_code as segment_code_of_today
from history
left join cells
    on
        history.segment_scheme = cells.segment_scheme
        and history.lifecycle_stage = cells.lifecycle_stage
        and history.recency_score = cells.recency_score
        and history.frequency_score = cells.frequency_score
        and history.monetary_score = cells.monetary_score
where
    cells.segment_code is null
    or history.rule_segment_key
    <> {{ dbt.concat(['history.segment_scheme', "':'", 'cells.segment_code']) }}
