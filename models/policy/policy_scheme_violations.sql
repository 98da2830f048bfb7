-- Grain: one row per thing that is wrong between the rows of the segment files: keys given twice,
-- bounds that contradict each other, scores that reach no segment, names that are not known.
{%- set string = dbt.type_string() %}
{%- set dimensions = ['recency', 'frequency', 'monetary'] %}
{%- set unscored = {
    'prospects': 'customers who never ordered',
    'dormant': 'customers who ordered only before the window',
} %}
{%- set unique_columns = [
    'segment_code', 'segment_name', 'action_priority', 'value_rank', 'expected_retention_rank',
    'display_order',
] %}
with

declared_schemes as (

    {{ policy_seed('segment_schemes') }}

),

repeated_schemes as (

    select
        segment_scheme,
        max(csv_row) as csv_row
    from declared_schemes
    where segment_scheme is not null
    group by segment_scheme
    having count(*) > 1

),

schemes as (

    select * from {{ ref('policy_segment_schemes') }}

),

rules as (

    select
        rules.*,
        schemes.score_tiles
    from {{ ref('policy_segment_rules') }} as rules
    left join schemes
        on rules.segment_scheme = schemes.segment_scheme

),

segments as (

    select * from {{ ref('policy_segments') }}

),

segment_lists as (

    select
        segment_scheme,
        {{ dbt.listagg('segment_code', "', '", 'order by segment_code') }} as segment_codes
    from segments
    where segment_code not in ('prospects', 'dormant')
    group by segment_scheme

),

