-- Grain: one row per cell of every policy file, as text, beside what its column may hold.
with

{% for seed in policy_seeds() -%}
{{ seed }} as (

    {{ policy_seed(seed) }}

),

{% endfor -%}

cells as (

    {% for seed in policy_seeds() %}
    {%- set node = policy_seed_node(seed) %}
    {%- set cells = [] %}
    {%- for name, column in (node['columns'] if node else {'segment_scheme': {}}).items() %}
    {%- set meta = column.get('meta', {}) %}
    {%- set minimum = meta.get('minimum') %}
    {%- set given = meta.get('maximum') %}
    {%- set maximum = var('score_tiles') if given == 'score_tiles' else given %}
    {%- do cells.append([
        "'" ~ name ~ "'",
        name,
        "'" ~ meta.get('type', 'text') ~ "'",
        meta.get('required', false) | lower,
        'cast(' ~ ('null' if minimum is none else minimum) ~ ' as ' ~ type_double() ~ ')',
        'cast(' ~ ('null' if maximum is none else maximum) ~ ' as ' ~ type_double() ~ ')',
        "'|" ~ meta['accepted'] | join('|') ~ "|'" if 'accepted' in meta
            else 'cast(null as ' ~ dbt.type_string() ~ ')',
    ]) %}
    {%- endfor %}
    {{ union_of_cells(seed, cells) }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

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
