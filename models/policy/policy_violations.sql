-- Grain: one row per thing in the policy that is not usable; no rows when the build may go on.
-- Rows that contradict each other are looked for only when every single cell can be read.
with

file_violations as (

    select
        file_name,
        csv_row,
        column_name,
        found,
        accepted
    from {{ ref('policy_file_violations') }}

),

cross_violations as (

    select
        file_name,
        csv_row,
        column_name,
        found,
        accepted
    from {{ ref('policy_scheme_violations') }}
    union all
    select
        file_name,
        csv_row,
        column_name,
        found,
        accepted
    from {{ ref('policy_strategy_violations') }}
    union all
    select
        file_name,
        csv_row,
        column_name,
        found,
        accepted
    from {{ ref('policy_threshold_violations') }}
    union all
    select
        file_name,
        csv_row,
        column_name,
        found,
        accepted
    from {{ ref('policy_activation_violations') }}
    union all
    select
        file_name,
        csv_row,
        column_name,
        found,
        accepted
    from {{ ref('policy_holdout_violations') }}

)

select * from file_violations
union all
select * from cross_violations
where
    not exists (
        select 1 from file_violations
        where file_violations.column_name = 'the header' or file_violations.column_name is null
    )
