-- Grain: one row, when the policy is usable; otherwise this model fails and names the bad cells.
{%- do raise_policy_violations(ref('policy_violations')) %}
with

cells as (

    select
        file_name,
        csv_row,
        column_name,
        coalesce(found, '') as found
    from {{ ref('policy_cells') }}

),

-- The files are a page or two, so all cells fit one text.
versions as (

    select
        substring(
            {{ dbt.hash(dbt.listagg(
                dbt.concat(['file_name', "'|'", 'column_name', "'|'", 'found']),
                "','",
                'order by file_name, csv_row, column_name'
            )) }},
            1,
            12
        ) as policy_version
    from cells

),

violations as (

    select count(*) as violation_count
    from {{ ref('policy_violations') }}

)

select
    {{ text_literal(policy_vars()) }} as checked_vars,
    versions.policy_version,
    violations.violation_count
from versions
cross join violations
