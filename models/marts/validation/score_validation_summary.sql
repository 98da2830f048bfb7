-- Grain: one row per (scope, horizon_code, dimension, segment_scheme): how well a score, or the
-- segments of a scheme in the order of value_rank, tell who comes back and who spends.
-- Scope: a finished date, or `pooled` over all of them, where errors are clustered by customer.
-- What cannot be known is null, and `note` says why.
{{ config(
    indexes=[
        {'columns': ['scope', 'horizon_code', 'dimension', 'segment_scheme'], 'unique': true},
    ] if target.type == 'postgres' else []
) }}
{%- set double = type_double() %}
{%- set string = dbt.type_string() %}
{%- set key = 'scope, horizon_code, dimension, segment_scheme' %}
{%- set z_95 = z_95() %}
{%- set least_for_error = 20 %}
with

dimensions as (

    {% for dimension in validated_scores() %}
    select
        '{{ dimension }}' as dimension,
        '(none)' as segment_scheme
    union all
    {% endfor %}
    select
        'segment' as dimension,
        segment_scheme
    from {{ ref('policy_segment_schemes') }}

),

windows as (

    select
        cast(as_of_date as {{ string }}) as scope,
        as_of_date,
        horizon_code,
        horizon_days
    from {{ ref('int_validation_windows') }}

),

