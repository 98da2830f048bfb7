-- Grain: one row per (experiment_code, segment_key, arm other than control): the arm held against
-- the control, with every test that campaign_lift shows. Null where a figure cannot be had.
-- Retention: pooled z-test, Newcombe's interval, Katz's for the ratio. Money: Welch's t-test and
-- interval; once more with what the revenue before explains taken off (CUPED). Adjusted p-values after
-- Benjamini and Hochberg over the segments and arms of an experiment, its totals apart.
{%- set double = type_double() %}
{%- set key = ['experiment_code', 'segment_key', 'arm'] %}
{%- set sides = ['treated', 'control'] %}
{%- set measures = ['revenue', 'margin', 'cuped'] %}
{%- set tested = ['retention', 'revenue', 'cuped'] %}
{%- set family = "experiment_code, segment_key = '(total)'" %}
with

contrasts as (

    select contrasts.*
    from {{ ref('int_experiment_contrasts') }} as contrasts
    inner join {{ ref('int_experiments') }} as experiments
        on contrasts.experiment_code = experiments.experiment_code
    where
        experiments.is_unmixed
        and contrasts.treated_assigned_count > 0
        and contrasts.control_assigned_count > 0

),

-- Variances of an arm; CUPED's are of revenue less theta times the revenue before. Rounding alone is no
-- spread: below 1e-12 of the squares a variance is 0.
counted as (

    select
        {{ key | join(', ') }},
        {% for side in sides %}
        cast({{ side }}_assigned_count as {{ double }}) as {{ side }}_count,
        cast({{ side }}_retained_count as {{ double }}) as {{ side }}_retained,
        {% for sum in [
            'revenue_deviation_sum', 'revenue_square_sum', 'margin_deviation_sum',
            'margin_square_sum', 'pre_period_revenue_deviation_sum',
            'pre_period_revenue_square_sum', 'revenue_product_sum',
        ] %}
        cast({{ side }}_{{ sum }} as {{ double }})
            as {{ side }}_{{ sum | replace('pre_period_revenue', 'before') }},
        {% endfor %}
        {% endfor %}
        cast(cuped_theta as {{ double }}) as theta
    from contrasts

),

means as (

    select
        {{ key | join(', ') }},
        {% for side in sides %}
        {{ side }}_count,
        {{ side }}_retained,
        {{ side }}_retained / {{ side }}_count as {{ side }}_rate,
        {{ side }}_revenue_deviation_sum / {{ side }}_count as {{ side }}_revenue_mean,
        {{ side }}_margin_deviation_sum / {{ side }}_count as {{ side }}_margin_mean,
        (
            {{ side }}_revenue_deviation_sum - theta * {{ side }}_before_deviation_sum
        ) / {{ side }}_count as {{ side }}_cuped_mean,
        {{ side }}_revenue_square_sum as {{ side }}_revenue_scale,
        {{ side }}_margin_square_sum as {{ side }}_margin_scale,
        {{ side }}_revenue_square_sum + theta * theta * {{ side }}_before_square_sum
            as {{ side }}_cuped_scale,
        {{ side }}_revenue_square_sum
        - {{ side }}_revenue_deviation_sum * {{ side }}_revenue_deviation_sum / {{ side }}_count
            as {{ side }}_revenue_squares,
        {{ side }}_margin_square_sum
        - {{ side }}_margin_deviation_sum * {{ side }}_margin_deviation_sum / {{ side }}_count
            as {{ side }}_margin_squares,
        {{ side }}_before_square_sum
        - {{ side }}_before_deviation_sum * {{ side }}_before_deviation_sum / {{ side }}_count
            as {{ side }}_before_squares,
        {{ side }}_revenue_product_sum
        - {{ side }}_revenue_deviation_sum * {{ side }}_before_deviation_sum / {{ side }}_count
            as {{ side }}_products,
        {% endfor %}
        theta
    from counted
    {{ fence() }}

),

squares as (

    select
        *,
        {% for side in sides %}
        {{ side }}_revenue_squares
        - 2 * theta * {{ side }}_products
        + theta * theta * {{ side }}_before_squares
            as {{ side }}_cuped_squares{{ ',' if not loop.last }}
        {% endfor %}
    from means
    {{ fence() }}

),

-- The variance of a mean.
variances as (

    select
        *,
        {% for side in sides %}
        {% for measure in measures %}
        case
            when {{ side }}_{{ measure }}_squares > 1e-12 * {{ side }}_{{ measure }}_scale
                then {{ side }}_{{ measure }}_squares
            else {{ side }}_{{ measure }}_squares * 0
        end / nullif({{ side }}_count - 1, 0) / {{ side }}_count
            as {{ side }}_{{ measure }}_variance,
        {% endfor %}
        {% endfor %}
        {% for measure in measures %}
        treated_{{ measure }}_mean - control_{{ measure }}_mean as {{ measure }}_lift,
        {% endfor %}
        treated_rate - control_rate as retention_lift,
        (treated_retained + control_retained) / (treated_count + control_count) as pooled_rate
    from squares
    {{ fence() }}

),

