-- Grain: one row per header, empty file or cell of a policy file that cannot be used.
{%- set string = dbt.type_string() %}
{%- set relations = {} %}
{%- for seed in policy_seeds() %}
{%- do relations.update({seed: ref(seed)}) %}
{%- endfor %}
{%- set header_rows = policy_header_problems(relations) %}
with

cells as (

    select
        *,
        {{ text_to_decimal('found', 'numeric(18, 6)') }} as number_found
    from {{ ref('policy_cells') }}

),

header_violations as (

    select
        cast(null as {{ string }}) as file_name,
        cast(null as integer) as csv_row,
        cast(null as {{ string }}) as found,
        cast(null as {{ string }}) as accepted
    where 1 = 0
    {% for row in header_rows %}
    union all
    select
        '{{ row[0] }}.csv' as file_name,
        1 as csv_row,
        {{ text_literal(row[1]) }} as found,
        {{ text_literal(row[2]) }} as accepted
    {% endfor %}

),

empty_files as (

    {% for seed in policy_seeds() %}
    {%- set meta = (policy_seed_node(seed) or {}).get('meta', {}) %}
    select
        '{{ seed }}.csv' as file_name,
        count(*) as row_count,
        {{ meta.get('rows_required', false) | lower }} as rows_required
    from {{ ref(seed) }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

judged_cells as (

    select
        file_name,
        csv_row,
        column_name,
        found,
        case
            when found is null and is_required then 'a value'
            when found is null then null
            when accepted_values = '||' then 'nothing (leave the cell blank)'
            when
                accepted_values is not null
                and accepted_values not like {{ dbt.concat(["'%|'", 'found', "'|%'"]) }}
                then {{ dbt.concat([
                    "'one of '", "replace(trim(both '|' from accepted_values), '|', ', ')"
                ]) }}
            when cell_type = 'code' and not {{ matches('found', '^[a-z][a-z0-9_]*$') }}
                then 'a code of small letters, digits and underscores that starts with a letter'
            when
                cell_type = 'boolean'
                and lower(found) not in ({{ true_words() }}, {{ false_words() }})
                then 'true or false'
            when cell_type = 'date' and {{ policy_date('found') }} is null
                then 'a day, written as 2026-01-31'
            when
                (cell_type = 'integer' and not {{ matches('found', integer_pattern()) }})
                or (cell_type = 'number' and number_found is null)
                or number_found < minimum
                or number_found > maximum
                then {{ dbt.concat([
                    "case when cell_type = 'integer' then 'a whole number'"
                    ~ " else 'a number with a decimal point' end",
                    "case when minimum is null then ''"
                    ~ " else " ~ dbt.concat(["' from '", number_text('minimum')]) ~ " end",
                    "case when maximum is null then ''"
                    ~ " else " ~ dbt.concat(["' to '", number_text('maximum')]) ~ " end",
                ]) }}
        end as accepted
    from cells

)

select
    file_name,
    csv_row,
    'the header' as column_name,
    found,
    accepted
from header_violations
union all
select
    file_name,
    cast(null as integer) as csv_row,
    cast(null as {{ string }}) as column_name,
    'no rows below the header' as found,
    'at least one row' as accepted
from empty_files
where rows_required and row_count = 0
union all
select
    file_name,
    csv_row,
    column_name,
    coalesce({{ dbt.concat(["''''", 'found', "''''"]) }}, 'a blank cell') as found,
    accepted
from judged_cells
where
    judged_cells.accepted is not null
    -- A file with a broken header would repeat itself in every cell.
    and judged_cells.file_name not in (
        select header_violations.file_name from header_violations
    )
