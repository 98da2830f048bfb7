-- Grain: one row: a key of the policy as it is loaded.
-- Apart from policy_gate, whose row also takes the checks of all files: whoever only writes down by
-- which policy a row was made need not pay for them again.
with

cells as (

    select
        file_name,
        csv_row,
        column_name,
        coalesce(found, '') as found
    from {{ ref('policy_cells') }}

)

-- The files are a page or two, so all cells fit one text.
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
