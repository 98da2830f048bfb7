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

-- What is tested as CUPED is revenue less theta times the revenue before.
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

{{ two_arms('tests', 'squares', measures) }},

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

{{ detectable_lift('detectable', 'tests', key) }},

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
    adjusted.{{ measure }}_lift_low,
    adjusted.{{ measure }}_lift_high,
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
