-- Grain: one row per (as_of_date, scored_within, dimension, value) that a scored customer has.
-- The histogram of distinct values knows everything that NTILE does: how many customers stand
-- before a value and how many share it. Scoring it instead of the customers is several times faster
-- and settles ties once.
{{ config(**sliced()) }}
{%- set dimensions = scored_measures() %}
{%- set tiles = var('score_tiles') | int %}
with

metrics as (

    select
        metrics.as_of_date,
        {% for measure in dimensions.values() %}
        metrics.{{ measure }},
        {% endfor %}
        score_groups.scored_within
    from {{ ref('int_customer_metrics') }} as metrics
    inner join {{ ref('int_score_groups') }} as score_groups
        on
            metrics.as_of_date = score_groups.as_of_date
            and metrics.score_group = score_groups.score_group
    where metrics.is_scored {{ only_due('metrics.as_of_date', 'and') }}

),

-- The whole base holds every scored customer, those of large groups too: small groups are compared
-- with all.
scored_bases as (

    select
        as_of_date,
        {% for measure in dimensions.values() %}
        {{ measure }},
        {% endfor %}
        '{{ whole_base() }}' as scored_within
    from metrics
    {% if score_group_column() is not none %}
    where
        exists (
            select 1 from {{ ref('int_score_groups') }} as score_groups
            where
                score_groups.as_of_date = metrics.as_of_date
                and score_groups.scored_within = '{{ whole_base() }}'
        )
    union all
    select
        as_of_date,
        {% for measure in dimensions.values() %}
        {{ measure }},
        {% endfor %}
        scored_within
    from metrics
    where scored_within <> '{{ whole_base() }}'
    {% endif %}

),

histogram as (

    {% for dimension, measure in dimensions.items() %}
    select
        as_of_date,
        scored_within,
        '{{ dimension }}' as dimension,
        -- A keyword of the SQL standard only; both engines take it as a name.
        cast({{ measure }} as {{ type_money() }}) as value, -- noqa: RF04
        cast({{ '-' if 'recency' in dimension }}{{ measure }} as {{ type_money() }}) as goodness,
        count(*) as customer_count
    from scored_bases
    group by as_of_date, scored_within, {{ measure }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

placed as (

    select
        as_of_date,
        scored_within,
        dimension,
        value,
        customer_count,
        cast(
            sum(customer_count) over (
                partition by as_of_date, scored_within, dimension order by goodness
                rows between unbounded preceding and current row
            ) as bigint
        ) - customer_count as rows_before,
        cast(
            sum(customer_count) over (partition by as_of_date, scored_within, dimension) as bigint
        ) as row_count
    from histogram

),

-- One row per dimension that has fixed cut points, one column per edge.
fixed_edges as (

    select
        {% for score in range(2, tiles + 1) %}
        max(case when score = {{ score }} then edge_value end) as edge_{{ score }},
        {% endfor %}
        dimension
    from {{ ref('policy_fixed_cut_points') }}
    group by dimension

),

scored as (

    select
        placed.as_of_date,
        placed.scored_within,
        placed.dimension,
        placed.value,
        placed.customer_count,
        placed.rows_before,
        placed.row_count,
        fixed_edges.dimension is not null as is_fixed,
        {{ tile_of_position('placed.rows_before', 'placed.row_count', tiles) }} as ntile_score,
        {{ tile_of_position(
            '(placed.rows_before + placed.customer_count - 1)', 'placed.row_count', tiles
        ) }} as ntile_highest_score,
        {{ tile_of_position('placed.rows_before', 'placed.row_count', 5) }} as ntile_score_of_five,
        1
        {%- for score in range(2, tiles + 1) %}
        + case
            when
                (fixed_edges.dimension = 'recency' and placed.value <= fixed_edges.edge_{{ score }})
                or (
                    fixed_edges.dimension <> 'recency'
                    and placed.value >= fixed_edges.edge_{{ score }}
                )
                then 1
            else 0
        end
        {%- endfor %} as fixed_score
    from placed
    left join fixed_edges
        on replace(placed.dimension, 'sales_', '') = fixed_edges.dimension

)

select
    as_of_date,
    scored_within,
    dimension,
    value,
    case when is_fixed then fixed_score else ntile_score end as lowest_score,
    case when is_fixed then fixed_score else ntile_highest_score end as highest_score,
    {% if tiles == 5 -%}
    case when is_fixed then fixed_score else ntile_score_of_five end as lowest_score_of_five,
    {%- else -%}
    ntile_score_of_five as lowest_score_of_five,
    {%- endif %}
    customer_count,
    rows_before,
    row_count,
    is_fixed
from scored
