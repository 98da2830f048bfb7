{#- What a run asks the database only once, although many models need it: the columns of a source
    table, the key of the policy. Kept for one invocation in dbt's project graph, which lives as long
    as the run does; the next invocation, also in the same process, asks again. -#}


{#- What was remembered under the name in this invocation; none when nothing was. -#}
{% macro remembered(name) %}
    {{ return(graph.get('rfm_retention_' ~ invocation_id, {}).get(name)) }}
{% endmacro %}


{#- Remembers a value, which must not be none, and returns it. -#}
{% macro remember(name, value) %}
    {%- set place = 'rfm_retention_' ~ invocation_id -%}
    {%- if place not in graph -%}
        {%- for before in graph.keys() | list
            if before.startswith('rfm_retention_') and before != place -%}
            {%- do graph.pop(before, none) -%}
        {%- endfor -%}
        {%- do graph.update({place: {}}) -%}
    {%- endif -%}
    {%- do graph[place].update({name: value}) -%}
    {{ return(value) }}
{% endmacro %}
