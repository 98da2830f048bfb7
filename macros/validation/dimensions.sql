{#- What is held against what customers did afterwards: {dimension: (the level as text, its order,
    higher = better)}. Segments of every scheme come beside these. -#}
{% macro validated_scores() %}
    {%- set string = dbt.type_string() -%}
    {%- set double = type_double() -%}
    {%- set scores = {} -%}
    {%- for name in ['recency_score', 'frequency_score', 'monetary_score'] -%}
        {%- do scores.update({
            name: ["cast(" ~ name ~ " as " ~ string ~ ")", "cast(" ~ name ~ " as " ~ double ~ ")"]
        }) -%}
    {%- endfor -%}
    {%- do scores.update({
        'rfm_score': [
            "cast(cast(rfm_score as numeric(8, 3)) as " ~ string ~ ")",
            "cast(cast(rfm_score as numeric(8, 3)) as " ~ double ~ ")",
        ],
        'engagement_score': [
            "cast(engagement_score as " ~ string ~ ")", "cast(engagement_score as " ~ double ~ ")",
        ],
        'lifecycle_stage': ["lifecycle_stage", "cast(null as " ~ double ~ ")"],
    }) -%}
    {{ return(scores) }}
{% endmacro %}


{#- Why nothing is known where no date is finished, as SQL text literals: no such date, and nobody who
    was scored at one. -#}
{% macro no_finished_date() %}
    {{ return(text_literal(
        'There is no history to look back at (the var history_periods is 0)'
        if var('history_periods') == 0 else
        'No date of the history is so long ago that the days after it are complete'
        ~ ' (the var history_periods says how far it reaches, if the sales do)'
    )) }}
{% endmacro %}

{% macro nobody_was_scored() %}
    {{ return(text_literal(
        'Nobody was scored at a date so long ago that the days after it are complete'
        ~ ' (the var history_periods says how far the history reaches, if the sales do)'
    )) }}
{% endmacro %}


{#- int_validation_cells summed up by dimension and level.

    `keys`: columns of the cells to keep apart; `measures`: columns to add up. The level of a segment
    is its key, ordered by value_rank; a lifecycle stage has no order. Schemes that are written for
    another number of tiles are left out. -#}
{% macro cells_by_level(keys, measures) %}
{% for dimension, (level, level_rank) in validated_scores().items() %}
select
    {% for key in keys %}
    {{ key }},
    {% endfor %}
    '{{ dimension }}' as dimension,
    '(none)' as segment_scheme,
    {{ level }} as level,
    {{ level_rank }} as level_rank,
    {% for measure in measures %}
    sum({{ measure }}) as {{ measure }}{% if not loop.last %},{% endif %}
    {% endfor %}
from {{ ref('int_validation_cells') }}
{% if dimension == 'engagement_score' %}
where engagement_score is not null
{% endif %}
group by
    {% for key in keys %}
    {{ key }},
    {% endfor %}
    {{ level }},
    {{ level_rank }}
union all
{% endfor %}
select
    {% for key in keys %}
    cells.{{ key }},
    {% endfor %}
    'segment' as dimension,
    score_cells.segment_scheme,
    score_cells.segment_key as level,
    cast(-segments.value_rank as {{ type_double() }}) as level_rank,
    {% for measure in measures %}
    sum(cells.{{ measure }}) as {{ measure }}{% if not loop.last %},{% endif %}
    {% endfor %}
from {{ ref('int_validation_cells') }} as cells
inner join {{ ref('segment_score_cells') }} as score_cells
    on
        cells.lifecycle_stage = score_cells.lifecycle_stage
        and cells.recency_score = score_cells.recency_score
        and cells.frequency_score = score_cells.frequency_score
        and cells.monetary_score = score_cells.monetary_score
inner join {{ ref('policy_segment_schemes') }} as schemes
    on
        score_cells.segment_scheme = schemes.segment_scheme
        and schemes.score_tiles = {{ var('score_tiles') }}
inner join {{ ref('policy_segments') }} as segments
    on score_cells.segment_key = segments.segment_key
group by
    {% for key in keys %}
    cells.{{ key }},
    {% endfor %}
    score_cells.segment_scheme,
    score_cells.segment_key,
    segments.value_rank
{% endmacro %}
