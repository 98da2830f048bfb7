{#- Tail probabilities as SQL expressions, each to 1e-7 relative of the exact value or better.

    Arguments are columns (or short expressions in double precision: they are repeated), null gives
    null (asked for where least and greatest would pass over it). Exponents are cut off where the
    result would be below 1e-300, which PostgreSQL refuses. -#}


{#- A polynomial by Horner's rule; coefficients from the highest power down. -#}
{% macro polynomial(x, coefficients) -%}
    {%- set text = namespace(value=coefficients[0]) -%}
    {%- for coefficient in coefficients[1:] -%}
        {%- set text.value = '(' ~ text.value ~ ' * ' ~ x ~ ' + ' ~ coefficient ~ ')' -%}
    {%- endfor -%}
    {{- text.value -}}
{%- endmacro %}


{#- e to the power of something not above zero. -#}
{% macro exp_below_zero(exponent) -%}
    exp(greatest(cast({{ exponent }} as {{ type_double() }}), cast(-690 as {{ type_double() }})))
{%- endmacro %}


{#- P(Z > z) of the standard normal distribution.

    Hart's rational approximation and, far out, a continued fraction (G. West, Better approximations
    to cumulative normal functions, Wilmott 2005). -#}
{% macro normal_tail(z) -%}
    {%- set x = 'least(abs(cast(' ~ z ~ ' as ' ~ type_double() ~ ')), 37)' -%}
    {%- set far = namespace(value='(' ~ x ~ ' + 0.65)') -%}
    {%- for step in [4, 3, 2, 1] -%}
        {%- set far.value = '(' ~ x ~ ' + ' ~ step ~ ' / ' ~ far.value ~ ')' -%}
    {%- endfor -%}
    case when {{ z }} < 0 then 1 when {{ z }} >= 0 then 0 end
    + case when {{ z }} < 0 then -1 else 1 end
    * {{ exp_below_zero('-' ~ x ~ ' * ' ~ x ~ ' / 2') }}
    * case
        when {{ x }} < 7.07106781186547 then
            {{ polynomial(x, [
                '3.52624965998911e-02', '0.700383064443688', '6.37396220353165', '33.912866078383',
                '112.079291497871', '221.213596169931', '220.206867912376',
            ]) }}
            / {{ polynomial(x, [
                '8.83883476483184e-02', '1.75566716318264', '16.064177579207', '86.7807322029461',
                '296.564248779674', '637.333633378831', '793.826512519948', '440.413735824752',
            ]) }}
        else 1 / ({{ far.value }} * 2.506628274631)
    end
{%- endmacro %}


{#- P(|Z| > |z|): the p-value of a two-sided test. -#}
{% macro normal_two_sided(z) -%}
    2 * ({{ normal_tail('abs(' ~ z ~ ')') }})
{%- endmacro %}


{#- The logarithm of the gamma function above zero (Lanczos, g = 7, nine terms). -#}
{% macro ln_gamma(x) -%}
    {%- set terms = [
        '676.5203681218851', '-1259.1392167224028', '771.32342877765313', '-176.61502916214059',
        '12.507343278686905', '-0.13857109526572012', '9.9843695780195716e-6',
        '1.5056327351493116e-7',
    ] -%}
    (
        0.91893853320467274178 + ({{ x }} - 0.5) * ln({{ x }} + 6.5) - ({{ x }} + 6.5)
        + ln(0.99999999999980993
        {%- for term in terms %} + ({{ term }}) / ({{ x }} + {{ loop.index0 }}){% endfor %})
    )
{%- endmacro %}


{#- The continued fraction of the incomplete beta function, to a depth that converges for every
    x below (a + 1) / (a + b + 2) where one of a and b is a half. -#}
{% macro _beta_fraction(a, b, x) -%}
    {%- set text = namespace(value='1.0') -%}
    {%- for step in range(24, 0, -1) -%}
        {%- set m = step // 2 -%}
        {%- if step % 2 -%}
            {%- set term = '-(' ~ a ~ ' + ' ~ m ~ ') * (' ~ a ~ ' + ' ~ b ~ ' + ' ~ m ~ ') * ' ~ x
                ~ ' / ((' ~ a ~ ' + ' ~ (2 * m) ~ ') * (' ~ a ~ ' + ' ~ (2 * m + 1) ~ '))' -%}
        {%- else -%}
            {%- set term = m ~ ' * (' ~ b ~ ' - ' ~ m ~ ') * ' ~ x
                ~ ' / ((' ~ a ~ ' + ' ~ (2 * m - 1) ~ ') * (' ~ a ~ ' + ' ~ (2 * m) ~ '))' -%}
        {%- endif -%}
        {%- set text.value = '(1 + ' ~ term ~ ' / ' ~ text.value ~ ')' -%}
    {%- endfor -%}
    {{- text.value -}}
{%- endmacro %}


{#- P(|T| > |t|) of Student's distribution: the p-value of a two-sided t test. `df`: degrees of
    freedom above zero, whole or not (Welch). -#}
{% macro student_two_sided(t, df) -%}
    {%- set double = type_double() -%}
    {%- set a = '(cast(' ~ df ~ ' as ' ~ double ~ ') / 2)' -%}
    {%- set half = "cast(0.5 as " ~ double ~ ")" -%}
    {%- set square = '(cast(' ~ t ~ ' as ' ~ double ~ ') * ' ~ t ~ ')' -%}
    {%- set x = '(' ~ df ~ ' / (' ~ df ~ ' + ' ~ square ~ '))' -%}
    {%- set y = '(' ~ square ~ ' / (' ~ df ~ ' + ' ~ square ~ '))' -%}
    {%- set ln_front -%}
        {{ ln_gamma('(' ~ a ~ ' + ' ~ half ~ ')') }} - {{ ln_gamma(a) }} - 0.57236494292470008707
        + {{ a }} * ln({{ x }}) + 0.5 * ln({{ y }})
    {%- endset -%}
    case
        when {{ t }} is null or {{ df }} is null then null
        when {{ t }} = 0 then 1
        when {{ x }} < ({{ a }} + 1) / ({{ a }} + 2.5)
            then {{ exp_below_zero(ln_front) }} / ({{ a }} * {{ _beta_fraction(a, half, x) }})
        else 1 - {{ exp_below_zero(ln_front) }} / (0.5 * {{ _beta_fraction(half, a, y) }})
    end
{%- endmacro %}


{#- P(X > x) of the chi-square distribution with a whole number of degrees of freedom, at most 60:
    a finite series. Null for more; 0 beyond x = 1300, where it is below 1e-200. -#}
{% macro chi_square_tail(x, df) -%}
    {%- set h = '(cast(' ~ x ~ ' as ' ~ type_double() ~ ') / 2)' -%}
    {%- set even = namespace(value='1.0') -%}
    {%- set odd = namespace(value='1.0') -%}
    {%- for i in range(29, 0, -1) -%}
        {%- set even.value = '(1 + case when ' ~ df ~ ' > ' ~ (2 * i) ~ ' then ' ~ h ~ ' / ' ~ i
            ~ ' * ' ~ even.value ~ ' else 0 end)' -%}
        {%- set odd.value = '(1 + case when ' ~ df ~ ' > ' ~ (2 * i + 1) ~ ' then ' ~ h ~ ' / '
            ~ i ~ '.5 * ' ~ odd.value ~ ' else 0 end)' -%}
    {%- endfor -%}
    case
        when {{ x }} is null or {{ df }} is null or {{ df }} > 60 then null
        when {{ x }} > 1300 then 0
        when {{ x }} <= 0 then 1
        when mod({{ df }}, 2) = 0 then {{ exp_below_zero('-' ~ h) }} * {{ even.value }}
        else
            {{ normal_two_sided('sqrt(cast(' ~ x ~ ' as ' ~ type_double() ~ '))') }}
            + case
                when {{ df }} > 1
                    then 1.1283791670955126 * sqrt({{ h }}) * {{ exp_below_zero('-' ~ h) }}
                        * {{ odd.value }}
                else 0
            end
    end
{%- endmacro %}


{#- The 97.5 % quantile of Student's distribution, for intervals of 95 %. `df`: degrees of freedom of
    at least one, whole or not. A polynomial for its logarithm in 1 / df, to 1e-9 relative. -#}
{% macro student_975(df) -%}
    {%- set inverse = '(1 / cast(' ~ df ~ ' as ' ~ type_double() ~ '))' -%}
    exp({{ polynomial(inverse, [
        '0.02063575379990486', '-0.19281551488756649', '0.8090591522843174', '-2.001609841123585',
        '3.2104469987147715', '-3.4447249255938743', '2.471939453360183', '-1.2133844434427123',
        '0.49762609574766925', '-0.1295005532825855', '-0.2283771439608362', '0.1519148393871035',
        '0.7075898134816462', '1.210364653615175', '0.6729260979407394',
    ]) }})
{%- endmacro %}
