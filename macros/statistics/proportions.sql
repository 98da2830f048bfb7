{#- Comparing two shares, and how small a difference can be found. -#}


{#- Newcombe's 95 % interval of the difference `share` − `other_share` of independent samples (method
    10: the Wilson intervals of both, put together). Counts above zero. -#}
{% macro newcombe_bound(share, count, other_share, other_count, side) -%}
    {%- set other_side = {'low': 'high', 'high': 'low'}[side] -%}
    {{ share }} - {{ other_share }}
    {{ {'low': '-', 'high': '+'}[side] }} sqrt(
        power({{ share }} - ({{ wilson_bound(share, count, side) }}), 2)
        + power({{ other_share }} - ({{ wilson_bound(other_share, other_count, other_side) }}), 2)
    )
{%- endmacro %}


{#- The 95 % interval of the relative lift share / other share − 1, from the counts (Katz: normal on
    the logarithm of the ratio). Nobody retained on one side gives no logarithm: null. -#}
{% macro katz_bound(retained, count, other_retained, other_count, side) -%}
    case
        when {{ retained }} > 0 and {{ other_retained }} > 0
            then exp(
                ln(({{ retained }} / {{ count }}) / ({{ other_retained }} / {{ other_count }}))
                {{ {'low': '-', 'high': '+'}[side] }} {{ z_95() }} * sqrt(greatest(
                    1 / {{ retained }} - 1 / {{ count }}
                    + 1 / {{ other_retained }} - 1 / {{ other_count }},
                    0
                ))
            ) - 1
    end
{%- endmacro %}


{#- P-values adjusted after Benjamini and Hochberg over the rows of a partition, as two expressions for
    two queries, since windows cannot be nested: first `p_value_step` (p × tests / rank), then
    `adjusted_p_value` (the least step from this rank on). `key`: columns that make the order
    total. Null p-values are no tests. -#}
{% macro p_value_step(p_value, partition, key) -%}
    {{ p_value }} * count({{ p_value }}) over (partition by {{ partition }})
    / row_number() over (partition by {{ partition }} order by {{ p_value }} nulls last, {{ key }})
{%- endmacro %}

{% macro adjusted_p_value(p_value, step, partition, key) -%}
    case
        when {{ p_value }} is not null
            then least(
                min({{ step }}) over (
                    partition by {{ partition }}
                    order by {{ p_value }} nulls last, {{ key }}
                    rows between current row and unbounded following
                ),
                1
            )
    end
{%- endmacro %}


{#- The smallest rise of a share that the sizes find with 80 % power in a two-sided pooled z-test at
    5 %, as a chain of common table expressions.

    `rows`: a CTE or relation with `key` columns, control_rate, treated_count and control_count
    (double). Ends in the CTE `<name>` with the key columns and `detectable_lift`: null where a count
    is null or below 1, or where not even a rise to 100 % would be found.

    The power is that of power_proportions_2indep in statsmodels: pooled variance without an effect,
    variance of the two shares with it. 24 steps: ten bisections bring the root near, then Newton's,
    which cannot overshoot from above since the equation is convex; in between the power of the
    wrong tail, which is small, is taken off. -#}
{% macro detectable_lift(name, rows, key) %}
{%- set double = type_double() -%}
{%- set power_quantile = '0.8416212335729143' -%}
{%- set bisections = 10 -%}
{%- set steps = 24 -%}
{%- set tail_step = 18 -%}
{%- set columns = key + ['p0', 'n1', 'n0', 'sum_inverse', 'treated_share'] -%}
{%- set error_null -%}
    sqrt(greatest(
        (p0 + treated_share * guess) * (1 - p0 - treated_share * guess) * sum_inverse, 0
    ))
{%- endset -%}
{%- set error_effect -%}
    sqrt(greatest((p0 + guess) * (1 - p0 - guess) / n1 + p0 * (1 - p0) / n0, 0))
{%- endset -%}
{{ name }}_sizes as (

    select
        {{ key | join(', ') }},
        control_rate as p0,
        treated_count as n1,
        control_count as n0,
        1 / treated_count + 1 / control_count as sum_inverse,
        treated_count / (treated_count + control_count) as treated_share
    from {{ rows }}
    where control_rate >= 0 and control_rate < 1 and treated_count >= 1 and control_count >= 1

),

{{ name }}_step_0 as (

    select
        {{ columns | join(', ') }},
        cast(0 as {{ double }}) as low,
        1 - p0 as high,
        cast({{ power_quantile }} as {{ double }}) as z_power
    from {{ name }}_sizes
    {{ fence() }}

),

{% for step in range(1, steps + 1) -%}
{%- set guess = '(low + high) / 2' if step <= bisections else 'high' -%}
{{ name }}_guess_{{ step }} as (

    select
        {{ columns | join(', ') }},
        low,
        high,
        z_power,
        {{ guess }} as guess
    from {{ name }}_step_{{ step - 1 }}
    {{ fence() }}

),

{{ name }}_errors_{{ step }} as (

    select
        *,
        {{ error_null }} as error_null,
        {{ error_effect }} as error_effect
    from {{ name }}_guess_{{ step }}
    {{ fence() }}

),

{{ name }}_step_{{ step }} as {{ stored(step % 6 == 0) }}(

    select
        {{ columns | join(', ') }},
        {% if step <= bisections -%}
        case
            when guess > {{ z_95() }} * error_null + z_power * error_effect then low else guess
        end as low,
        case
            when guess > {{ z_95() }} * error_null + z_power * error_effect then guess else high
        end as high,
        z_power
        {%- elif step == tail_step -%}
        low,
        high,
        {# The slope of the normal distribution at its 80 % quantile. -#}
        z_power - (
            {{ normal_tail('((' ~ z_95() ~ ' * error_null + guess) / nullif(error_effect, 0))') }}
        ) / 0.2799619204078083 as z_power
        {%- else -%}
        low,
        greatest(low, least(1 - p0, coalesce(
            guess - (guess - {{ z_95() }} * error_null - z_power * error_effect)
            / nullif(
                1
                - {{ z_95() }} * sum_inverse * treated_share
                * (1 - 2 * (p0 + treated_share * guess)) / (2 * nullif(error_null, 0))
                - z_power * (1 - 2 * (p0 + guess)) / n1 / (2 * nullif(error_effect, 0)),
                0
            ),
            guess
        ))) as high,
        z_power
        {%- endif %}
    from {{ name }}_errors_{{ step }}
    {{ fence() }}

),

{% endfor -%}
{{ name }} as (

    select
        {{ key | join(', ') }},
        case
            when
                1 - p0 > {{ z_95() }} * sqrt(greatest(
                    (p0 + treated_share * (1 - p0)) * (1 - treated_share) * (1 - p0)
                    * sum_inverse,
                    0
                ))
                + {{ power_quantile }} * sqrt(p0 * (1 - p0) / n0)
                then high
        end as detectable_lift
    from {{ name }}_step_{{ steps }}

)
{%- endmacro %}
