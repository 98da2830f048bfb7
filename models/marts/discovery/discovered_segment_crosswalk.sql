-- Grain: one row per (cluster_number, segment_key): how the customers of a cluster are spread over
-- the segments of every scheme for this number of tiles, and the segments over the clusters.
{{ config(
    indexes=[
        {'columns': ['cluster_number', 'segment_key'], 'unique': true},
    ] if target.type == 'postgres' else []
) }}
{%- set double = type_double() %}
with

cells as (

    select
        cluster_number,
        segment_code as discovered_segment_code,
        recency_score,
        frequency_score,
        monetary_score
    from {{ ref('int_discovered_cells') }}
    where cluster_number is not null

),

customers as (

    select
        lifecycle_stages.lifecycle_stage,
        scores.recency_score,
        scores.frequency_score,
        scores.monetary_score,
        count(*) as customer_count
    from {{ ref('int_rfm_scores') }} as scores
    inner join {{ ref('int_lifecycle_stages') }} as lifecycle_stages
        on
            scores.as_of_date = lifecycle_stages.as_of_date
            and scores.customer_id = lifecycle_stages.customer_id
    where scores.{{ at_current_date() }}
    group by
        lifecycle_stages.lifecycle_stage,
        scores.recency_score,
        scores.frequency_score,
        scores.monetary_score

),

counted as (

    select
        cells.cluster_number,
        cells.discovered_segment_code,
        score_cells.segment_scheme,
        score_cells.segment_key,
        sum(customers.customer_count) as customer_count
    from customers
    inner join cells
        on
            customers.recency_score = cells.recency_score
            and customers.frequency_score = cells.frequency_score
            and customers.monetary_score = cells.monetary_score
    inner join {{ ref('segment_score_cells') }} as score_cells
        on
            customers.lifecycle_stage = score_cells.lifecycle_stage
            and customers.recency_score = score_cells.recency_score
            and customers.frequency_score = score_cells.frequency_score
            and customers.monetary_score = score_cells.monetary_score
    inner join {{ ref('policy_segment_schemes') }} as schemes
        on
            score_cells.segment_scheme = schemes.segment_scheme
            and schemes.score_tiles = {{ var('score_tiles') }}
    group by
        cells.cluster_number,
        cells.discovered_segment_code,
        score_cells.segment_scheme,
        score_cells.segment_key

)

select
    cluster_number,
    discovered_segment_code,
    segment_scheme,
    segment_key,
    cast(customer_count as integer) as customer_count,
    cast(customer_count as {{ double }})
    / sum(customer_count) over (partition by cluster_number, segment_scheme) as share_of_cluster,
    cast(customer_count as {{ double }})
    / sum(customer_count) over (partition by segment_key) as share_of_segment
from counted
