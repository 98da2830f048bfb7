{#- What ad platforms and mail tools match a person by, hashed: never a plain e-mail or phone. No
    salt, since both sides must come to the same key; a hashed address is still personal data.

    A platform that wants more than this (dots or +tags taken out of the address) overrides
    normalised_email in the project that uses this one. -#}


{#- An e-mail without blanks at its ends, in small letters; null where it is none. -#}
{% macro normalised_email(expression) %}
    {{- return(adapter.dispatch('normalised_email', 'rfm_retention')(expression)) -}}
{% endmacro %}

{% macro default__normalised_email(expression) -%}
    case
        when {{ matches(expression, '^[^@ ]+@[^@ ]+[.][^@ ]+$') }}
            then {{ lower_text(expression) }}
    end
{%- endmacro %}


{#- A phone number as E.164: +, country code, number; null where it cannot be one. A number without
    country code gets the var phone_country_code in place of its leading 0; without the var it is
    not used. -#}
{% macro e164_phone(expression) -%}
    {%- set digits = namespace(sql=expression) -%}
    {%- for part in ['(0)', ' ', '-', '(', ')', '.', '/'] -%}
        {%- set digits.sql = "replace(" ~ digits.sql ~ ", '" ~ part ~ "', '')" -%}
    {%- endfor -%}
    {%- set pattern = '^[+][1-9][0-9]{6,14}$' -%}
    {%- set code = var('phone_country_code') -%}
    case
        when {{ matches(digits.sql, pattern) }} then {{ digits.sql }}
        when {{ matches(digits.sql, '^00[1-9][0-9]{6,14}$') }}
            then {{ dbt.concat(["'+'", "substring(" ~ digits.sql ~ ", 3)"]) }}
        {%- if code is not none %}
        -- Without a 0 in front a number that begins with the country code can be either.
        when
            {{ matches(digits.sql, '^0?[1-9][0-9]{3,' ~ (14 - code | string | length) ~ '}$') }}
            and not {{ matches(digits.sql, '^' ~ code) }}
            then {{ dbt.concat([
                "'+" ~ code ~ "'",
                "case when " ~ digits.sql ~ " like '0%' then substring(" ~ digits.sql ~ ", 2) else "
                ~ digits.sql ~ " end",
            ]) }}
        {%- endif %}
    end
{%- endmacro %}


{#- SHA-256 of a text in UTF-8, as 64 hexadecimal digits in small letters. Dispatched: every engine
    has another name for it. -#}
{% macro sha256_hex(expression) %}
    {{- return(adapter.dispatch('sha256_hex', 'rfm_retention')(expression)) -}}
{% endmacro %}

{% macro default__sha256_hex(expression) -%}
    sha256({{ expression }})
{%- endmacro %}

{% macro postgres__sha256_hex(expression) -%}
    encode(sha256(convert_to({{ expression }}, 'UTF8')), 'hex')
{%- endmacro %}

{% macro spark__sha256_hex(expression) -%}
    sha2({{ expression }}, 256)
{%- endmacro %}
