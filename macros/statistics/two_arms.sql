{#- An arm held against its control, as a chain of common table expressions: the share retained by
    the pooled z-test, with Newcombe's interval and Katz's for the ratio; money by Welch's t-test and
    interval.

    `rows`: a CTE that has, for both sides (treated_…, control_…; double), count (above zero),
    retained and, for each of the `measures`, mean, squares (of the deviations from that mean) and
    scale (what the squares were computed from). Rounding alone is no spread: below 1e-12 of the
    scale a variance is 0. Ends in the CTE `<name>`: all columns of `rows` and the tests; null where
    a figure cannot be had. -#}
{% macro two_arms(name, rows, measures) %}
{%- set sides = ['treated', 'control'] -%}
{{ name }}_variances as (

    select
        *,
        {% for side in sides %}
        {{ side }}_retained / {{ side }}_count as {{ side }}_rate,
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
        (treated_retained + control_retained) / (treated_count + control_count) as pooled_rate
    from {{ rows }}
    {{ fence() }}

),

{{ name }}_errors as (

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
        ) as {{ measure }}_all_df,
        {% endfor %}
        -- Nobody or everybody came back: there is nothing to compare.
        pooled_rate > 0 and pooled_rate < 1 as has_retention
    from {{ name }}_variances
    {{ fence() }}

),

{{ name }}_scores as (

    select
        *,
        {% for measure in measures %}
        case when {{ measure }}_error > 0 then {{ measure }}_all_df end as {{ measure }}_df,
        case
            when {{ measure }}_error > 0 then {{ measure }}_lift / {{ measure }}_error
        end as {{ measure }}_score,
        {% endfor %}
        case when has_retention then treated_rate - control_rate end as retention_lift,
        case
            when has_retention then (treated_rate - control_rate) / retention_error
        end as retention_score
    from {{ name }}_errors
    {{ fence() }}

),

{{ name }}_bounds as (

    select
        *,
        {% for side in ['low', 'high'] %}
        case
            when has_retention
                then {{ newcombe_bound(
                    'treated_rate', 'treated_count', 'control_rate', 'control_count', side
                ) }}
        end as retention_lift_{{ side }},
        case
            when has_retention
                then {{ katz_bound(
                    'treated_retained', 'treated_count', 'control_retained', 'control_count', side
                ) }}
        end as retention_relative_lift_{{ side }},
        {% endfor %}
        case
            when has_retention then {{ normal_two_sided('retention_score') }}
        end as retention_p_value,
        case
            when has_retention and control_retained > 0 then treated_rate / control_rate - 1
        end as retention_relative_lift,
        {% for measure in measures %}
        {{ measure }}_error * {{ student_975(measure ~ '_df') }} as {{ measure }}_margin_of_error,
        case
            when {{ measure }}_score is not null
                then {{ student_two_sided(measure ~ '_score', measure ~ '_df') }}
        end as {{ measure }}_p_value{{ ',' if not loop.last }}
        {% endfor %}
    from {{ name }}_scores
    {{ fence() }}

),

{{ name }} as (

    select
        *,
        {% for measure in measures %}
        {{ measure }}_lift - {{ measure }}_margin_of_error as {{ measure }}_lift_low,
        {{ measure }}_lift + {{ measure }}_margin_of_error
            as {{ measure }}_lift_high{{ ',' if not loop.last }}
        {% endfor %}
    from {{ name }}_bounds
    {{ fence() }}

)
{%- endmacro %}
