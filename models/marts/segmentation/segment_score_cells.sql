-- Grain: one row per (segment_scheme, recency_score, frequency_score, monetary_score) that a
-- customer can have.
-- The rules are resolved here, over a few hundred score cells and not over customers.
{%- set dimensions = ['recency', 'frequency', 'monetary'] %}
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

cells as (

    select
        schemes.segment_scheme,
        cast(recency.generated_number as integer) as recency_score,
        cast(frequency.generated_number as integer) as frequency_score,
        cast(monetary.generated_number as integer) as monetary_score
    from schemes
    {% for dimension in dimensions %}
    inner join scores as {{ dimension }}
        on schemes.score_tiles >= {{ dimension }}.generated_number
    {% endfor %}

),

first_matches as (

    select
        cells.segment_scheme,
        cells.recency_score,
        cells.frequency_score,
        cells.monetary_score,
        min(rules.match_order) as match_order
    from cells
    inner join rules
        on
            cells.segment_scheme = rules.segment_scheme
            {%- for dimension in dimensions %}
            and cells.{{ dimension }}_score >= coalesce(rules.{{ dimension }}_min, 1)
            and cells.{{ dimension }}_score <= coalesce(rules.{{ dimension }}_max, 10)
            {%- endfor %}
    group by cells.segment_scheme, cells.recency_score, cells.frequency_score, cells.monetary_score

),

resolved as (

    select
        first_matches.segment_scheme,
        first_matches.recency_score,
        first_matches.frequency_score,
        first_matches.monetary_score,
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

-- The nearest other segment: fewest score steps, then fewest scores to change, then the more
-- valuable segment, then the higher scores.
other_cells as (

    select
        resolved.segment_scheme,
        resolved.recency_score,
        resolved.frequency_score,
        resolved.monetary_score,
        targets.segment_key as nearest_segment_key,
        targets.segment_name as nearest_segment_name,
        {%- for dimension in dimensions %}
        targets.{{ dimension }}_score as nearest_{{ dimension }}_score,
        {%- endfor %}
        abs(targets.recency_score - resolved.recency_score)
        + abs(targets.frequency_score - resolved.frequency_score)
        + abs(targets.monetary_score - resolved.monetary_score) as steps,
        row_number() over (
            partition by
                resolved.segment_scheme,
                resolved.recency_score,
                resolved.frequency_score,
                resolved.monetary_score
            order by
                abs(targets.recency_score - resolved.recency_score)
                + abs(targets.frequency_score - resolved.frequency_score)
                + abs(targets.monetary_score - resolved.monetary_score) asc,
                case when targets.recency_score = resolved.recency_score then 0 else 1 end
                + case when targets.frequency_score = resolved.frequency_score then 0 else 1 end
                + case when targets.monetary_score = resolved.monetary_score then 0 else 1 end asc,
                targets.value_rank asc,
                targets.recency_score desc,
                targets.frequency_score desc,
                targets.monetary_score desc
        ) as nearness
    from resolved
    inner join resolved as targets
        on
            resolved.segment_scheme = targets.segment_scheme
            and resolved.segment_key <> targets.segment_key

)

select
    resolved.segment_scheme,
    resolved.recency_score,
    resolved.frequency_score,
    resolved.monetary_score,
    resolved.segment_key,
    resolved.segment_code,
    resolved.match_order,
    resolved.rationale as rule_rationale,
    other_cells.nearest_segment_key,
    {% set changes = [] -%}
    {%- for dimension in dimensions -%}
    {%- do changes.append(
        "case when other_cells.nearest_{0}_score <> resolved.{0}_score then ".format(dimension)
        ~ dbt.concat([
            "'{0} score '".format(dimension), number_text("resolved." ~ dimension ~ "_score"),
            "' to '", number_text("other_cells.nearest_" ~ dimension ~ "_score"), "', '",
        ]) ~ " else '' end"
    ) -%}
    {%- endfor -%}
    {{ dbt.concat(changes + ["'then '", "other_cells.nearest_segment_name"]) }} as nearest_change
from resolved
left join other_cells
    on
        resolved.segment_scheme = other_cells.segment_scheme
        {%- for dimension in dimensions %}
        and resolved.{{ dimension }}_score = other_cells.{{ dimension }}_score
        {%- endfor %}
        and other_cells.nearness = 1
