-- Grain: one row per segment of the active scheme: the share of would-be lapsers that its strategy
-- saves, as the policy assumes it and as experiments have measured it.
{%- set double = type_double() %}
{%- set string = dbt.type_string() %}
with

strategies as (

    select
        segment_key,
        cast(expected_save_rate as {{ double }}) as assumed_save_rate
    from {{ ref('policy_strategies') }}
    where segment_scheme = {{ text_literal(var('segment_scheme')) }}

)

select
    segment_key,
    assumed_save_rate,
    cast(null as {{ double }}) as measured_save_rate,
    cast(null as {{ double }}) as measured_standard_error,
    cast(0 as {{ double }}) as measured_weight,
    cast(0 as integer) as experiment_count,
    assumed_save_rate as save_rate,
    cast('assumed' as {{ string }}) as save_rate_source
from strategies
