-- Grain: one row per (scope, horizon_code, segment_scheme): how well the segments of each scheme
-- keep those apart who came back and who did not, and those who spent much and little.
-- Rank 1 separates best. Both measures allow for the number of segments: more of them do not win by
-- being more. Over the pooled dates they are the means of the dates, weighted by customers.
{{ config(
    indexes=[
        {'columns': ['scope', 'horizon_code', 'segment_scheme'], 'unique': true},
    ] if target.type == 'postgres' else []
) }}
{%- set double = type_double() %}
with

levels as (

    select
        scope,
        as_of_date,
        horizon_code,
        segment_scheme,
        cast(customer_count as {{ double }}) as customer_count,
        cast(retained_count as {{ double }}) as retained_count,
        cast(customer_count - retained_count as {{ double }}) as gone_count,
        cast(revenue_rank_sum as {{ double }}) as revenue_rank_sum
    from {{ ref('int_validation_levels') }}
    where dimension = 'segment' and as_of_date is not null

),

totals as (

    select
        as_of_date,
        horizon_code,
        segment_scheme,
        sum(customer_count) as customer_count,
        sum(retained_count) as retained_count,
        sum(gone_count) as gone_count,
        cast(count(*) as {{ double }}) as segment_count
    from levels
    group by as_of_date, horizon_code, segment_scheme

),

revenue_squares as (

    select
        as_of_date,
        horizon_code,
        cast(sum(revenue_rank_square_sum) as {{ double }}) as rank_square_sum
    from {{ ref('int_validation_cells') }}
    group by as_of_date, horizon_code

),

sums as (

    select
        levels.as_of_date,
        levels.horizon_code,
        levels.segment_scheme,
        max(totals.customer_count) as customer_count,
        max(totals.retained_count) as retained_count,
        max(totals.gone_count) as gone_count,
        max(totals.segment_count) as segment_count,
        sum(
            levels.customer_count
            * power(
                levels.retained_count / levels.customer_count
                - totals.retained_count / totals.customer_count,
                2
            )
        ) as retention_between,
        sum(
            levels.customer_count
            * power(
                levels.revenue_rank_sum / levels.customer_count
                - (totals.customer_count + 1) / 2,
                2
            )
        ) as revenue_between,
        sum(
            {{ information_of_level('levels', 'totals', 'totals.segment_count') }}
        ) as information_value
    from levels
    inner join totals
        on
            levels.as_of_date = totals.as_of_date
            and levels.horizon_code = totals.horizon_code
            and levels.segment_scheme = totals.segment_scheme
    group by levels.as_of_date, levels.horizon_code, levels.segment_scheme

),

squares as (

    select
        sums.*,
        sums.retained_count * sums.gone_count / sums.customer_count as retention_total,
        revenue_squares.rank_square_sum
        - sums.customer_count * power((sums.customer_count + 1) / 2, 2) as revenue_total,
        (sums.segment_count - 1) / nullif(sums.customer_count - sums.segment_count, 0)
            as freedom_ratio
    from sums
    inner join revenue_squares
        on
            sums.as_of_date = revenue_squares.as_of_date
            and sums.horizon_code = revenue_squares.horizon_code

),

measured as (

    select
        as_of_date,
        horizon_code,
        segment_scheme,
        case
            when segment_count > 1
                then
                    (
                        retention_between
                        - freedom_ratio * (retention_total - retention_between)
                    )
                    / nullif(retention_total, 0)
        end as epsilon_squared_retention,
        case
            when segment_count > 1
                then
                    (revenue_between - freedom_ratio * (revenue_total - revenue_between))
                    / nullif(revenue_total, 0)
        end as epsilon_squared_revenue,
        case
            when segment_count > 1 and retained_count > 0 and gone_count > 0
                then
                    information_value
                    - (segment_count - 1) * (1 / retained_count + 1 / gone_count)
        end as information_value,
        customer_count,
        segment_count
    from squares

),

scoped as (

    select
        cast(measured.as_of_date as {{ dbt.type_string() }}) as scope,
        measured.*
    from measured
    union all
    select
        'pooled' as scope,
        cast(null as date) as as_of_date,
        horizon_code,
        segment_scheme,
        {% for measure in [
            'epsilon_squared_retention', 'epsilon_squared_revenue', 'information_value'
        ] %}
        sum({{ measure }} * customer_count)
        / nullif(sum(case when {{ measure }} is not null then customer_count end), 0)
            as {{ measure }},
        {% endfor %}
        sum(customer_count) as customer_count,
        max(segment_count) as segment_count
    from measured
    group by horizon_code, segment_scheme

),

-- All schemes at all dates, also where there is nothing to say.
wanted as (

    select
        cast(as_of_date as {{ dbt.type_string() }}) as scope,
        as_of_date,
        horizon_code,
        horizon_days
    from {{ ref('int_validation_windows') }}
    {% for horizon in ['horizon', 'cycle', 'year'] %}
    union all
    select
        'pooled' as scope,
        cast(null as date) as as_of_date,
        '{{ horizon }}' as horizon_code,
        max(horizon_days) as horizon_days
    from {{ ref('int_validation_windows') }}
    where horizon_code = '{{ horizon }}'
    {% endfor %}

),

rounded as (

    select
        scope,
        horizon_code,
        segment_scheme,
        customer_count,
        segment_count,
        {% for measure in [
            'epsilon_squared_retention', 'epsilon_squared_revenue', 'information_value'
        ] %}
        {{ nine_digits(measure) }} as {{ measure }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from scoped

)

select
    wanted.scope,
    wanted.as_of_date,
    wanted.horizon_code,
    schemes.segment_scheme,
    cast(wanted.horizon_days as integer) as horizon_days,
    cast(coalesce(rounded.customer_count, 0) as bigint) as customer_count,
    cast(coalesce(rounded.segment_count, 0) as integer) as segment_count,
    rounded.epsilon_squared_retention,
    rounded.epsilon_squared_revenue,
    rounded.information_value,
    {% for rank, measure in {
        'retention_rank': 'epsilon_squared_retention', 'revenue_rank': 'epsilon_squared_revenue'
    }.items() %}
    case
        when rounded.{{ measure }} is not null
            then cast(
                rank() over (
                    partition by wanted.scope, wanted.horizon_code
                    order by rounded.{{ measure }} desc nulls last
                ) as integer
            )
    end as {{ rank }},
    {% endfor %}
    case
        when wanted.horizon_days is null
            then {{ no_finished_date() }}
        when schemes.score_tiles <> {{ var('score_tiles') }}
            then {{ dbt.concat([
                "'The scheme is written for '", number_text('schemes.score_tiles'), "' tiles'"
            ]) }}
        when rounded.segment_count is null then 'No scored customers'
        when rounded.segment_count = 1 then 'All customers are in one segment'
        when rounded.customer_count = rounded.segment_count then 'As many segments as customers'
        when rounded.epsilon_squared_retention is null
            then 'Nobody or everybody came back, so nothing can be told apart'
        when schemes.segment_scheme = 'discovered'
            then 'Found in the customers of today, so it has seen what they did after the date'
    end as note
from wanted
cross join {{ ref('policy_segment_schemes') }} as schemes
left join rounded
    on
        wanted.scope = rounded.scope
        and wanted.horizon_code = rounded.horizon_code
        and schemes.segment_scheme = rounded.segment_scheme
