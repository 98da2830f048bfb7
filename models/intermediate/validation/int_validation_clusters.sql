-- Grain: one row per (as_of_date, horizon_code, dimension, segment_scheme, level, cluster_id).
with

clusters as (

    {{ cells_by_level(
        ['as_of_date', 'horizon_code', 'cluster_id'], ['customer_count', 'retained_count']
    ) }}

)

select
    as_of_date,
    horizon_code,
    dimension,
    segment_scheme,
    level,
    cluster_id,
    cast(customer_count as bigint) as customer_count,
    cast(retained_count as bigint) as retained_count
from clusters
