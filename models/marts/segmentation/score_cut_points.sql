-- Grain: one row per (as_of_date, score_group, dimension, score) that anybody has.
-- `score_group` is the base that was scored: a group of its own, or the whole base. Under
-- tie_method split a value at an edge belongs to two scores, so the ranges touch and the counts are
-- those of the tiles.
{%- set tiles = var('score_tiles') | int %}
with

value_tiles as (

    select
        as_of_date,
        scored_within as score_group,
        dimension,
        value,
        lowest_score,
        {{ 'highest_score' if var('tie_method') == 'split' else 'lowest_score' }} as highest_score,
        customer_count,
        rows_before,
        row_count,
        is_fixed
    from {{ ref('int_score_tiles') }}
    where dimension not like 'sales%'

),

scores as (

    {{ dbt_utils.generate_series(10) }}

),

value_scores as (

    select
        value_tiles.as_of_date,
        value_tiles.score_group,
        value_tiles.dimension,
        cast(scores.generated_number as integer) as score,
        value_tiles.value,
        value_tiles.customer_count,
        value_tiles.row_count,
        value_tiles.is_fixed
    from value_tiles
    inner join scores
        on scores.generated_number between value_tiles.lowest_score and value_tiles.highest_score

),

cut_points as (

    select
        as_of_date,
        score_group,
        dimension,
        score,
        cast(min(value) as {{ type_money() }}) as lowest_value,
        cast(max(value) as {{ type_money() }}) as highest_value,
        {%- if var('tie_method') == 'split' %}
        cast(case
            when max(case when is_fixed then 1 else 0 end) = 1 then sum(customer_count)
            else {{ tile_size('max(row_count)', 'score', tiles) }}
        end as integer) as customer_count,
        {%- else %}
        cast(sum(customer_count) as integer) as customer_count,
        {%- endif %}
        max(case when is_fixed then 1 else 0 end) = 1 as is_fixed
    from value_scores
    group by as_of_date, score_group, dimension, score

)

select
    cut_points.as_of_date,
    cut_points.score_group,
    cut_points.dimension,
    cut_points.score,
    cut_points.lowest_value,
    cut_points.highest_value,
    cut_points.customer_count,
    cut_points.is_fixed,
    drift.population_stability_index,
    drift.reference_date,
    cast({{ var('max_stability_index') }} as {{ type_double() }}) as max_stability_index,
    case
        when drift.reference_date is null
            then
                'Nothing to compare with: no date of the history lies retention_horizon_days after'
                || ' the first order'
        when drift.as_of_date = drift.reference_date then 'The date that others are compared with'
        when
            drift.population_stability_index - drift.index_by_chance
            <= {{ var('max_stability_index') }}
            then 'The boundaries hold'
        {%- if var('lookback_days') is none %}
        when cut_points.dimension <> 'recency'
            then {{ dbt.concat(what_moved('drift') + [
                "': without lookback_days orders and revenue only pile up. Set lookback_days to"
                ~ " compare like with like'",
            ]) }}
        {%- endif %}
        else {{ dbt.concat(what_moved('drift') + ["'. '", after_a_move('cut_points.is_fixed')]) }}
    end as stability_note
from cut_points
left join {{ ref('int_score_drift') }} as drift
    on
        cut_points.as_of_date = drift.as_of_date
        and cut_points.score_group = drift.score_group
        and cut_points.dimension = drift.dimension
