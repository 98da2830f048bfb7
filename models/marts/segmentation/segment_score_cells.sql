-- Grain: one row per (segment_scheme, lifecycle_stage, recency_score, frequency_score,
-- monetary_score) that a scored customer can have.
-- The rules are resolved here, over a few hundred cells and not over customers. Under the scheme
-- `discovered` a cell belongs to the cluster it lies in, whatever the scores of the rule.
{%- set dimensions = ['recency', 'frequency', 'monetary'] %}
{%- set is_discovered = var('segment_scheme') == 'discovered' %}
{%- set keys = [
    'segment_scheme', 'lifecycle_stage', 'recency_score', 'frequency_score', 'monetary_score',
] %}
with

schemes as (

    select
        segment_scheme,
        score_tiles
    from {{ ref('policy_segment_schemes') }}

),

rules as (

    select * from {{ ref('policy_segment_rules') }}

),

segments as (

    select
        segment_scheme,
        segment_code,
        segment_key,
        segment_name,
        value_rank
    from {{ ref('policy_segments') }}

),

scores as (

    {{ dbt_utils.generate_series(10) }}

),

stages as (

    {% for stage in scored_stages() %}
    select '{{ stage }}' as lifecycle_stage
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

next_stages as (

    {% for stage, followers in scored_stages().items() %}
    {%- set stage_loop = loop %}
    {% for follower in followers %}
    select
        '{{ stage }}' as lifecycle_stage,
        '{{ follower }}' as next_stage
    {% if not (loop.last and stage_loop.last) %}union all{% endif %}
    {% endfor %}
    {% endfor %}

),

cells as (

    select
        schemes.segment_scheme,
        stages.lifecycle_stage,
        cast(recency.generated_number as integer) as recency_score,
        cast(frequency.generated_number as integer) as frequency_score,
        cast(monetary.generated_number as integer) as monetary_score
    from schemes
    cross join stages
    {% for dimension in dimensions %}
    inner join scores as {{ dimension }}
        on schemes.score_tiles >= {{ dimension }}.generated_number
    {% endfor %}

),

{% if is_discovered -%}
discovered as (

    select
        'discovered' as segment_scheme,
        recency_score,
        frequency_score,
        monetary_score,
        segment_code
    from {{ ref('int_discovered_cells') }}

),

{% endif -%}
first_matches as (

    select
        {% for key in keys %}
        cells.{{ key }},
        {% endfor %}
        min(rules.match_order) as match_order
    from cells
    {% if is_discovered %}
    left join discovered
        on
            cells.segment_scheme = discovered.segment_scheme
            {%- for dimension in dimensions %}
            and cells.{{ dimension }}_score = discovered.{{ dimension }}_score
            {%- endfor %}
    {% endif %}
    inner join rules
        on
            cells.segment_scheme = rules.segment_scheme
            {%- if is_discovered %}
            and coalesce(discovered.segment_code, rules.segment_code) = rules.segment_code
            {%- endif %}
            and (
                {%- if is_discovered %}
                discovered.segment_code is not null
                or
                {%- endif %}
                cells.lifecycle_stage = coalesce(rules.lifecycle_stage, cells.lifecycle_stage)
                {%- for dimension in dimensions %}
                and cells.{{ dimension }}_score >= coalesce(rules.{{ dimension }}_min, 1)
                and cells.{{ dimension }}_score <= coalesce(rules.{{ dimension }}_max, 10)
                {%- endfor %}
            )
    group by
        cells.segment_scheme,
        cells.lifecycle_stage,
        cells.recency_score,
        cells.frequency_score,
        cells.monetary_score

),

resolved as (

    select
        {% for key in keys %}
        first_matches.{{ key }},
        {% endfor %}
        first_matches.match_order,
        rules.rationale,
        segments.segment_key,
        segments.segment_code,
        segments.segment_name,
        segments.value_rank
    from first_matches
    inner join rules
        on
            first_matches.segment_scheme = rules.segment_scheme
            and first_matches.match_order = rules.match_order
    inner join segments
        on
            rules.segment_scheme = segments.segment_scheme
            and rules.segment_code = segments.segment_code

),

-- What would lead to another segment: other scores in the same stage, or the next stage with the
-- same scores.
changes as (

    select
        resolved.*,
        targets.segment_key as nearest_segment_key,
        targets.segment_name as nearest_segment_name,
        targets.value_rank as nearest_value_rank,
        targets.lifecycle_stage as nearest_stage,
        {% for dimension in dimensions %}
        targets.{{ dimension }}_score as nearest_{{ dimension }}_score,
        {% endfor %}
        abs(targets.recency_score - resolved.recency_score)
        + abs(targets.frequency_score - resolved.frequency_score)
        + abs(targets.monetary_score - resolved.monetary_score) as steps,
        case when targets.recency_score = resolved.recency_score then 0 else 1 end
        + case when targets.frequency_score = resolved.frequency_score then 0 else 1 end
        + case when targets.monetary_score = resolved.monetary_score then 0 else 1 end
            as changed_count
    from resolved
    inner join resolved as targets
        on
            resolved.segment_scheme = targets.segment_scheme
            and resolved.lifecycle_stage = targets.lifecycle_stage
            and resolved.segment_key <> targets.segment_key
    union all
    select
        resolved.*,
        targets.segment_key as nearest_segment_key,
        targets.segment_name as nearest_segment_name,
        targets.value_rank as nearest_value_rank,
        targets.lifecycle_stage as nearest_stage,
        {% for dimension in dimensions %}
        targets.{{ dimension }}_score as nearest_{{ dimension }}_score,
        {% endfor %}
        1 as steps,
        1 as changed_count
    from resolved
    inner join next_stages
        on resolved.lifecycle_stage = next_stages.lifecycle_stage
    inner join resolved as targets
        on
            resolved.segment_scheme = targets.segment_scheme
            and next_stages.next_stage = targets.lifecycle_stage
            {%- for dimension in dimensions %}
            and resolved.{{ dimension }}_score = targets.{{ dimension }}_score
            {%- endfor %}
            and resolved.segment_key <> targets.segment_key
    -- A scheme of one segment leads nowhere else.
    union all
    select
        resolved.*,
        cast(null as {{ dbt.type_string() }}) as nearest_segment_key,
        cast(null as {{ dbt.type_string() }}) as nearest_segment_name,
        cast(null as integer) as nearest_value_rank,
        resolved.lifecycle_stage as nearest_stage,
        {% for dimension in dimensions %}
        resolved.{{ dimension }}_score as nearest_{{ dimension }}_score,
        {% endfor %}
        1000 as steps,
        0 as changed_count
    from resolved

),

-- The nearest: fewest steps, then fewest things to change, then the way up before the way down.
-- Down leads the next stage (silence) before lower scores, which hardly fall by themselves. Then
-- the more valuable segment, the higher scores, scores before the stage.
ranked_changes as (

    select
        *,
        row_number() over (
            partition by
                segment_scheme,
                lifecycle_stage,
                recency_score,
                frequency_score,
                monetary_score
            order by
                steps asc,
                changed_count asc,
                case
                    when nearest_value_rank < value_rank then 0
                    when nearest_stage <> lifecycle_stage then 1
                    else 2
                end asc,
                nearest_value_rank asc,
                nearest_recency_score desc,
                nearest_frequency_score desc,
                nearest_monetary_score desc,
                case when nearest_stage = lifecycle_stage then 0 else 1 end asc,
                nearest_stage asc
        ) as nearness
    from changes

)

select
    {% for key in keys %}
    {{ key }},
    {% endfor %}
    segment_key,
    segment_code,
    match_order,
    rationale as rule_rationale,
    nearest_segment_key,
    {% set changes = [
        "case when nearest_stage <> lifecycle_stage then "
        ~ dbt.concat([
            "'stage '", "lifecycle_stage", "' to '", "nearest_stage", "', '",
        ]) ~ " else '' end"
    ] -%}
    {%- for dimension in dimensions -%}
    {%- do changes.append(
        "case when nearest_{0}_score <> {0}_score then ".format(dimension)
        ~ dbt.concat([
            "'{0} score '".format(dimension), number_text("" ~ dimension ~ "_score"),
            "' to '", number_text("nearest_" ~ dimension ~ "_score"), "', '",
        ]) ~ " else '' end"
    ) -%}
    {%- endfor -%}
    {{ dbt.concat(changes + ["'then '", "nearest_segment_name"]) }} as nearest_change
from ranked_changes
where nearness = 1
