-- Grain: one row per (scope, horizon_code, dimension, segment_scheme, level, other_level) of two
-- different levels: the difference of their retention, and its error.
-- The error is that of a score test: under the rate that both have together, so that a level of a few
-- customers who all came back is no certainty. Over the pooled dates it is clustered.
{%- set double = type_double() %}
{%- set variances = {} %}
{%- for name, alias in {
    'own': 'own_pairs', 'other': 'other_pairs', 'joint': 'joint_pairs'
}.items() %}
{%- do variances.update({name: "coalesce({0}.retained_retained - differences.joint_rate * ({0}.retained_customers"
    " + {0}.customers_retained) + differences.joint_rate * differences.joint_rate"
    " * {0}.customers_customers, 0)".format(alias)}) %}
{%- endfor %}
with

levels as (

    select
        *,
        cast(retained_count as {{ double }}) / customer_count as retention_rate
    from {{ ref('int_validation_levels') }}

),

cluster_counts as (

    select
        horizon_code,
        cast(count(distinct cluster_id) as {{ double }}) as cluster_count
    from {{ ref('int_validation_clusters') }}
    where dimension = 'recency_score'
    group by horizon_code

),

differences as (

    select
        levels.scope,
        levels.as_of_date,
        levels.horizon_code,
        levels.dimension,
        levels.segment_scheme,
        levels.level,
        others.level as other_level,
        levels.level_rank,
        others.level_rank as other_level_rank,
        cast(levels.customer_count as {{ double }}) as customer_count,
        cast(others.customer_count as {{ double }}) as other_customer_count,
        levels.retention_rate - others.retention_rate as rate_difference,
        cast(levels.retained_count + others.retained_count as {{ double }})
        / (levels.customer_count + others.customer_count) as joint_rate
    from levels
    inner join levels as others
        on
            levels.scope = others.scope
            and levels.horizon_code = others.horizon_code
            and levels.dimension = others.dimension
            and levels.segment_scheme = others.segment_scheme
            and levels.level <> others.level

),

variances as (

    select
        differences.*,
        case
            when differences.scope = 'pooled' and cluster_counts.cluster_count > 1
                then
                    cluster_counts.cluster_count / (cluster_counts.cluster_count - 1)
                    * (
                        {{ variances['own'] }}
                        / (differences.customer_count * differences.customer_count)
                        + {{ variances['other'] }}
                        / (differences.other_customer_count * differences.other_customer_count)
                        - 2 * {{ variances['joint'] }}
                        / (differences.customer_count * differences.other_customer_count)
                    )
            when differences.scope <> 'pooled'
                then
                    differences.joint_rate * (1 - differences.joint_rate)
                    * (1 / differences.customer_count + 1 / differences.other_customer_count)
        end as variance
    from differences
    left join cluster_counts
        on differences.horizon_code = cluster_counts.horizon_code
    {% for alias, sides in {
        'own_pairs': ['level', 'level'], 'other_pairs': ['other_level', 'other_level'],
        'joint_pairs': ['level', 'other_level'],
    }.items() %}
    left join {{ ref('int_validation_pairs') }} as {{ alias }}
        on
            differences.horizon_code = {{ alias }}.horizon_code
            and differences.dimension = {{ alias }}.dimension
            and differences.segment_scheme = {{ alias }}.segment_scheme
            and differences.{{ sides[0] }} = {{ alias }}.level
            and differences.{{ sides[1] }} = {{ alias }}.other_level
    {% endfor %}

),

tested as (

    select
        *,
        case
            when variance > 1e-18 then rate_difference / sqrt(variance)
        end as z_value
    from variances

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
    rate_difference,
    case when variance > 1e-18 then sqrt(variance) end as standard_error,
    z_value,
    -- No chance at all is left where nobody or everybody came back in both.
    case
        when z_value is not null then {{ normal_tail('-z_value') }}
        else 1
    end as p_value_of_fall
from tested
