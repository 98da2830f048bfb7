-- Grain: one row per (scope, horizon_code, dimension, segment_scheme, level): how many of the
-- customers of a level came back within the window, and what they ordered and paid there.
-- Over the pooled dates the interval is that of as many independent customers as carry the same
-- information (errors clustered by customer).
{{ config(
    indexes=[
        {
            'columns': ['scope', 'horizon_code', 'dimension', 'segment_scheme', 'level'],
            'unique': true,
        },
    ] if target.type == 'postgres' else []
) }}
{%- set double = type_double() %}
with

windows as (

    select distinct
        horizon_code,
        horizon_days
    from {{ ref('int_validation_windows') }}

),

levels as (

    select
        levels.*,
        cast(levels.customer_count as {{ double }}) as row_count,
        cast(levels.retained_count as {{ double }}) / levels.customer_count as retention_rate,
        case
            when levels.level_rank is not null
                then lag(levels.level) over (
                    partition by
                        levels.scope, levels.horizon_code, levels.dimension, levels.segment_scheme
                    order by levels.level_rank
                )
        end as level_before
    from {{ ref('int_validation_levels') }} as levels

),

-- On how many dates somebody was in a level: a customer is in it once a date at most.
level_dates as (

    select
        horizon_code,
        dimension,
        segment_scheme,
        level,
        cast(count(*) as {{ double }}) as date_count
    from {{ ref('int_validation_levels') }}
    where scope <> 'pooled'
    group by horizon_code, dimension, segment_scheme, level

),

-- How many rows weigh as much as one independent customer: never less than one, since that few
-- customers happened to take turns is no information. Where nobody or everybody came back it is how
-- often a customer is there, which groups of customers (see int_validation_cells) overstate.
with_design_effects as (

    select
        levels.*,
        windows.horizon_days,
        case
            when levels.scope <> 'pooled' then 1
            when levels.retained_count in (0, levels.customer_count)
                then least(pairs.customers_customers / levels.row_count, level_dates.date_count)
            else
                greatest(
                    cast(cluster_counts.cluster_count as {{ double }})
                    / nullif(cluster_counts.cluster_count - 1, 0)
                    * (
                        pairs.retained_retained
                        - 2 * levels.retention_rate * pairs.customers_retained
                        + levels.retention_rate * levels.retention_rate * pairs.customers_customers
                    )
                    / (levels.retention_rate * (1 - levels.retention_rate) * levels.row_count),
                    1
                )
        end as design_effect
    from levels
    inner join windows
        on levels.horizon_code = windows.horizon_code
    left join {{ ref('int_validation_cluster_counts') }} as cluster_counts
        on levels.horizon_code = cluster_counts.horizon_code
    left join level_dates
        on
            levels.horizon_code = level_dates.horizon_code
            and levels.dimension = level_dates.dimension
            and levels.segment_scheme = level_dates.segment_scheme
            and levels.level = level_dates.level
    left join {{ ref('int_validation_pairs') }} as pairs
        on
            levels.horizon_code = pairs.horizon_code
            and levels.dimension = pairs.dimension
            and levels.segment_scheme = pairs.segment_scheme
            and levels.level = pairs.level
            and levels.level = pairs.other_level

),

with_counts as (

    select
        *,
        row_count / coalesce(design_effect, 1) as effective_count
    from with_design_effects

)

select
    levels.scope,
    levels.as_of_date,
    levels.horizon_code,
    levels.dimension,
    levels.segment_scheme,
    levels.level,
    levels.level_rank,
    cast(levels.horizon_days as integer) as horizon_days,
    levels.customer_count,
    levels.retained_count,
    {{ nine_digits('levels.retention_rate') }} as retention_rate,
    {{ nine_digits(wilson_bound('levels.retention_rate', 'levels.effective_count', 'low')) }}
        as retention_low,
    {{ nine_digits(wilson_bound('levels.retention_rate', 'levels.effective_count', 'high')) }}
        as retention_high,
    {{ nine_digits('cast(levels.order_count as ' ~ double ~ ') / levels.row_count') }}
        as orders_per_customer,
    {{ money_per("levels.net_revenue", "levels.customer_count") }} as revenue_per_customer,
    levels.net_revenue,
    levels.level_before,
    differences.rate_difference as change_from_level_before,
    differences.standard_error as change_standard_error,
    differences.p_value_of_fall
from with_counts as levels
left join {{ ref('int_validation_differences') }} as differences
    on
        levels.scope = differences.scope
        and levels.horizon_code = differences.horizon_code
        and levels.dimension = differences.dimension
        and levels.segment_scheme = differences.segment_scheme
        and levels.level = differences.level
        and levels.level_before = differences.other_level
