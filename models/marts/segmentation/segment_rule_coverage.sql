-- Grain: one row per rule of segment_rules.csv.
-- What a rule asks for and what earlier rules leave it are two things: core_five's At Risk asks for
-- a frequency score of 3 or more and gets only 3. A rule that gets nothing is unreachable.
{%- set dimensions = ['recency', 'frequency', 'monetary'] %}
with

rules as (

    select
        rules.*,
        schemes.score_tiles
    from {{ ref('policy_segment_rules') }} as rules
    inner join {{ ref('policy_segment_schemes') }} as schemes
        on rules.segment_scheme = schemes.segment_scheme

),

won_cells as (

    select
        segment_scheme,
        match_order,
        {% for dimension in dimensions %}
        min({{ dimension }}_score) as {{ dimension }}_won_min,
        max({{ dimension }}_score) as {{ dimension }}_won_max,
        {% endfor %}
        count(distinct 10000 * recency_score + 100 * frequency_score + monetary_score)
            as cell_count,
        count(distinct lifecycle_stage) as stage_count
    from {{ ref('segment_score_cells') }}
    group by segment_scheme, match_order

)

select
    rules.segment_scheme,
    rules.match_order,
    {{ dbt.concat(['rules.segment_scheme', "':'", 'rules.segment_code']) }} as segment_key,
    {%- for dimension in dimensions %}
    coalesce(rules.{{ dimension }}_min, 1) as {{ dimension }}_asked_min,
    coalesce(rules.{{ dimension }}_max, rules.score_tiles) as {{ dimension }}_asked_max,
    won_cells.{{ dimension }}_won_min,
    won_cells.{{ dimension }}_won_max,
    {%- endfor %}
    rules.lifecycle_stage as asked_stage,
    cast(coalesce(won_cells.stage_count, 0) as integer) as won_stage_count,
    cast(
        {% for dimension in dimensions -%}
        {% if not loop.first %}* {% endif -%}
        (
            coalesce(rules.{{ dimension }}_max, rules.score_tiles)
            - coalesce(rules.{{ dimension }}_min, 1)
            + 1
        )
        {% endfor %}
        as integer
    ) as asked_cell_count,
    cast(coalesce(won_cells.cell_count, 0) as integer) as won_cell_count,
    won_cells.cell_count is not null as is_reachable
from rules
left join won_cells
    on
        rules.segment_scheme = won_cells.segment_scheme
        and rules.match_order = won_cells.match_order