errors as (

    select
        *,
        sqrt(
            pooled_rate * (1 - pooled_rate) * (1 / treated_count + 1 / control_count)
        ) as retention_error,
        {% for measure in measures %}
        sqrt(treated_{{ measure }}_variance + control_{{ measure }}_variance)
            as {{ measure }}_error,
        power(treated_{{ measure }}_variance + control_{{ measure }}_variance, 2)
        / nullif(
            power(treated_{{ measure }}_variance, 2) / nullif(treated_count - 1, 0)
            + power(control_{{ measure }}_variance, 2) / nullif(control_count - 1, 0),
            0
        ) as {{ measure }}_df{{ ',' if not loop.last }}
        {% endfor %}
    from variances
    {{ fence() }}

),

-- Nobody or everybody came back: there is nothing to compare.
scores as (

    select
        {{ key | join(', ') }},
        treated_count,
        control_count,
        treated_retained,
        control_retained,
        treated_rate,
        control_rate,
        pooled_rate,
        theta,
        pooled_rate > 0 and pooled_rate < 1 as has_retention,
        case when pooled_rate > 0 and pooled_rate < 1 then retention_lift end as retention_lift,
        case
            when pooled_rate > 0 and pooled_rate < 1 then retention_lift / retention_error
        end as retention_score,
        {% for measure in measures %}
        {{ measure }}_lift,
        {{ measure }}_error,
        case when {{ measure }}_error > 0 then {{ measure }}_df end as {{ measure }}_df,
        case
            when {{ measure }}_error > 0 then {{ measure }}_lift / {{ measure }}_error
        end as {{ measure }}_score{{ ',' if not loop.last }}
        {% endfor %}
    from errors
    {{ fence() }}

),

tests as (

    select
        *,
        case
            when has_retention
                then {{ newcombe_bound(
                    'treated_rate', 'treated_count', 'control_rate', 'control_count', 'low'
                ) }}
        end as retention_lift_low,
        case
            when has_retention
                then {{ newcombe_bound(
                    'treated_rate', 'treated_count', 'control_rate', 'control_count', 'high'
                ) }}
        end as retention_lift_high,
        {{ normal_two_sided('retention_score') }} as retention_p_value,
        case
            when has_retention and control_retained > 0 then treated_rate / control_rate - 1
        end as retention_relative_lift,
        {% for side in ['low', 'high'] %}
        case
            when has_retention
                then {{ katz_bound(
                    'treated_retained', 'treated_count', 'control_retained', 'control_count', side
                ) }}
        end as retention_relative_lift_{{ side }},
        {% endfor %}
        {% for measure in measures %}
        {{ measure }}_error * {{ student_975(measure ~ '_df') }} as {{ measure }}_margin_of_error,
        case
            when {{ measure }}_score is not null
                then {{ student_two_sided(measure ~ '_score', measure ~ '_df') }}
        end as {{ measure }}_p_value{{ ',' if not loop.last }}
        {% endfor %}
    from scores
    {{ fence() }}

),

steps as (

    select
        *,
        {% for measure in tested %}
        {{ p_value_step(measure ~ '_p_value', family, 'segment_key, arm') }}
            as {{ measure }}_step{{ ',' if not loop.last }}
        {% endfor %}
    from tests

),

adjusted as (

    select
        *,
        {% for measure in tested %}
        {{ adjusted_p_value(
            measure ~ '_p_value', measure ~ '_step', family, 'segment_key, arm'
        ) }} as {{ measure }}_adjusted_p_value{{ ',' if not loop.last }}
        {% endfor %}
    from steps

),

{{ detectable_lift('detectable', 'scores', key) }},

matching as (

    select
        {{ key | join(', ') }},
        srm_chi_square,
        srm_degrees
    from {{ ref('int_experiment_contrasts') }}

)

select
    matching.experiment_code,
    matching.segment_key,
    matching.arm,
    adjusted.treated_rate,
    adjusted.control_rate,
    adjusted.pooled_rate,
    adjusted.has_retention,
    adjusted.retention_lift,
    adjusted.retention_lift_low,
    adjusted.retention_lift_high,
    adjusted.retention_p_value,
    adjusted.retention_adjusted_p_value,
    adjusted.retention_relative_lift,
    adjusted.retention_relative_lift_low,
    adjusted.retention_relative_lift_high,
    {% for measure in measures %}
    adjusted.{{ measure }}_lift,
    adjusted.{{ measure }}_lift - adjusted.{{ measure }}_margin_of_error
        as {{ measure }}_lift_low,
    adjusted.{{ measure }}_lift + adjusted.{{ measure }}_margin_of_error
        as {{ measure }}_lift_high,
    adjusted.{{ measure }}_p_value,
    {% if measure in tested %}
    adjusted.{{ measure }}_adjusted_p_value,
    {% endif %}
    {% endfor %}
    adjusted.theta as cuped_theta,
    {{ chi_square_tail('matching.srm_chi_square', 'matching.srm_degrees') }} as srm_p_value,
    detectable.detectable_lift
from matching
left join adjusted
    on
        matching.experiment_code = adjusted.experiment_code
        and matching.segment_key = adjusted.segment_key
        and matching.arm = adjusted.arm
left join detectable
    on
        matching.experiment_code = detectable.experiment_code
        and matching.segment_key = detectable.segment_key
        and matching.arm = detectable.arm
