-- Grain: one row per segment of the active scheme: the share of would-be lapsers that its strategy
-- saves, as the policy assumes it and as experiments have measured it. Measured is the lift by 1
-- minus the retention of the control, from adequate experiments only, and drawn to the assumption:
-- the weight is that of two estimates, where the assumption has a standard error of its own size
-- (0.02 at least). So a small experiment moves little and a large one decides. Arms of one
-- experiment share their control: they are averaged, and count as the most precise of them alone.
{%- set double = type_double() %}
{%- set string = dbt.type_string() %}
{%- set prior = 'greatest(strategies.assumed_save_rate, 0.02)' %}
with

strategies as (

    select
        segment_key,
        cast(expected_save_rate as {{ double }}) as assumed_save_rate
    from {{ ref('policy_strategies') }}
    where segment_scheme = {{ text_literal(var('segment_scheme')) }}

),

arms as (

    select
        experiment_code,
        segment_key,
        retention_lift / (1 - retention_control) as save_rate,
        (retention_lift_high - retention_lift_low)
        / (2 * {{ z_95() }} * (1 - retention_control)) as standard_error
    from {{ ref('campaign_lift') }}
    where
        is_adequate
        and retention_control < 1
        and retention_lift_high > retention_lift_low

),

experiments as (

    select
        experiment_code,
        segment_key,
        sum(save_rate / (standard_error * standard_error))
        / sum(1 / (standard_error * standard_error)) as save_rate,
        min(standard_error) as standard_error
    from arms
    group by experiment_code, segment_key

),

measured as (

    select
        segment_key,
        cast(count(*) as integer) as experiment_count,
        {{ nine_digits(
            'sum(save_rate / (standard_error * standard_error))'
            ~ ' / sum(1 / (standard_error * standard_error))'
        ) }} as save_rate,
        {{ nine_digits('sqrt(1 / sum(1 / (standard_error * standard_error)))') }}
            as standard_error
    from experiments
    group by segment_key

),

weighted as (

    select
        strategies.segment_key,
        strategies.assumed_save_rate,
        measured.save_rate as measured_save_rate,
        measured.standard_error as measured_standard_error,
        coalesce(measured.experiment_count, 0) as experiment_count,
        coalesce(
            {{ nine_digits(
                prior ~ ' * ' ~ prior ~ ' / (' ~ prior ~ ' * ' ~ prior
                ~ ' + measured.standard_error * measured.standard_error)'
            ) }},
            0
        ) as measured_weight
    from strategies
    left join measured
        on strategies.segment_key = measured.segment_key

)

select
    segment_key,
    assumed_save_rate,
    measured_save_rate,
    measured_standard_error,
    measured_weight,
    experiment_count,
    case
        when experiment_count = 0 then assumed_save_rate
        else {{ nine_digits(
            'least(greatest(measured_weight * measured_save_rate'
            ~ ' + (1 - measured_weight) * assumed_save_rate, 0), 1)'
        ) }}
    end as save_rate,
    cast(case when experiment_count = 0 then 'assumed' else 'measured' end as {{ string }})
        as save_rate_source
from weighted
