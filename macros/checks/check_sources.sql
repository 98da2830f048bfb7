{#- Checks, when a run starts that reads them, that the source tables and the mapped columns
    exist. -#}
{% macro check_sources() %}
    {%- if not execute -%}{{ return('') }}{%- endif -%}
    {%- set problems = [] -%}
    {%- for seed in policy_seeds()
        if 'model.rfm_retention.policy_cells' in selected_resources
        and 'seed.rfm_retention.' ~ seed not in selected_resources -%}
        {%- set node = policy_seed_node(seed) -%}
        {%- if not load_relation(api.Relation.create(
            database=node.database, schema=node.schema, identifier=node.alias
        )) -%}
            {%- do problems.append(
                "seeds/" ~ seed ~ ".csv: found not loaded; accepted: `dbt seed` before `dbt run`, or"
                ~ " `dbt build`, which does both"
            ) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for entity, spec in source_entities().items()
        if is_using(entity) and 'model.rfm_retention.base_' ~ entity in selected_resources -%}
        {%- set relation = source_relation(entity) -%}
        {%- set table_name = relation.schema ~ "." ~ relation.identifier -%}
        {%- set existing = table_columns(entity) -%}
        {%- set mapped = var(entity ~ '_columns') or {} -%}
        {%- if not existing -%}
            {%- do problems.append(
                "vars source_schema, " ~ entity ~ "_table: found no table " ~ table_name
                ~ "; accepted: the schema and name of the table that holds your " ~ entity
            ) -%}
        {%- else -%}
            {%- set absent = [] -%}
            {%- for column, definition in spec['columns'].items() -%}
                {%- set theirs = mapped.get(column) -%}
                {%- if theirs is not none and theirs not in existing -%}
                    {%- do problems.append(
                        "var " ~ entity ~ "_columns: found " ~ column ~ ": " ~ theirs
                        ~ "; accepted: a column of " ~ table_name ~ ", which has "
                        ~ existing | join(', ')
                    ) -%}
                {%- elif column not in mapped and column not in existing
                    and existing | map('lower') | select('equalto', column) | list | length > 1 -%}
                    {%- do problems.append(
                        "var " ~ entity ~ "_columns: found more than one " ~ column
                        ~ " that differ by case; accepted: an entry " ~ column
                        ~ ": <your column>, one of " ~ existing | join(', ')
                    ) -%}
                {%- elif column not in mapped and find_column(column, existing) is none -%}
                    {%- if definition.get('required') -%}
                        {%- do problems.append(
                            "var " ~ entity ~ "_columns: found no " ~ column
                            ~ "; accepted: an entry " ~ column ~ ": <your column>, since "
                            ~ table_name ~ " has only " ~ existing | join(', ')
                        ) -%}
                    {%- else -%}
                        {%- do absent.append(column) -%}
                    {%- endif -%}
                {%- endif -%}
            {%- endfor -%}
            {%- if absent -%}
                {%- do log(
                    "Note: " ~ table_name ~ " has no " ~ absent | join(', ')
                    ~ "; taken as unknown. If you have one under another name, map it in the var "
                    ~ entity ~ "_columns.",
                    info=true
                ) -%}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}

    {%- set setting = var('score_group') -%}
    {%- if setting is not none
        and setting | string | lower not in ('off', 'false', '', 'none', 'null')
        and 'model.rfm_retention.base_sales' in selected_resources
        and not problems
        and score_group_column() is none -%}
        {%- do problems.append(
            "var score_group: found " ~ setting ~ "; accepted: null, or a column of the customers "
            ~ ("" if is_using('customers') else "(not in use: var using_customers is false) ")
            ~ "or the sales table"
        ) -%}
    {%- endif -%}
    {%- if problems -%}
        {%- do exceptions.raise_compiler_error(
            "The sources are not usable, so nothing was built:\n  " ~ problems | join('\n  ')
        ) -%}
    {%- endif -%}
    {{ return('') }}
{% endmacro %}
