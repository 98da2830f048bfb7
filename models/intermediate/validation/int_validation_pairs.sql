-- Grain: one row per (horizon_code, dimension, segment_scheme, level, other_level) with customers
-- in common, a level with itself included: products of a cluster's counts in the two levels, added
-- up over the clusters. From these every clustered error over the pooled dates is made.
with

clusters as (

    select
        horizon_code,
        dimension,
        segment_scheme,
        level,
        cluster_id,
        sum(customer_count) as customer_count,
        sum(retained_count) as retained_count
    from {{ ref('int_validation_clusters') }}
    group by horizon_code, dimension, segment_scheme, level, cluster_id

)

select
    levels.horizon_code,
    levels.dimension,
    levels.segment_scheme,
    levels.level,
    other_levels.level as other_level,
    count(*) as cluster_count,
    {% for name, product in {
        'customers_customers': 'levels.customer_count * other_levels.customer_count',
        'customers_retained': 'levels.customer_count * other_levels.retained_count',
        'retained_customers': 'levels.retained_count * other_levels.customer_count',
        'retained_retained': 'levels.retained_count * other_levels.retained_count',
    }.items() %}
    cast(sum({{ product }}) as {{ type_double() }}) as {{ name }}{% if not loop.last %},{% endif %}
    {% endfor %}
from clusters as levels
inner join clusters as other_levels
    on
        levels.horizon_code = other_levels.horizon_code
        and levels.dimension = other_levels.dimension
        and levels.segment_scheme = other_levels.segment_scheme
        and levels.cluster_id = other_levels.cluster_id
group by
    levels.horizon_code,
    levels.dimension,
    levels.segment_scheme,
    levels.level,
    other_levels.level
