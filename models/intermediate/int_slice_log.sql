-- Grain: one row per (model_name, as_of_date) of the slices that a sliced model has.
-- Written by the sliced models themselves (macros/history/slices.sql), so it starts empty and is
-- never refreshed.
{{ config(
    materialized='incremental',
    full_refresh=false,
    on_schema_change='fail',
    partition_by=['model_name'] if target.type == 'spark' else none
) }}
select
    cast(null as {{ dbt.type_string() }}) as model_name,
    cast(null as date) as as_of_date,
    cast(null as boolean) as is_finished,
    cast(null as {{ dbt.type_string() }}) as scoring_vars,
    cast(null as {{ dbt.type_string() }}) as policy_key,
    cast(null as timestamp) as sales_loaded_until,
    cast(null as timestamp) as engagement_events_loaded_until
where 1 = 0
