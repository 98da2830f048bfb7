{#- Spark writes common table expressions out into the query that reads them, so that a long chain of
    them, such as twelve Newton steps or fifty of k-means, is one plan of thousands of nodes, which
    takes minutes to plan, or never ends. There the expressions that are marked as a step become
    tables, each made from the tables of the steps before it, with the same text as on the other
    engines; `drop_steps` in the post-hook drops them again. Tables only: a view or a slice has no
    moment at which its steps could be made. -#}


{#- Before the brackets of a common table expression: a step, where `when` holds. -#}
{% macro stored(when=true) -%}
    {{- step_mark() if when and target.type == 'spark' else '' -}}
{%- endmacro %}

{% macro step_mark() -%}{{ return('/* stored */ ') }}{%- endmacro %}


{#- The common table expressions of a query in their order, and what stands after them:
    ([{name, is_step, body}], rest). Expressions open with `name as (` and close with `)`, each at the
    beginning of a line. -#}
{% macro expressions_of(query) %}
    {#- A comment or a loop may have drawn the next one to the bracket. -#}
    {%- set query = modules.re.sub('(?m)^[)],\\s*', '),\n\n', query) -%}
    {%- set expressions = [] -%}
    {%- set place = namespace(end=0) -%}
    {%- set pattern = '(?ms)^(\\w+) as (' ~ modules.re.escape(step_mark()) ~ ')?[(]\\n(.*?)\\n[)],?$' -%}
    {%- for found in modules.re.finditer(pattern, query) -%}
        {%- set name, mark, body = found.groups() -%}
        {%- if body.count('(') != body.count(')') or step_mark() in body -%}
            {{ exceptions.raise_compiler_error(
                "Steps on Spark: found no end of the expression " ~ name
                ~ "; accepted: expressions that close with ) at the beginning of a line"
            ) }}
        {%- endif -%}
        {%- do expressions.append({'name': name, 'is_step': mark is not none, 'body': body}) -%}
        {%- set place.end = found.end() -%}
    {%- endfor -%}
    {{ return([expressions, query[place.end:]]) }}
{% endmacro %}


{#- A query again, with those of the expressions that it needs. -#}
{% macro with_expressions(expressions, query) %}
    {%- set read = namespace(text=query) -%}
    {%- set needed = [] -%}
    {%- for expression in expressions | reverse
        if modules.re.search('\\b' ~ expression.name ~ '\\b', read.text) -%}
        {%- do needed.insert(0, expression.name ~ ' as (\n' ~ expression.body ~ '\n)') -%}
        {%- set read.text = read.text ~ expression.body -%}
    {%- endfor -%}
    {{ return(('with ' ~ needed | join(',\n') ~ '\n' if needed else '') ~ query) }}
{% endmacro %}


{% macro step_relation(relation, name) %}
    {{ return(relation.incorporate(
        path={'identifier': relation.identifier ~ '__' ~ name}, type='table'
    )) }}
{% endmacro %}


{#- dbt finds this by its name: where a query has steps they are made first. -#}
{% macro spark__create_table_as(temporary, relation, compiled_code, language='sql') %}
    {%- if temporary or language != 'sql' or step_mark() not in compiled_code -%}
        {{- return(dbt.spark__create_table_as(temporary, relation, compiled_code, language)) -}}
    {%- endif -%}
    {%- set expressions, rest = expressions_of(compiled_code) -%}
    {%- set known = [] -%}
    {%- for expression in expressions -%}
        {%- if expression.is_step -%}
            {%- set table = step_relation(relation, expression.name) -%}
            {%- do run_query('drop table if exists ' ~ table) -%}
            {%- do run_query(
                'create table ' ~ table ~ ' ' ~ file_format_clause() ~ ' as\n'
                ~ with_expressions(known, expression.body)
            ) -%}
            {%- do known.append({'name': expression.name, 'body': 'select * from ' ~ table}) -%}
        {%- else -%}
            {%- do known.append(expression) -%}
        {%- endif -%}
    {%- endfor -%}
    {{- return(dbt.spark__create_table_as(
        temporary, relation, with_expressions(known, rest), language
    )) -}}
{% endmacro %}


{#- Drops the tables of a model's steps. What a build that broke off has left is replaced by the
    next one. -#}
{% macro drop_steps() %}
    {%- if not execute or target.type != 'spark' or step_mark() not in (model.compiled_code or '') -%}
        {{ return('') }}
    {%- endif -%}
    {%- for expression in expressions_of(model.compiled_code)[0] if expression.is_step -%}
        {%- do run_query('drop table if exists ' ~ step_relation(this, expression.name)) -%}
    {%- endfor -%}
{% endmacro %}
