{#- Settings of PostgreSQL for the transaction that makes a table.
    No nested loops: it knows nothing about the rows that the expressions of a query make of each
    other, takes them for a handful when several conditions meet, and then loops over whole tables: the
    triggers of 200,000 customers did not end. Tables here are made of whole tables, for which
    hashing and merging are right; where nothing else is possible (ranges, cross joins) it loops all
    the same. No compiling of expressions: our queries are wide, and it took longer than the
    work, 82 seconds of 87 in the widest one. -#}
{% macro for_whole_tables() %}
    {{- return(
        'set local enable_nestloop = off; set local jit = off' if target.type == 'postgres' else ''
    ) -}}
{% endmacro %}