horizons as (

    {% for horizon in ['horizon', 'cycle', 'year'] %}
    select '{{ horizon }}' as horizon_code
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

scopes as (

    select * from windows
    union all
    select
        'pooled' as scope,
        cast(null as date) as as_of_date,
        horizons.horizon_code,
        max(windows.horizon_days) as horizon_days
    from horizons
    left join windows
        on horizons.horizon_code = windows.horizon_code
    group by horizons.horizon_code

),

revenue_ranks as (

    select
        cast(as_of_date as {{ string }}) as scope,
        horizon_code,
        cast(
            4 * sum(revenue_rank_square_sum)
            - sum(cast(customer_count as numeric(20, 0)))
            * (sum(cast(customer_count as numeric(20, 0))) + 1)
            * (sum(cast(customer_count as numeric(20, 0))) + 1)
            as {{ double }}
        ) / 4 as squares
    from {{ ref('int_validation_cells') }}
    group by as_of_date, horizon_code

),

levels as (

    select
        scope,
        horizon_code,
        dimension,
        segment_scheme,
        level,
        level_rank,
        cast(customer_count as {{ double }}) as customer_count,
        cast(retained_count as {{ double }}) as retained_count,
        cast(customer_count - retained_count as {{ double }}) as gone_count,
        cast(revenue_rank_sum as {{ double }}) as revenue_rank_sum
    from {{ ref('int_validation_levels') }}

),

placed as (

    select
        *,
        sum(customer_count) over whole as total_count,
        sum(retained_count) over whole as total_retained,
        sum(gone_count) over whole as total_gone,
        count(*) over whole as level_count,
        (sum(customer_count) over up_to) - customer_count as below_count,
        sum(retained_count) over up_to as retained_up_to,
        (sum(gone_count) over up_to) - gone_count as gone_below
    from levels
    window
        whole as (partition by scope, horizon_code, dimension, segment_scheme),
        up_to as (
            partition by scope, horizon_code, dimension, segment_scheme
            order by level_rank
            rows between unbounded preceding and current row
        )

),

-- For each level the share of the gone that stand below it, and of the retained that stand above.
compared as (

    select
        *,
        below_count + (customer_count + 1) / 2 - (total_count + 1) / 2 as centred_rank,
        (gone_below + gone_count / 2) / nullif(total_gone, 0) as gone_below_share,
        (total_retained - retained_up_to + retained_count / 2) / nullif(total_retained, 0)
            as retained_above_share,
        greatest(
            least(
                0.2 * total_count - (total_count - below_count - customer_count), customer_count
            ),
            0
        ) as top_count
    from placed
    where level_rank is not null

),

areas as (

    select
        {{ key }},
        sum(retained_count * gone_below_share) / nullif(max(total_retained), 0) as auc
    from compared
    group by {{ key }}

),

influences as (

    select
        compared.*,
        areas.auc,
        (compared.gone_below_share - areas.auc) / nullif(compared.total_retained, 0)
            as retained_influence,
        (compared.retained_above_share - areas.auc) / nullif(compared.total_gone, 0)
            as gone_influence
    from compared
    inner join areas
        on
            compared.scope = areas.scope
            and compared.horizon_code = areas.horizon_code
            and compared.dimension = areas.dimension
            and compared.segment_scheme = areas.segment_scheme

),

measured as (

    select
        {{ key }},
        max(total_count) as total_count,
        max(total_retained) as total_retained,
        max(level_count) as level_count,
        max(auc) as auc,
        -- DeLong: customers of one date are independent of each other.
        sum(retained_count * retained_influence * retained_influence)
        * max(total_retained) / nullif(max(total_retained) - 1, 0)
        + sum(gone_count * gone_influence * gone_influence)
        * max(total_gone) / nullif(max(total_gone) - 1, 0) as variance_of_date,
        sum(centred_rank * retained_count) as retained_covariance,
        sum(centred_rank * revenue_rank_sum) as revenue_covariance,
        sum(customer_count * centred_rank * centred_rank) as rank_squares,
        sum(top_count * retained_count / customer_count) / nullif(0.2 * max(total_count), 0)
            as top_rate
    from influences
    group by {{ key }}

),

clustered as (

    select
        pairs.horizon_code,
        pairs.dimension,
        pairs.segment_scheme,
        sum(
            pairs.retained_retained
            * (own.retained_influence - own.gone_influence)
            * (other.retained_influence - other.gone_influence)
            + pairs.retained_customers
            * (own.retained_influence - own.gone_influence) * other.gone_influence
            + pairs.customers_retained
            * own.gone_influence * (other.retained_influence - other.gone_influence)
            + pairs.customers_customers * own.gone_influence * other.gone_influence
        ) as variance
    from {{ ref('int_validation_pairs') }} as pairs
    inner join influences as own
        on
            pairs.horizon_code = own.horizon_code
            and pairs.dimension = own.dimension
            and pairs.segment_scheme = own.segment_scheme
            and pairs.level = own.level
            and own.scope = 'pooled'
    inner join influences as other
        on
            pairs.horizon_code = other.horizon_code
            and pairs.dimension = other.dimension
            and pairs.segment_scheme = other.segment_scheme
            and pairs.other_level = other.level
            and other.scope = 'pooled'
    group by pairs.horizon_code, pairs.dimension, pairs.segment_scheme

),

changes as (

    select
        {{ key }},
        count(change_from_level_before) as comparison_count,
        sum(case when change_from_level_before < 0 then 1 else 0 end) as fall_count,
        -min(case when change_from_level_before < 0 then change_from_level_before end)
            as largest_fall,
        min(p_value_of_fall) as smallest_p_value
    from {{ ref('score_retention_validation') }}
    group by {{ key }}

),

correlated as (

    select
        measured.*,
        measured.total_retained / measured.total_count as retention_rate,
        case
            when measured.scope <> 'pooled'
                then least(measured.total_retained, measured.total_count - measured.total_retained)
            else least(cluster_counts.retained_clusters, cluster_counts.gone_clusters)
        end as rarer_count,
        case
            when measured.scope <> 'pooled' then measured.variance_of_date
            else
                clustered.variance * cluster_counts.cluster_count
                / nullif(cluster_counts.cluster_count - 1, 0)
        end as auc_variance,
        measured.retained_covariance / nullif(
            sqrt(
                measured.rank_squares * measured.total_retained
                * (1 - measured.total_retained / measured.total_count)
            ),
            0
        ) as retention_correlation,
        measured.revenue_covariance
        / nullif(sqrt(measured.rank_squares * revenue_ranks.squares), 0) as revenue_correlation
    from measured
    left join clustered
        on
            measured.scope = 'pooled'
            and measured.horizon_code = clustered.horizon_code
            and measured.dimension = clustered.dimension
            and measured.segment_scheme = clustered.segment_scheme
    left join {{ ref('int_validation_cluster_counts') }} as cluster_counts
        on measured.horizon_code = cluster_counts.horizon_code
    left join revenue_ranks
        on
            measured.scope = revenue_ranks.scope
            and measured.horizon_code = revenue_ranks.horizon_code

),

-- An error needs 20 customers who came back and 20 who did not: a handful who happen to share a
-- score would be a certainty. One that is 0 but for rounding says nothing either.
with_errors as (

    select
        *,
        case
            when level_count > 1 and rarer_count >= {{ least_for_error }} and auc_variance > 1e-18
                then sqrt(auc_variance)
        end as auc_standard_error
    from correlated

),

totals as (

    select
        {{ key }},
        sum(customer_count) as customer_count,
        sum(retained_count) as retained_count
    from {{ ref('int_validation_levels') }}
    group by {{ key }}

),

-- Ranks are those within a date, so a correlation over several dates is the mean of theirs.
mean_correlations as (

    select
        horizon_code,
        dimension,
        segment_scheme,
        sum(retention_correlation * total_count)
        / nullif(sum(case when retention_correlation is not null then total_count end), 0)
            as retention_correlation,
        sum(revenue_correlation * total_count)
        / nullif(sum(case when revenue_correlation is not null then total_count end), 0)
            as revenue_correlation
    from with_errors
    where scope <> 'pooled'
    group by horizon_code, dimension, segment_scheme

)

select
    scopes.scope,
    scopes.as_of_date,
    scopes.horizon_code,
    dimensions.dimension,
    dimensions.segment_scheme,
    cast(scopes.horizon_days as integer) as horizon_days,
    cast(coalesce(totals.customer_count, 0) as bigint) as customer_count,
    cast(coalesce(totals.retained_count, 0) as bigint) as retained_count,
    {{ nine_digits('cast(totals.retained_count as ' ~ double ~ ') / totals.customer_count') }}
        as retention_rate,
    case when correlated.level_count > 1 then {{ nine_digits('correlated.auc') }} end as auc,
    case
        when correlated.auc_standard_error is not null
            then {{ nine_digits(
                'greatest(correlated.auc - ' ~ z_95 ~ ' * correlated.auc_standard_error, 0)'
            ) }}
    end as auc_low,
    case
        when correlated.auc_standard_error is not null
            then {{ nine_digits(
                'least(correlated.auc + ' ~ z_95 ~ ' * correlated.auc_standard_error, 1)'
            ) }}
    end as auc_high,
    {{ nine_digits('correlated.auc_standard_error') }} as auc_standard_error,
    case
        when scopes.scope = 'pooled'
            then {{ nine_digits('mean_correlations.retention_correlation') }}
        else {{ nine_digits('correlated.retention_correlation') }}
    end as spearman_retention,
    case
        when scopes.scope = 'pooled'
            then {{ nine_digits('mean_correlations.revenue_correlation') }}
        else {{ nine_digits('correlated.revenue_correlation') }}
    end as spearman_revenue,
    case
        when correlated.level_count > 1
            then {{ nine_digits(
                'correlated.top_rate / nullif(correlated.retention_rate, 0)'
            ) }}
    end as top_quintile_lift,
    cast(coalesce(correlated.level_count, 0) as integer) as level_count,
    case when changes.comparison_count > 0 then changes.fall_count = 0 end as is_monotone,
    cast(changes.fall_count as integer) as fall_count,
    coalesce(changes.largest_fall, case when changes.comparison_count > 0 then 0 end)
        as largest_fall,
    case
        when changes.comparison_count > 0
            then least(changes.smallest_p_value * changes.comparison_count, 1)
    end as fall_p_value,
    case
        when scopes.horizon_days is null then {{ no_finished_date() }}
        when tiles.score_tiles <> {{ var('score_tiles') }}
            then {{ dbt.concat(["'The scheme is written for '", number_text('tiles.score_tiles'),
                "' tiles'"]) }}
        when totals.customer_count is null and dimensions.dimension = 'engagement_score'
            then 'No engagement events are in use'
        when totals.customer_count is null and scopes.scope = 'pooled'
            then {{ nobody_was_scored() }}
        when totals.customer_count is null then 'No scored customers'
        when dimensions.dimension = 'lifecycle_stage' then 'Stages have no order'
        when totals.retained_count = 0 then 'Nobody came back, so nothing can be told apart'
        when totals.retained_count = totals.customer_count
            then 'Everybody came back, so nothing can be told apart'
        when correlated.level_count = 1 then 'All customers have the same score'
        when correlated.rarer_count < {{ least_for_error }}
            then
                'Fewer than {{ least_for_error }} customers came back, or fewer than'
                || ' {{ least_for_error }} did not: too few for an interval, so not judged'
        when correlated.auc_standard_error is null
            then
                'The score parts those who came back from those who did not without a single'
                || ' exception: no interval, so not judged'
        when dimensions.segment_scheme = 'discovered'
            then 'Found in the customers of today, so it has seen what they did after the date'
    end as note
from scopes
cross join dimensions
left join totals
    on
        scopes.scope = totals.scope
        and scopes.horizon_code = totals.horizon_code
        and dimensions.dimension = totals.dimension
        and dimensions.segment_scheme = totals.segment_scheme
left join with_errors as correlated
    on
        scopes.scope = correlated.scope
        and scopes.horizon_code = correlated.horizon_code
        and dimensions.dimension = correlated.dimension
        and dimensions.segment_scheme = correlated.segment_scheme
left join mean_correlations
    on
        scopes.horizon_code = mean_correlations.horizon_code
        and dimensions.dimension = mean_correlations.dimension
        and dimensions.segment_scheme = mean_correlations.segment_scheme
left join {{ ref('policy_segment_schemes') }} as tiles
    on dimensions.segment_scheme = tiles.segment_scheme
left join changes
    on
        scopes.scope = changes.scope
        and scopes.horizon_code = changes.horizon_code
        and dimensions.dimension = changes.dimension
        and dimensions.segment_scheme = changes.segment_scheme
