{#- Before a table is made on PostgreSQL: no nested loops. It knows nothing about the rows that the
    expressions of a query make of each other, takes them for a handful when several conditions
    meet, and then loops over whole tables: the triggers of 200,000 customers did not end. Tables
    here are made of whole tables, for which hashing and merging are right; where nothing else is
    possible (ranges, cross joins) it loops all the same. For this transaction only. -#}
{% macro join_by_hash() %}
    {{- return('set local enable_nestloop = off' if target.type == 'postgres' else '') -}}
{% endmacro %}
