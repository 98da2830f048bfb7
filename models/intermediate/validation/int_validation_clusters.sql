-- Grain: one row per (horizon_code, dimension, segment_scheme, level, cluster_id) over all finished
-- dates.
with

clusters as (

    {{ cells_by_level(['horizon_code', 'cluster_id'], ['customer_count', 'retained_count']) }}

)

select
    horizon_code,
    dimension,
    segment_scheme,
    level,
    cluster_id,
    cast(customer_count as bigint) as customer_count,
    cast(retained_count as bigint) as retained_count
from clusters
