-- Grain: one row per number of clusters from 3 to 12: how well that many clusters fit, and which
-- number is taken, by the rule of int_discovery_choices.
{{ config(
    indexes=[
        {'columns': ['cluster_count'], 'unique': true},
    ] if target.type == 'postgres' else []
) }}
select
    cluster_count,
    start_code,
    inertia,
    last_movement,
    silhouette,
    smallest_share,
    is_chosen,
    reason
from {{ ref('int_discovery_choices') }}
