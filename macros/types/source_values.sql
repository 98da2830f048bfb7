{#- A database's type name → its family: date, timestamp, timestamptz, float, decimal, integer,
    boolean, text. -#}
{% macro type_family(dtype) %}
    {%- set name = dtype | lower -%}
    {%- if name == 'date' -%}
        {{ return('date') }}
    {%- elif name.startswith('timestamp') and 'with time zone' in name or name == 'timestamptz' -%}
        {{ return('timestamptz') }}
    {%- elif name.startswith('timestamp') or name == 'datetime' -%}
        {{ return('timestamp') }}
    {%- elif name in ('double', 'double precision', 'float', 'real', 'float4', 'float8') -%}
        {{ return('float') }}
    {%- elif name.startswith('decimal') or name.startswith('numeric') -%}
        {{ return('decimal') }}
    {%- elif name in (
        'tinyint', 'smallint', 'integer', 'int', 'bigint', 'long', 'int2', 'int4', 'int8',
        'hugeint', 'utinyint', 'usmallint', 'uinteger', 'ubigint', 'uhugeint',
    ) -%}
        {{ return('integer') }}
    {%- elif name in ('boolean', 'bool') -%}
        {{ return('boolean') }}
    {%- endif -%}
    {{ return('text') }}
{% endmacro %}


{#- One source value as our type; null where it cannot be used, never a failed build. Text orders
    bytewise from here on: the same order on every engine, and on PostgreSQL sorts and groups several
    times faster than in the language of the database. -#}
{% macro source_value(expression, family, kind) %}
    {%- if kind == 'id' -%}
        {{ bytewise(source_id(expression, family) | trim) }}
    {%- elif kind == 'date' -%}
        {{ source_date(expression, family) }}
    {%- elif kind == 'money' -%}
        {{ source_decimal(expression, family, type_money()) }}
    {%- elif kind == 'number' -%}
        {{ source_decimal(expression, family, type_quantity()) }}
    {%- elif kind == 'share' -%}
        {{ source_decimal(expression, family, type_share()) }}
    {%- elif kind == 'timestamp' -%}
        {{ source_timestamp(expression, family) }}
    {%- elif kind == 'boolean' -%}
        {{ source_boolean(expression, family) }}
    {%- elif kind == 'consent' -%}
        {{ source_consent(expression, family) }}
    {%- elif kind == 'text' -%}
        {{ bytewise(source_text(expression, family) | trim) }}
    {%- else -%}
        {{ exceptions.raise_compiler_error(
            "source_value: kind must be id, date, timestamp, money, number, share, boolean, consent or"
            ~ " text, got " ~ kind
        ) }}
    {%- endif -%}
{% endmacro %}


{% macro source_text(expression, family) %}
    {%- if expression is none -%}
        cast(null as {{ dbt.type_string() }})
    {%- else -%}
        nullif({{ clean_text("cast(" ~ expression ~ " as " ~ dbt.type_string() ~ ")") }}, '')
    {%- endif -%}
{% endmacro %}


{#- Ids are text. A whole number that a tool stored as floating point is that integer (17850.0 is
    17850); a floating NaN is how such tools write "missing". -#}
{% macro source_id(expression, family) %}
    {%- if family in ('float', 'decimal') -%}
        case
            when
                {{ expression }} > -1e15
                and {{ expression }} < 1e15
                and {{ expression }} = floor({{ expression }})
                then cast(cast({{ expression }} as bigint) as {{ dbt.type_string() }})
            when {{ expression }} > -1e300 and {{ expression }} < 1e300
                then cast({{ expression }} as {{ dbt.type_string() }})
        end
    {%- elif family == 'integer' -%}
        cast({{ expression }} as {{ dbt.type_string() }})
    {%- else -%}
        {{ source_text(expression, family) }}
    {%- endif -%}
{% endmacro %}


{#- A timestamp with time zone is read in UTC, so that no session setting moves a sale to another
    day. Text is read by its first ten characters: the date as it was written. -#}
{% macro source_date(expression, family) %}
    {%- if expression is none -%}
        cast(null as date)
    {%- elif family == 'date' -%}
        {{ expression }}
    {%- elif family == 'timestamp' -%}
        cast({{ expression }} as date)
    {%- elif family == 'timestamptz' -%}
        cast({{ expression }} at time zone 'UTC' as date)
    {%- else -%}
        {%- set value = clean_text("cast(" ~ expression ~ " as " ~ dbt.type_string() ~ ")") -%}
        case
            when {{ is_iso_date(value) }}
                then {{ guarded_cast("substring(" ~ value ~ ", 1, 10)", "date") }}
        end
    {%- endif -%}
{% endmacro %}


{#- A moment, in UTC where the source has a time zone; text to the minute, as it was written. -#}
{% macro source_timestamp(expression, family) %}
    {%- if expression is none -%}
        cast(null as timestamp)
    {%- elif family in ('date', 'timestamp') -%}
        cast({{ expression }} as timestamp)
    {%- elif family == 'timestamptz' -%}
        cast({{ expression }} at time zone 'UTC' as timestamp)
    {%- else -%}
        {%- set value = clean_text("cast(" ~ expression ~ " as " ~ dbt.type_string() ~ ")") -%}
        case
            when {{ is_iso_date(value) }}
                then {{ guarded_cast(
                    "replace(substring(" ~ value ~ ", 1, 16), 'T', ' ')", 'timestamp'
                ) }}
        end
    {%- endif -%}
{% endmacro %}


{#- Decimal, rounded half away from zero once, null from 1e12 on. Floating point goes through its
    shortest text, so that 1.005 is the 1.005 that somebody typed and not the binary number below
    it. -#}
{% macro source_decimal(expression, family, type) %}
    {%- if expression is none -%}
        cast(null as {{ type }})
    {%- elif family in ('integer', 'decimal') -%}
        case
            when {{ expression }} > -1e12 and {{ expression }} < 1e12
                then cast({{ expression }} as {{ type }})
        end
    {%- elif family == 'float' -%}
        {%- set value = "cast(" ~ expression ~ " as " ~ dbt.type_string() ~ ")" -%}
        case
            when {{ expression }} > -1e12 and {{ expression }} < 1e12
                then {{ exact_decimal(value, type) }}
        end
    {%- else -%}
        {%- set value = clean_text("cast(" ~ expression ~ " as " ~ dbt.type_string() ~ ")") -%}
        {{ text_to_decimal(value, type) }}
    {%- endif -%}
{% endmacro %}


{#- Blank is false, a number other than 0 is true. Null only for words that are neither true nor false: a
    return that was taken for a sale would be wrong without anybody knowing. -#}
{% macro source_boolean(expression, family) %}
    {%- if expression is none -%}
        false
    {%- elif family == 'boolean' -%}
        coalesce({{ expression }}, false)
    {%- elif family in ('integer', 'decimal', 'float') -%}
        coalesce({{ expression }} <> 0 and {{ expression }} < 1e15, false)
    {%- else -%}
        {%- set value = "lower(" ~ clean_text("cast(" ~ expression ~ " as " ~ dbt.type_string() ~ ")") ~ ")" -%}
        case
            when coalesce({{ value }}, '') = '' then false
            when {{ value }} in ({{ true_words() }}) then true
            when {{ value }} in ({{ false_words() }}) then false
        end
    {%- endif -%}
{% endmacro %}


{#- A boolean that can be unknown: blank and what cannot be read are null. Whoever did not say yes has
    not consented. -#}
{% macro source_consent(expression, family) %}
    {%- if expression is none -%}
        cast(null as boolean)
    {%- else -%}
        case
            {%- if family == 'float' %}
            when {{ expression }} > -1e300 and {{ expression }} < 1e300
            {%- else %}
            when {{ source_text(expression, family) }} is not null
            {%- endif %}
                then {{ source_boolean(expression, family) }}
        end
    {%- endif -%}
{% endmacro %}
