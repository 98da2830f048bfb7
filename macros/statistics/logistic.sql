{#- Logistic regression by Newton steps, as a chain of common table expressions.

    `rows`: a CTE or relation with fit_code, the outcome `y` (0 or 1, double) and the features
    (double, of about unit size); every fit_code gets a model of its own with an intercept.
    `ridge`: penalty on the squares of the slopes (half of it is added to the negative
    log-likelihood), so that constant or separating features end in a number.

    Ends in the CTE `<name>` with fit_code, step_change (the largest change of a coefficient in the
    last step: near 0 when it has converged) and b0 (intercept), b1, b2, …, all double.

    Each step solves (X'WX + ridge) b = X'(W Xb + y − p): one pass over the rows makes the sums, and
    Gauss-Jordan elimination by window functions on the long matrix solves them. -#}
{% macro logistic_regression(name, rows, features, ridge=1, steps=12) %}
{%- set double = type_double() -%}
{%- set last = features | length -%}
{%- set indices = range(last + 1) -%}
{%- set x = ['1'] + features -%}
{{ name }}_step_0 as (

    select
        fit_code,
        ln((sum(y) + 0.5) / (sum(1 - y) + 0.5)) as b0
        {%- for i in indices[1:] %},
        cast(0 as {{ double }}) as b{{ i }}
        {%- endfor %}
    from {{ rows }}
    group by fit_code

),

{% for step in range(1, steps + 1) -%}
{{ name }}_predictor_{{ step }} as (

    select
        observed.*,
        greatest(least(
            coefficients.b0
            {%- for feature in features %} + coefficients.b{{ loop.index }} * observed.{{ feature }}
            {%- endfor %},
            cast(30 as {{ double }})
        ), cast(-30 as {{ double }})) as predictor
    from {{ rows }} as observed
    inner join {{ name }}_step_{{ step - 1 }} as coefficients
        on observed.fit_code = coefficients.fit_code
    {{ fence() }}

),

{{ name }}_weight_{{ step }} as (

    select
        *,
        1 / (1 + exp(-predictor)) as p
    from {{ name }}_predictor_{{ step }}
    {{ fence() }}

),

{{ name }}_sums_{{ step }} as (

    select
        fit_code,
        {% for i in indices %}
        {% for j in indices if j >= i %}
        sum(p * (1 - p){{ ' * ' ~ x[i] if i }}{{ ' * ' ~ x[j] if j }})
        {{- ' + ' ~ ridge if i == j and i }} as h_{{ i }}_{{ j }},
        {% endfor %}
        sum((p * (1 - p) * predictor + y - p){{ ' * ' ~ x[i] if i }}) as r_{{ i }}
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from {{ name }}_weight_{{ step }}
    group by fit_code

),

{{ name }}_matrix_{{ step }} as (

    {#- One row a cell: DuckDB plans a cross join with the positions for minutes. #}
    {% for i in indices %}
    {% for j in range(last + 2) %}
    select
        fit_code,
        {{ i }} as i,
        {{ j }} as j,
        {{ 'r_' ~ i if j > last else 'h_' ~ [i, j] | min ~ '_' ~ [i, j] | max }} as v
    from {{ name }}_sums_{{ step }}
    {% if not (loop.last and i == last) %}union all{% endif %}
    {% endfor %}
    {% endfor %}

),

{% for k in indices -%}
{{ name }}_pivot_{{ step }}_{{ k }} as (

    select
        *,
        max(case when j = {{ k }} then v end) over (partition by fit_code, i) as of_row,
        max(case when i = {{ k }} then v end) over (partition by fit_code, j) as of_column,
        max(case when i = {{ k }} and j = {{ k }} then v end) over (partition by fit_code)
            as of_pivot
    from {{ name }}_{{ 'matrix_' ~ step if k == 0 else 'solved_' ~ step ~ '_' ~ (k - 1) }}

),

{{ name }}_solved_{{ step }}_{{ k }} as (

    select
        fit_code,
        i,
        j,
        case
            when i = {{ k }} then v / of_pivot
            else v - of_row * of_column / of_pivot
        end as v
    from {{ name }}_pivot_{{ step }}_{{ k }}
    {#- What is left of it no later step needs. #}
    where j > {{ k }}

),

{% endfor -%}
{{ name }}_step_{{ step }} as (

    select
        fit_code,
        {% for i in indices %}
        max(case when i = {{ i }} then v end) as b{{ i }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from {{ name }}_solved_{{ step }}_{{ last }}
    where j = {{ last + 1 }}
    group by fit_code

),

{% endfor -%}
{{ name }} as (

    select
        solved.*,
        greatest(
            {% for i in indices %}
            abs(solved.b{{ i }} - before.b{{ i }}){% if not loop.last %},{% endif %}
            {% endfor %}
        ) as step_change
    from {{ name }}_step_{{ steps }} as solved
    inner join {{ name }}_step_{{ steps - 1 }} as before
        on solved.fit_code = before.fit_code

)
{%- endmacro %}


{#- Keeps an engine from merging a query into the one around it: PostgreSQL would compute every exp
    once per sum. -#}
{% macro fence() -%}
    {{- 'offset 0' if target.type == 'postgres' else '' -}}
{%- endmacro %}
