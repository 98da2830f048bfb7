-- Grain: one row per cell of every policy file, as text, beside what its column may hold.
with

{% for seed in policy_seeds() -%}
{{ seed }} as (

    {{ policy_seed(seed) }}

),

{% endfor -%}

cells as (

    {% for seed in policy_seeds() %}
    {%- set seed_loop = loop %}
    {%- set node = policy_seed_node(seed) %}
    {%- for name, column in (node['columns'] if node else {'segment_scheme': {}}).items() %}
    {%- set meta = column.get('meta', {}) %}
    {%- set minimum = meta.get('minimum') %}
    {%- set given = meta.get('maximum') %}
    {%- set maximum = var('score_tiles') if given == 'score_tiles' else given %}
    select
        '{{ seed }}.csv' as file_name,
        csv_row,
        '{{ name }}' as column_name,
        {{ name }} as found,
        '{{ meta.get('type', 'text') }}' as cell_type,
        {{ meta.get('required', false) | lower }} as is_required,
        cast({{ 'null' if minimum is none else minimum }} as {{ type_double() }}) as minimum,
        cast({{ 'null' if maximum is none else maximum }} as {{ type_double() }}) as maximum,
        {{ "'|" ~ meta['accepted'] | join('|') ~ "|'" if 'accepted' in meta
            else 'cast(null as ' ~ dbt.type_string() ~ ')' }} as accepted_values
    from {{ seed }}
    {% if not (loop.last and seed_loop.last) %}union all{% endif %}
    {% endfor %}
    {%- endfor %}

)

select
    file_name,
    csv_row,
    column_name,
    found,
    cell_type,
    is_required,
    minimum,
    maximum,
    accepted_values
from cells
