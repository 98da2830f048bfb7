{#- Logistic regression by Newton steps, as a chain of common table expressions.

    `rows`: a CTE or relation with fit_code, the outcome `y` (0 or 1, double) and the features
    (double, of about unit size); every fit_code gets a model of its own with an intercept.
    `ridge`: penalty on the squares of the slopes (half of it is added to the negative
    log-likelihood), so that constant or separating features end in a number; a list has one for
    every feature.

    Ends in the CTE `<name>` with fit_code, step_change (the largest change of a coefficient in the
    last step: near 0 when it has converged) and b0 (intercept), b1, b2, …, all double.

    Each step solves (X'WX + ridge) b = X'(W Xb + y − p): one pass over the rows makes the sums, and
    Gauss-Jordan elimination solves them, one unknown per expression. The first steps take weights
    that cannot overshoot (the tangent bound of Jaakkola and Jordan 2000, (p − 1/2) / Xb); from the
    mean rate alone Newton's own, p (1 − p), run away where nearly everybody comes back. `rows` should be
    `stored()`, since every step reads them. -#}
{% macro logistic_regression(name, rows, features, ridge=1, bound_steps=4, newton_steps=8) %}
{%- set steps = bound_steps + newton_steps -%}
{%- set double = type_double() -%}
{%- set last = features | length -%}
{%- set indices = range(last + 1) -%}
{%- set x = ['1'] + features -%}
{%- set is_list = ridge is iterable and ridge is not string -%}
{%- set ridges = [0] + (ridge if is_list else [ridge] * last) -%}
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

{{ name }}_probability_{{ step }} as (

    select
        *,
        1 / (1 + exp(-predictor)) as p
    from {{ name }}_predictor_{{ step }}
    {{ fence() }}

),

{{ name }}_weight_{{ step }} as (

    select
        *,
        {% if step <= bound_steps -%}
        case when abs(predictor) < 0.000001 then 0.25 else (p - 0.5) / predictor end as w
        {%- else -%}
        p * (1 - p) as w
        {%- endif %}
    from {{ name }}_probability_{{ step }}
    {{ fence() }}

),

{{ name }}_sums_{{ step }} as (

    select
        fit_code,
        {% for i in indices %}
        {% for j in indices if j >= i %}
        sum(w{{ ' * ' ~ x[i] if i }}{{ ' * ' ~ x[j] if j }})
        {{- ' + ' ~ ridges[i] if i == j and i }} as v_{{ i }}_{{ j }},
        {% endfor %}
        sum((w * predictor + y - p){{ ' * ' ~ x[i] if i }}) as v_{{ i }}_{{ last + 1 }}
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from {{ name }}_weight_{{ step }}
    group by fit_code
    {{ fence() }}

),

{% for k in indices -%}
{#- Row k by its pivot; from the other rows as much of it as clears their column k. The sums are
    symmetric, and so is what is not yet cleared. -#}
{{ name }}_solved_{{ step }}_{{ k }} as (

    select
        fit_code,
        {% for i in indices %}
        {% for j in range(k + 1, last + 2) if i <= k or j >= i %}
        {%- set own = 'v_' ~ i ~ '_' ~ j -%}
        {%- set of_row = 'v_' ~ (i ~ '_' ~ k if i < k else k ~ '_' ~ i) -%}
        {%- set of_pivot = 'v_' ~ k ~ '_' ~ k -%}
        {%- if i == k -%}
        {{ own }} / {{ of_pivot }} as {{ own }}
        {%- else -%}
        {{ own }} - {{ of_row }} * v_{{ k }}_{{ j }} / {{ of_pivot }} as {{ own }}
        {%- endif -%}
        {{ ',' if not (i == last and j == last + 1) }}
        {% endfor %}
        {% endfor %}
    from {{ name }}_{{ 'sums_' ~ step if k == 0 else 'solved_' ~ step ~ '_' ~ (k - 1) }}
    {{ fence() }}

),

{% endfor -%}
{{ name }}_step_{{ step }} as {{ stored() }}(

    select
        fit_code,
        {% for i in indices %}
        v_{{ i }}_{{ last + 1 }} as b{{ i }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from {{ name }}_solved_{{ step }}_{{ last }}

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


{#- Before the brackets of a common table expression: computed once and by itself. DuckDB plans a long
    chain of groupings for minutes otherwise. Spark has no word for it: see `stored`. -#}
{% macro by_itself() -%}
    {{- 'materialized ' if target.type in ['duckdb', 'postgres'] else '' -}}
{%- endmacro %}
