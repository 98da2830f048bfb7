{#- The columns of an entity's source table as {name: type}; none of them where there is no such
    table. Asked once a run. -#}
{% macro table_columns(entity) %}
    {%- set known = remembered('columns of ' ~ entity) -%}
    {%- if known is not none -%}{{ return(known) }}{%- endif -%}
    {%- set existing = {} -%}
    {%- for column in adapter.get_columns_in_relation(source_relation(entity)) -%}
        {%- do existing.update({column.name: column.dtype}) -%}
    {%- endfor -%}
    {{ return(remember('columns of ' ~ entity, existing)) }}
{% endmacro %}


{#- Which column of the user's table feeds each of our columns, and of what type it is.

    Returns {our name: {'name': their name or none, 'type': type family, 'kind': kind}}. A column
    that the var <entity>_columns maps is taken exactly as written. One that is not mapped is found
    under our name in any case, and an optional one that is not there is none: a typed null. -#}
{% macro source_columns(entity) %}
    {%- set spec = source_entities()[entity] -%}
    {%- set mapped = var(entity ~ '_columns', {}) or {} -%}
    {%- set existing = table_columns(entity) -%}
    {%- set columns = {} -%}
    {%- for name, column in spec['columns'].items() -%}
        {%- set theirs = mapped[name] if name in mapped else find_column(name, existing) -%}
        {%- do columns.update({name: {
            'name': theirs,
            'kind': column['kind'],
            'type': none if theirs is none else type_family(existing.get(theirs, 'text')),
        }}) -%}
    {%- endfor -%}

    {%- set score_group = score_group_column() -%}
    {%- if score_group is not none and score_group['entity'] == entity -%}
        {%- do columns.update({'score_group': {
            'name': score_group['column'],
            'kind': 'text',
            'type': type_family(existing.get(score_group['column'], 'text')),
        }}) -%}
    {%- elif entity in ('sales', 'customers') -%}
        {%- do columns.update({'score_group': {'name': none, 'kind': 'text', 'type': none}}) -%}
    {%- endif -%}
    {{ return(columns) }}
{% endmacro %}


{#- The existing column of that name: exactly, else in another case, else none. Of several that
    differ by case only the first counts; check_sources refuses those. -#}
{% macro find_column(name, existing) %}
    {%- if name in existing -%}
        {{ return(name) }}
    {%- endif -%}
    {%- for candidate in existing | sort -%}
        {%- if candidate | lower == name | lower -%}
            {{ return(candidate) }}
        {%- endif -%}
    {%- endfor -%}
    {{ return(none) }}
{% endmacro %}


{#- The column that the var score_group names: {'entity', 'column'}, or none when scores are not
    grouped.

    Written `customers.<column>`, `sales.<column>`, or just `<column>` (customers are looked at
    first). The column is one of ours or one of the source table's own. -#}
{% macro score_group_column() %}
    {%- set setting = var('score_group') -%}
    {%- if setting is none
        or setting | string | lower in ('off', 'false', '', 'none', 'null')
        or not execute -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set parts = (setting | string).split('.') -%}
    {%- set explicit = parts | length > 1 and parts[0] in ('customers', 'sales') -%}
    {%- set wanted = parts[1:] | join('.') if explicit else setting | string -%}
    {%- for entity in ([parts[0]] if explicit else ['customers', 'sales']) if is_using(entity) -%}
        {%- set mapped = var(entity ~ '_columns', {}) or {} -%}
        {%- set existing = table_columns(entity) -%}
        {%- set column = find_column(mapped.get(wanted, wanted), existing) -%}
        {%- if column is not none -%}
            {{ return({'entity': entity, 'column': column}) }}
        {%- endif -%}
    {%- endfor -%}
    {{ return(none) }}
{% endmacro %}


{#- The body of a base model: the source table under our names and types, one row for one row.

    Money, dates and numbers are null where the source's value cannot be used; the columns in
    `keep_text` also show the source's own text (`<column>_text`). An entity that is not in use has
    the same columns and no rows. -#}
{% macro read_source(entity, keep_text=[]) %}
    {%- if not is_using(entity) -%}
        {%- set relation = none -%}
        {%- set columns = {} -%}
        {%- for name, column in source_entities()[entity]['columns'].items() -%}
            {%- do columns.update({name: {'name': none, 'kind': column['kind'], 'type': none}}) -%}
        {%- endfor -%}
        {%- if entity == 'customers' -%}
            {%- do columns.update({'score_group': {'name': none, 'kind': 'text', 'type': none}}) -%}
        {%- endif -%}
    {%- else -%}
        {%- set relation = source('raw', entity) -%}
        {%- set columns = source_columns(entity) if execute else {} -%}
    {%- endif -%}
select
    {%- for name, column in columns.items() %}
    {%- set quoted = none if column['name'] is none
        else adapter.quote(column['name'] | replace('"', '""')) %}
    {{ source_value(quoted, column['type'], column['kind']) }} as {{ name }}
    {%- if name in keep_text %},
    {{ bytewise('cast(' ~ (quoted or 'null') ~ ' as ' ~ dbt.type_string() ~ ')') }} as {{ name }}_text
    {%- endif %}
    {{- ',' if not loop.last }}
    {%- else %} *
    {%- endfor %}
{{ 'where 1 = 0' if relation is none else 'from ' ~ relation }}
{% endmacro %}


{#- Whether the sales carry order ids at all. Without them no order can spread over days, which
    saves a pass. -#}
{% macro sales_have_order_ids() %}
    {{ return(not execute or source_columns('sales')['order_id']['name'] is not none) }}
{% endmacro %}


{#- Whether the sales carry ids of their own. Without them no row can be a repeat, which saves a
    sort. -#}
{% macro sales_have_sale_ids() %}
    {{ return(not execute or source_columns('sales')['sale_id']['name'] is not none) }}
{% endmacro %}


{#- Whether the sales say what was discounted. Without it nobody can be called dependent on
    discounts. -#}
{% macro sales_have_discounts() %}
    {{ return(not execute or source_columns('sales')['discount_amount']['name'] is not none) }}
{% endmacro %}


{#- The given columns of a base model that can hold different values at all: not those that the
    source does not have, and no kept text (`<column>_text`) of a date or a whole number, which is
    the same where the value is. A sort of all sales pays for every key. -#}
{% macro columns_that_differ(entity, names) %}
    {%- set columns = source_columns(entity) if execute else {} -%}
    {%- set differing = [] -%}
    {%- for name in names -%}
        {%- set is_text = name.endswith('_text') -%}
        {%- set column = columns.get(name[:-5] if is_text else name) -%}
        {%- if column is not none
            and (not execute or column['name'] is not none)
            and not (is_text and column['type'] in ('date', 'integer')) -%}
            {%- do differing.append(name) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(differing) }}
{% endmacro %}


{#- Whether an entity is in use and says when its rows came into the source. -#}
{% macro has_load_times(entity) %}
    {{ return(is_using(entity) and (
        not execute or source_columns(entity)['loaded_at']['name'] is not none
    )) }}
{% endmacro %}


{#- Whether a customer has one of the given addresses (email, phone); true for everybody where the
    customers source has none of these columns: then the tools know them by customer_id. `reach`: the
    alias of int_customer_reach. -#}
{% macro has_address(reach, names) %}
    {%- set conditions = [] -%}
    {%- for name in names
        if not execute or is_using('customers') and source_columns('customers')[name]['name'] is not none -%}
        {%- do conditions.append(reach ~ '.' ~ name ~ '_sha256 is not null') -%}
    {%- endfor -%}
    {{ return(conditions | join(' or ') if conditions else 'true') }}
{% endmacro %}
