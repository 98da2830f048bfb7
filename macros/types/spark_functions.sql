{#- dbt's own date macros for Spark fail the query where a date is null. These give what DuckDB and
    PostgreSQL give: null for null, and for weeks and longer the number of boundaries between two
    days. dbt finds them by their names. -#}


{% macro spark__dateadd(datepart, interval, from_date_or_timestamp) -%}
    timestampadd(
        {{ datepart | trim }},
        cast({{ interval }} as integer),
        cast({{ from_date_or_timestamp }} as timestamp)
    )
{%- endmacro %}


{% macro spark__datediff(first_date, second_date, datepart) -%}
    {%- set part = datepart | lower | trim -%}
    {%- set first_day, second_day = 'cast(' ~ first_date ~ ' as date)', 'cast(' ~ second_date ~ ' as date)' -%}
    {%- if part == 'day' -%}
    datediff({{ second_day }}, {{ first_day }})
    {%- elif part == 'week' -%}
    cast(floor(
        datediff(date_trunc('week', {{ second_day }}), date_trunc('week', {{ first_day }})) / 7
    ) as integer)
    {%- elif part in ['month', 'quarter', 'year'] -%}
    {%- set months = {'month': 1, 'quarter': 3, 'year': 12}[part] -%}
    cast(
        months_between(
            date_trunc('{{ part }}', {{ second_day }}), date_trunc('{{ part }}', {{ first_day }})
        ) / {{ months }} as integer
    )
    {%- elif part in ['hour', 'minute', 'second'] -%}
    timestampdiff(
        {{ part }}, date_trunc('{{ part }}', {{ first_date }}), date_trunc('{{ part }}', {{ second_date }})
    )
    {%- else -%}
        {{ exceptions.raise_compiler_error(
            "datediff on Spark: found the part " ~ datepart
            ~ "; accepted: second, minute, hour, day, week, month, quarter, year"
        ) }}
    {%- endif -%}
{%- endmacro %}


{#- dbt-spark's own knows no order. -#}
{% macro spark__listagg(measure, delimiter_text, order_by_clause, limit_num) -%}
    {%- if limit_num -%}
        {{ exceptions.raise_compiler_error("listagg on Spark: found limit_num; accepted: none") }}
    {%- endif -%}
    listagg({{ measure }}, {{ delimiter_text }})
    {{- ' within group (' ~ order_by_clause ~ ')' if order_by_clause }}
{%- endmacro %}


{#- The shape that a contract asks for. Spark knows no `double precision`. -#}
{% macro spark__get_empty_schema_sql(columns) %}
    {%- set renamed = {} -%}
    {%- for name, column in columns.items() -%}
        {%- set type = column['data_type'] -%}
        {%- do renamed.update({
            name: dict(column, data_type='double' if type == 'double precision' else type)
        }) -%}
    {%- endfor -%}
    {{- default__get_empty_schema_sql(renamed) -}}
{% endmacro %}