repeated_keys as (

    select
        'segment_rules.csv' as file_name,
        max(csv_row) as csv_row,
        'match_order' as column_name,
        cast(match_order as {{ string }}) as found,
        segment_scheme
    from rules
    where match_order is not null
    group by segment_scheme, match_order
    having count(*) > 1
    {% for column in unique_columns %}
    union all
    select
        'segments.csv' as file_name,
        max(csv_row) as csv_row,
        '{{ column }}' as column_name,
        cast({{ column }} as {{ string }}) as found,
        segment_scheme
    from segments
    where {{ column }} is not null
    group by segment_scheme, {{ column }}
    having count(*) > 1
    {% endfor %}

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

-- Every score that a scheme's customers can have in every stage, and the rules that take it.
cells as (

    select
        schemes.segment_scheme,
        stages.lifecycle_stage,
        recency.generated_number as recency_score,
        frequency.generated_number as frequency_score,
        monetary.generated_number as monetary_score
    from schemes
    cross join stages
    {% for dimension in dimensions %}
    inner join scores as {{ dimension }}
        on schemes.score_tiles >= {{ dimension }}.generated_number
    {% endfor %}

),

uncovered_cells as (

    select
        cells.segment_scheme,
        cells.lifecycle_stage,
        {{ dbt.concat([
            number_text('cells.recency_score'), "'-'", number_text('cells.frequency_score'), "'-'",
            number_text('cells.monetary_score')
        ]) }} as cell
    from cells
    left join rules
        on
            cells.segment_scheme = rules.segment_scheme
            {%- for dimension in dimensions %}
            and cells.{{ dimension }}_score >= coalesce(rules.{{ dimension }}_min, 1)
            and cells.{{ dimension }}_score <= coalesce(rules.{{ dimension }}_max, 10)
            {%- endfor %}
            and cells.lifecycle_stage = coalesce(rules.lifecycle_stage, cells.lifecycle_stage)
    where rules.segment_scheme is null

),

-- Holes that every stage has are named once, others by stage.
holes as (

    select
        segment_scheme,
        cell,
        count(*) as stage_count
    from uncovered_cells
    group by segment_scheme, cell

),

hole_lists as (

    select
        holes.segment_scheme,
        case
            when holes.stage_count = {{ scored_stages() | length }} then ''
            else {{ dbt.concat(["' in the stage '", 'uncovered_cells.lifecycle_stage']) }}
        end as hole_stage,
        count(distinct holes.cell) as cell_count,
        min(holes.cell) as first_cell,
        max(holes.cell) as last_cell
    from holes
    inner join uncovered_cells
        on
            holes.segment_scheme = uncovered_cells.segment_scheme
            and holes.cell = uncovered_cells.cell
    group by
        holes.segment_scheme,
        case
            when holes.stage_count = {{ scored_stages() | length }} then ''
            else {{ dbt.concat(["' in the stage '", 'uncovered_cells.lifecycle_stage']) }}
        end

)

select
    file_name,
    csv_row,
    column_name,
    {{ dbt.concat([
        "''''", 'found', "''' a second time in the scheme '", 'segment_scheme'
    ]) }} as found,
    'each only once in a scheme' as accepted
from repeated_keys
{%- for dimension in dimensions %}
union all
select
    'segment_rules.csv' as file_name,
    csv_row,
    '{{ dimension }}_min' as column_name,
    {{ dbt.concat([
        number_text(dimension ~ '_min'),
        "' above {0}_max '".format(dimension),
        number_text(dimension ~ '_max'),
    ]) }} as found,
    '{{ dimension }}_min not above {{ dimension }}_max' as accepted
from rules
where {{ dimension }}_min > {{ dimension }}_max
{%- for bound in ['min', 'max'] %}
union all
select
    'segment_rules.csv' as file_name,
    csv_row,
    '{{ dimension }}_{{ bound }}' as column_name,
    {{ number_text(dimension ~ '_' ~ bound) }} as found,
    {{ dbt.concat([
        "'1 to '", number_text('score_tiles'), "' (the scheme is written for that many tiles)'"
    ]) }} as accepted
from rules
where {{ dimension }}_{{ bound }} > score_tiles and {{ dimension }}_{{ bound }} <= 10
{%- endfor %}
{%- endfor %}
union all
select
    'segment_rules.csv' as file_name,
    rules.csv_row,
    'segment_code' as column_name,
    {{ dbt.concat(["''''", 'rules.segment_code', "''''"]) }} as found,
    coalesce(
        {{ dbt.concat(["'one of '", 'segment_lists.segment_codes', "' (segments.csv)'"]) }},
        {{ dbt.concat(["'no rule: segments.csv has no scheme '", 'rules.segment_scheme']) }}
    ) as accepted
from rules
left join segments
    on
        rules.segment_scheme = segments.segment_scheme
        and rules.segment_code = segments.segment_code
left join segment_lists
    on rules.segment_scheme = segment_lists.segment_scheme
where
    rules.segment_code is not null
    and (segments.segment_code is null or rules.segment_code in ('prospects', 'dormant'))
union all
select
    'segments.csv' as file_name,
    segments.csv_row,
    'segment_code' as column_name,
    {{ dbt.concat([
        "''''", 'segments.segment_code', "''' that no rule of the scheme leads to'"
    ]) }} as found,
    'a segment with at least one row in segment_rules.csv' as accepted
from segments
left join rules
    on
        segments.segment_scheme = rules.segment_scheme
        and segments.segment_code = rules.segment_code
where rules.segment_code is null and segments.segment_code not in ('prospects', 'dormant')
{%- for segment_code, meaning in unscored.items() %}
union all
select
    'segments.csv' as file_name,
    cast(null as integer) as csv_row,
    'segment_code' as column_name,
    {{ dbt.concat([
        "'no {0} in the scheme '".format(segment_code), 'schemes.segment_scheme'
    ]) }} as found,
    'a row {{ segment_code }} in every scheme, for {{ meaning }}' as accepted
from schemes
left join segments
    on
        schemes.segment_scheme = segments.segment_scheme
        and segments.segment_code = '{{ segment_code }}'
where segments.segment_code is null
{%- endfor %}
union all
select
    'segment_rules.csv' as file_name,
    cast(null as integer) as csv_row,
    cast(null as {{ string }}) as column_name,
    {{ dbt.concat([
        number_text('cell_count'), "' scores of the scheme '", 'segment_scheme', 'hole_stage',
        "' that no rule takes (recency-frequency-monetary '", 'first_cell', "' to '", 'last_cell',
        "')'",
    ]) }} as found,
    'a rule for every score; a last rule with blank bounds takes all that is left' as accepted
from hole_lists
union all
select
    'segment_schemes.csv' as file_name,
    cast(null as integer) as csv_row,
    'segment_scheme' as column_name,
    'no core_five for five tiles' as found,
    'the scheme core_five with score_tiles 5: the mart customer_rfm is defined by it' as accepted
where
    not exists (
        select 1 from schemes
        where schemes.segment_scheme = 'core_five' and schemes.score_tiles = 5
    )
union all
select
    'segment_rules.csv' as file_name,
    csv_row,
    'lifecycle_stage' as column_name,
    lifecycle_stage as found,
    'a blank cell: the mart customer_rfm is defined by the scores of core_five alone' as accepted
from rules
where segment_scheme = 'core_five' and lifecycle_stage is not null
union all
select
    'segment_schemes.csv' as file_name,
    csv_row,
    'segment_scheme' as column_name,
    {{ dbt.concat(["''''", 'segment_scheme', "''' a second time'"]) }} as found,
    'each scheme only once' as accepted
from repeated_schemes
union all
select
    'segment_schemes.csv' as file_name,
    declared_schemes.csv_row,
    'segment_scheme' as column_name,
    {{ dbt.concat(["''''", 'declared_schemes.segment_scheme', "''''"]) }} as found,
    'a scheme that segments.csv and segment_rules.csv have' as accepted
from declared_schemes
left join schemes
    on declared_schemes.segment_scheme = schemes.segment_scheme
where schemes.segment_scheme is null and declared_schemes.segment_scheme is not null
