{#- dbt's own naming (<target schema>_<custom schema>), except that customer_rfm goes where the var
    customer_rfm_schema says, exactly as written: existing reports read it there. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- set given = var('customer_rfm_schema') -%}
    {%- if node is not none and node.name == 'customer_rfm' and given is not none -%}
        {{ given | trim }}
    {%- else -%}
        {{ default__generate_schema_name(custom_schema_name, node) }}
    {%- endif -%}
{%- endmacro %}
