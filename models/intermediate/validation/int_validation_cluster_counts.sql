-- Grain: one row per horizon_code: how many clusters the errors over finished dates are made of,
-- and in how many of them somebody came back, or did not.
with

clusters as (

    select
        horizon_code,
        cluster_id,
        sum(customer_count) as customer_count,
        sum(retained_count) as retained_count
    from {{ ref('int_validation_clusters') }}
    -- Everybody has a recency score: any dimension holds all clusters.
    where dimension = 'recency_score'
    group by horizon_code, cluster_id

)

select
    horizon_code,
    count(*) as cluster_count,
    sum(case when retained_count > 0 then 1 else 0 end) as retained_clusters,
    sum(case when customer_count > retained_count then 1 else 0 end) as gone_clusters
from clusters
group by horizon_code
