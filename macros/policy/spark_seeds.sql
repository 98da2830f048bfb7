{#- Seeds on Spark. dbt-spark's own macros take the type `text` as it stands, which Spark does not know,
    and let the rows of a file fall into several files of the table, whose order is then lost: a
    message could not name the row of a bad cell. dbt finds these by their names. -#}


{% macro spark_seed_type(agate_table, position) %}
    {%- set name = agate_table.column_names[position] -%}
    {%- set type = model['config'].get('column_types', {}).get(name) -%}
    {{ return('string' if type == 'text' else (type or adapter.convert_type(agate_table, position))) }}
{% endmacro %}


{% macro spark__create_csv_table(model, agate_table) %}
    {%- set columns = [] -%}
    {%- for name in agate_table.column_names -%}
        {%- do columns.append(adapter.quote(name) ~ ' ' ~ spark_seed_type(agate_table, loop.index0)) -%}
    {%- endfor -%}
    {%- set sql -%}
        create table {{ this.render() }} ({{ columns | join(', ') }})
        {{ file_format_clause() }}
        {{ location_clause() }}
        {{ comment_clause() }}
    {%- endset -%}
    {%- call statement('_') -%}{{ sql }}{%- endcall -%}
    {{ return(sql) }}
{% endmacro %}


{% macro spark__load_csv_rows(model, agate_table) %}
    {%- if not agate_table.rows -%}{{ return('') }}{%- endif -%}
    {%- set rows = [] -%}
    {%- for row in agate_table.rows -%}
        {%- set cells = [] -%}
        {%- for cell in row -%}
            {%- do cells.append('null' if cell is none else text_literal(cell)) -%}
        {%- endfor -%}
        {%- do rows.append('(' ~ cells | join(', ') ~ ')') -%}
    {%- endfor -%}
    {%- set columns = [] -%}
    {%- for name in agate_table.column_names -%}
        {%- do columns.append(
            'cast(col' ~ loop.index ~ ' as ' ~ spark_seed_type(agate_table, loop.index0) ~ ')'
        ) -%}
    {%- endfor -%}
    {%- set sql -%}
        insert into {{ this.render() }}
        select /*+ coalesce(1) */ {{ columns | join(', ') }}
        from values {{ rows | join(', ') }}
    {%- endset -%}
    {%- do adapter.add_query(sql, abridge_sql_log=True) -%}
    {{ return(sql) }}
{% endmacro %}
