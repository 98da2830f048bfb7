{#- One money amount: cents, never floating point. -#}
{% macro type_money() %}numeric(18, 2){% endmacro %}


{#- Sums over many customers: 1e12 of each of a billion rows still fit. -#}
{% macro type_money_total() %}numeric(28, 2){% endmacro %}


{#- Expected costs and margins of one customer, and their sums: a mail costs less than a cent. -#}
{% macro type_unit_money() %}numeric(18, 4){% endmacro %}

{% macro type_unit_money_total() %}numeric(28, 4){% endmacro %}


{#- A floating-point amount to four digits, by way of nine: engines differ in what lies behind. -#}
{% macro unit_money(expression) -%}
    cast(cast({{ expression }} as numeric(28, 9)) as {{ type_unit_money() }})
{%- endmacro %}


{#- An amount of money divided by a whole number, rounded half away from zero to the cent; null for
    none.

    Dispatched: DuckDB divides decimals as floating point (10.05 / 10 would be 1.00), so there whole
    cents are divided as integers. -#}
{% macro money_per(amount, number) %}
    {{- return(adapter.dispatch('money_per', 'rfm_retention')(amount, number)) -}}
{% endmacro %}

{% macro default__money_per(amount, number) -%}
    cast({{ amount }} / nullif({{ number }}, 0) as {{ type_money() }})
{%- endmacro %}

{% macro duckdb__money_per(amount, number) -%}
    cast(
        cast(
            case when {{ amount }} < 0 then -1 else 1 end
            * (
                (cast(200 * cast(abs({{ amount }}) as numeric(30, 2)) as hugeint) + {{ number }})
                // nullif(2 * {{ number }}, 0)
            )
            as numeric(18, 0)
        ) * 0.01 as {{ type_money() }}
    )
{%- endmacro %}


{#- A quartile of money, rounded half away from zero to the cent. Interpolated in cents: quarters of
    whole numbers are exact in floating point (below 2^53 cents), while DuckDB would cut a decimal
    result off. -#}
{% macro money_quantile(share, amount) -%}
    {%- set quantile -%}
    percentile_cont({{ share }}) within group (
        order by cast(100 * cast({{ amount }} as numeric(30, 2)) as {{ type_double() }})
    )
    {%- endset -%}
    cast(
        cast(sign({{ quantile }}) * floor(abs({{ quantile }}) + 0.5) as numeric(18, 0)) * 0.01
        as {{ type_money() }}
    )
{%- endmacro %}


{% macro type_quantity() %}numeric(18, 4){% endmacro %}


{#- A planned share: a third needs more digits than a quantity has. -#}
{% macro type_share() %}numeric(24, 9){% endmacro %}


{#- Money per customer, with digits below the cent: a lift is a small difference of means. -#}
{% macro type_money_rate() %}numeric(24, 9){% endmacro %}


{#- Sums of event weights: exact, so that no engine ranks them differently. -#}
{% macro type_weight() %}numeric(18, 6){% endmacro %}


{#- Eight-byte floating point, for shares and rates. "double" alone does not parse on
    PostgreSQL. -#}
{% macro type_double() %}
    {{- 'double' if target.type == 'spark' else 'double precision' -}}
{% endmacro %}


{#- Text that orders byte by byte on every engine; only PostgreSQL would follow the database's
    language. -#}
{% macro bytewise(expression) %}
    {{- ('(' ~ expression ~ ') collate "C"') if target.type == 'postgres' else expression -}}
{% endmacro %}


{#- Small letters, bytewise. Under the collation "C" PostgreSQL would change ASCII letters only, so
    text is lowered by the database's own one first. -#}
{% macro lower_text(expression) %}
    {%- set lowered = 'lower((' ~ expression ~ ') collate "default")'
        if target.type == 'postgres' else 'lower(' ~ expression ~ ')' -%}
    {{- bytewise(lowered) -}}
{% endmacro %}


{#- Text without blanks at its ends. The characters are named (blank, tab, line ends, no-break space,
    byte order mark), since a plain trim takes only blanks on PostgreSQL and any white space on
    DuckDB.

    Dispatched: naming characters makes trim many times slower on DuckDB, so there it is spared
    where the first and the last character say that there is nothing to take. -#}
{% macro clean_text(expression) %}
    {{- return(adapter.dispatch('clean_text', 'rfm_retention')(expression)) -}}
{% endmacro %}

{% macro default__clean_text(expression) -%}
    trim(both {{ blank_characters() | join(' || ') }} from {{ expression }})
{%- endmacro %}

{% macro duckdb__clean_text(expression) -%}
    case
        when
            {{ expression }} >= '!'
            and {{ expression }} < chr(127)
            {%- for character in blank_characters() %}
            and not suffix({{ expression }}, {{ character }})
            {%- endfor %}
            then {{ expression }}
        else trim(both {{ blank_characters() | join(' || ') }} from {{ expression }})
    end
{%- endmacro %}

{#- Spark's chr goes up to 255 only and takes the rest modulo 256. -#}
{% macro blank_characters() %}
    {%- set byte_order_mark = "'\\ufeff'" if target.type == 'spark' else 'chr(65279)' -%}
    {{- return(["' '", "chr(9)", "chr(10)", "chr(13)", "chr(160)", byte_order_mark]) -}}
{% endmacro %}


{#- A regular expression on text. Dispatched: there is no common spelling. -#}
{% macro matches(expression, pattern) %}
    {{- return(adapter.dispatch('matches', 'rfm_retention')(expression, pattern)) -}}
{% endmacro %}

{% macro default__matches(expression, pattern) %}
    {{- return("regexp_matches(" ~ expression ~ ", '" ~ pattern ~ "')") -}}
{% endmacro %}

{% macro postgres__matches(expression, pattern) %}
    {{- return("(" ~ expression ~ " ~ '" ~ pattern ~ "')") -}}
{% endmacro %}

{% macro spark__matches(expression, pattern) %}
    {{- return("(" ~ expression ~ " rlike r'" ~ pattern ~ "')") -}}
{% endmacro %}


{#- A cast inside a `case` that has already looked at the text. DuckDB and Spark may evaluate ahead
    of the condition, so there the cast itself must not fail; PostgreSQL has no try_cast and keeps
    the order. -#}
{% macro guarded_cast(expression, type) %}
    {%- set cast = 'cast' if target.type == 'postgres' else 'try_cast' -%}
    {{- cast ~ '(' ~ expression ~ ' as ' ~ type ~ ')' -}}
{% endmacro %}


{% macro true_words() %}'true', 't', 'yes', 'y', '1', '1.0'{% endmacro %}


{% macro false_words() %}'false', 'f', 'no', 'n', '0', '0.0'{% endmacro %}


{% macro number_pattern() %}
    {{- return("^[+-]?([0-9]{1,40}[.]?[0-9]{0,40}|[.][0-9]{1,40})([eE][+-]?[0-9]{1,2})?$") -}}
{% endmacro %}


{#- The same without limits of length: what it takes and number_pattern does not is too large. -#}
{% macro loose_number_pattern() %}
    {{- return("^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?$") -}}
{% endmacro %}


{% macro integer_pattern() %}{{ return("^[+-]?[0-9]{1,9}$") }}{% endmacro %}


{#- Numeric text → decimal, rounded once; null where it is not a number below 1e12. -#}
{% macro text_to_decimal(expression, type) -%}
    case
        when {{ matches(expression, number_pattern()) }}
            then case
                when abs({{ guarded_cast(expression, type_double()) }}) < 1e12
                    then {{ exact_decimal(expression, type) }}
            end
    end
{%- endmacro %}


{#- Numeric text below 1e12 → decimal, rounded half away from zero once. Text with an exponent goes
    over more digits than any number in that range needs: DuckDB takes 8.9e-16 for 0.01 when cast to
    two digits at once. -#}
{% macro exact_decimal(expression, type) -%}
    case
        when position('e' in lower({{ expression }})) > 0
            then cast({{ guarded_cast(expression, 'numeric(38, 25)') }} as {{ type }})
        else {{ guarded_cast(expression, type) }}
    end
{%- endmacro %}


{#- Whether text starts with a real calendar date in ISO form, alone or with a time of day and a
    zone. -#}
{% macro is_iso_date(expression) -%}
    {%- set day = '[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])' -%}
    {%- set time = '([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,9})?)?' -%}
    {%- set zone = ' ?(Z|[+-][0-9]{2}(:?[0-9]{2})?)' -%}
    {%- set pattern = '^' ~ day ~ '([T ]' ~ time ~ '(' ~ zone ~ ')?)?$' -%}
    {%- set year = guarded_cast("substring(" ~ expression ~ ", 1, 4)", "integer") -%}
    case
        when not {{ matches(expression, pattern) }} then false
        when substring({{ expression }}, 1, 4) = '0000' then false
        when substring({{ expression }}, 6, 5)
            in ('02-30', '02-31', '04-31', '06-31', '09-31', '11-31')
            then false
        when substring({{ expression }}, 6, 5) = '02-29'
            then mod({{ year }}, 4) = 0 and (mod({{ year }}, 100) <> 0 or mod({{ year }}, 400) = 0)
        else true
    end
{%- endmacro %}


{#- A whole number in floating point as text without a fraction. -#}
{% macro number_text(expression) -%}
    cast(cast({{ expression }} as bigint) as {{ dbt.type_string() }})
{%- endmacro %}


{#- A number of days in words: 1 day, 2 days. -#}
{% macro days_text(expression) -%}
    {{- dbt.concat([
        number_text(expression),
        "case when " ~ expression ~ " = 1 then ' day' else ' days' end",
    ]) -}}
{%- endmacro %}


{#- A number of customers in words: 1 customer, 2 customers. -#}
{% macro customers_text(expression) -%}
    {{- dbt.concat([
        number_text(expression),
        "case when " ~ expression ~ " = 1 then ' customer' else ' customers' end",
    ]) -}}
{%- endmacro %}


{#- A floating-point number to nine digits after the point: what lies behind differs with the order in
    which an engine adds up. -#}
{% macro nine_digits(expression) -%}
    cast(cast({{ expression }} as numeric(28, 9)) as {{ type_double() }})
{%- endmacro %}


{#- A ratio of floating-point numbers to nine digits: figures are compared and ranked on it, and
    the digits behind differ between engines. Null where the divisor is null or 0. -#}
{% macro rounded_ratio(dividend, divisor) -%}
    cast(
        cast({{ dividend }} as {{ type_double() }}) / nullif({{ divisor }}, 0) as numeric(28, 9)
    )
{%- endmacro %}


{#- A share as text in per cent with one digit, and any other ratio with `digits` digits. -#}
{% macro percent_text(share) -%}
    {{- ratio_text('100 * (' ~ share ~ ')', 1) -}}
{%- endmacro %}

{#- A lift as text in points, with two digits that say something: one after the point from 1 point on,
    else more. In a mailing to which one in a hundred answers all lifts would be 0.2 or 0.0 points. -#}
{% macro points_text(lift) -%}
    case
        when abs({{ lift }}) >= 0.01 then {{ percent_text(lift) }}
        when abs({{ lift }}) >= 0.001 then {{ ratio_text('100 * (' ~ lift ~ ')', 2) }}
        else {{ ratio_text('100 * (' ~ lift ~ ')', 4) }}
    end
{%- endmacro %}

{% macro ratio_text(ratio, digits) -%}
    cast(cast({{ ratio }} as numeric(18, {{ digits }})) as {{ dbt.type_string() }})
{%- endmacro %}
