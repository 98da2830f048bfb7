-- Grain: one row per (scope, horizon_code, dimension, segment_scheme, level, other_level): how the
-- retention of a level differs from that of the one before it, or of any other segment of the
-- scheme. Pooled over the finished dates a difference is the mean of those within each date
-- (weights of Mantel and Haenszel, n₁ n₂ / (n₁ + n₂)): a level that is there in one season only is
-- held against who was there with it. The error is that of a score test, under the rate that both
-- have together, clustered by customer over the dates and never below that of independent
-- customers: that nobody of ten came back is no certainty.
{%- set double = type_double() %}
{%- set key = 'horizon_code, dimension, segment_scheme' %}
with

levels as (

    select
        scope,
        as_of_date,
        horizon_code,
        dimension,
        segment_scheme,
        level,
        level_rank,
        cast(customer_count as {{ double }}) as customer_count,
        cast(retained_count as {{ double }}) as retained_count
    from {{ ref('int_validation_levels') }}

),

ranked_levels as (

    select
        *,
        row_number() over (
            partition by scope, {{ key }}
            order by level_rank nulls first, level
        ) as place
    from levels

),

pairs as (

    select
        levels.scope,
        levels.as_of_date,
        levels.horizon_code,
        levels.dimension,
        levels.segment_scheme,
        levels.level,
        levels.level_rank,
        other_levels.level as other_level,
        other_levels.level_rank as other_level_rank
    from ranked_levels as levels
    inner join ranked_levels as other_levels
        on
            levels.scope = other_levels.scope
            and levels.horizon_code = other_levels.horizon_code
            and levels.dimension = other_levels.dimension
            and levels.segment_scheme = other_levels.segment_scheme
            and levels.place > other_levels.place
    where
        levels.dimension = 'segment'
        or (levels.level_rank is not null and levels.place = other_levels.place + 1)

),

-- A pair at the dates at which both levels are there; a pooled one at all of them.
by_date as (

    select
        pairs.scope,
        levels.as_of_date,
        pairs.horizon_code,
        pairs.dimension,
        pairs.segment_scheme,
        pairs.level,
        pairs.other_level,
        pairs.level_rank,
        pairs.other_level_rank,
        levels.customer_count,
        other_levels.customer_count as other_customer_count,
        levels.retained_count / levels.customer_count
        - other_levels.retained_count / other_levels.customer_count as rate_difference,
        (levels.retained_count + other_levels.retained_count)
        / (levels.customer_count + other_levels.customer_count) as joint_rate,
        levels.customer_count * other_levels.customer_count
        / (levels.customer_count + other_levels.customer_count) as weight
    from pairs
    inner join levels
        on
            pairs.horizon_code = levels.horizon_code
            and pairs.dimension = levels.dimension
            and pairs.segment_scheme = levels.segment_scheme
            and pairs.level = levels.level
            and levels.scope <> 'pooled'
    inner join levels as other_levels
        on
            levels.scope = other_levels.scope
            and pairs.horizon_code = other_levels.horizon_code
            and pairs.dimension = other_levels.dimension
            and pairs.segment_scheme = other_levels.segment_scheme
            and pairs.other_level = other_levels.level
    where pairs.scope in (levels.scope, 'pooled')

),

-- What one customer of the level weighs, and one of the other.
sides as (

    select
        as_of_date,
        {{ key }},
        level,
        other_level,
        level as side_level,
        joint_rate,
        weight / customer_count as customer_weight
    from by_date
    where scope = 'pooled'
    union all
    select
        as_of_date,
        {{ key }},
        level,
        other_level,
        other_level as side_level,
        joint_rate,
        -weight / other_customer_count as customer_weight
    from by_date
    where scope = 'pooled'

),

cluster_sums as (

    select
        sides.horizon_code,
        sides.dimension,
        sides.segment_scheme,
        sides.level,
        sides.other_level,
        clusters.cluster_id,
        sum(
            sides.customer_weight
            * (clusters.retained_count - sides.joint_rate * clusters.customer_count)
        ) as residual
    from sides
    inner join {{ ref('int_validation_clusters') }} as clusters
        on
            sides.as_of_date = clusters.as_of_date
            and sides.horizon_code = clusters.horizon_code
            and sides.dimension = clusters.dimension
            and sides.segment_scheme = clusters.segment_scheme
            and sides.side_level = clusters.level
    group by
        sides.horizon_code,
        sides.dimension,
        sides.segment_scheme,
        sides.level,
        sides.other_level,
        clusters.cluster_id

),

clustered as (

    select
        {{ key }},
        level,
        other_level,
        cast(sum(residual * residual) as {{ double }}) as residual_squares
    from cluster_sums
    group by {{ key }}, level, other_level

),

pooled as (

    select
        {{ key }},
        level,
        other_level,
        max(level_rank) as level_rank,
        max(other_level_rank) as other_level_rank,
        sum(weight) as weight,
        sum(weight * rate_difference) / sum(weight) as rate_difference,
        sum(weight * joint_rate * (1 - joint_rate)) as variance_of_independent
    from by_date
    where scope = 'pooled'
    group by {{ key }}, level, other_level

),

differences as (

    select
        scope,
        as_of_date,
        {{ key }},
        level,
        other_level,
        level_rank,
        other_level_rank,
        rate_difference,
        joint_rate * (1 - joint_rate) / weight as variance
    from by_date
    where scope <> 'pooled'
    union all
    select
        'pooled' as scope,
        cast(null as date) as as_of_date,
        pooled.horizon_code,
        pooled.dimension,
        pooled.segment_scheme,
        pooled.level,
        pooled.other_level,
        pooled.level_rank,
        pooled.other_level_rank,
        pooled.rate_difference,
        greatest(
            clustered.residual_squares * cluster_counts.cluster_count
            / greatest(cluster_counts.cluster_count - 1, 1),
            pooled.variance_of_independent
        ) / (pooled.weight * pooled.weight) as variance
    from pooled
    inner join clustered
        on
            pooled.horizon_code = clustered.horizon_code
            and pooled.dimension = clustered.dimension
            and pooled.segment_scheme = clustered.segment_scheme
            and pooled.level = clustered.level
            and pooled.other_level = clustered.other_level
    inner join {{ ref('int_validation_cluster_counts') }} as cluster_counts
        on pooled.horizon_code = cluster_counts.horizon_code

),

tested as (

    select
        *,
        case when variance > 1e-18 then sqrt(variance) end as standard_error,
        case
            when variance > 1e-18 then {{ nine_digits('rate_difference / sqrt(variance)') }}
        end as z_value
    from differences

)

select
    scope,
    as_of_date,
    horizon_code,
    dimension,
    segment_scheme,
    level,
    other_level,
    level_rank,
    other_level_rank,
    {{ nine_digits('rate_difference') }} as rate_difference,
    {{ nine_digits('standard_error') }} as standard_error,
    z_value,
    -- No chance at all is left where nobody or everybody came back in both.
    case
        when z_value is not null then {{ normal_tail('-z_value') }}
        else 1
    end as p_value_of_fall
from tested
