{#- A policy seed as clean text: every documented column (null where the file lacks it), blanks as
    null, and the row's number as a spreadsheet shows it. What a column may hold stands in its
    `meta` in seeds/_seeds.yml. -#}
{% macro policy_seed(name) %}
    {#- Without the row limit that --empty puts on ref(): it hides the row numbers. -#}
    {%- set ref_relation = ref(name) -%}
    {%- set relation = api.Relation.create(
        database=ref_relation.database, schema=ref_relation.schema, identifier=ref_relation.identifier
    ) -%}
    {%- set node = policy_seed_node(name) -%}
    {%- set existing = [] -%}
    {%- if execute -%}
        {%- for column in adapter.get_columns_in_relation(relation) -%}
            {%- do existing.append(column.name) -%}
        {%- endfor -%}
    {%- endif -%}
    select
        {{ csv_row_number() }} as csv_row
        {%- for column in (node['columns'] if node else {}) %},
        {%- if column in existing %}
        nullif({{ clean_text(adapter.quote(column)) }}, '') as {{ column }}
        {%- else %}
        cast(null as {{ dbt.type_string() }}) as {{ column }}
        {%- endif %}
        {%- endfor %}
    from {{ relation }}
{%- endmacro %}


{#- The seed's entry in the project graph: its documented columns and their `meta`. None while
    parsing. -#}
{% macro policy_seed_node(name) %}
    {{ return(graph.nodes.get('seed.rfm_retention.' ~ name) if execute else none) }}
{% endmacro %}


{#- A seed's rows keep no order of their own. Dispatched to what each engine knows about the order
    in which they were loaded; it serves messages only, no figure depends on it. -#}
{% macro csv_row_number() %}
    {{- return(adapter.dispatch('csv_row_number', 'rfm_retention')()) -}}
{% endmacro %}

{% macro default__csv_row_number() %}
    {{- return('cast(row_number() over (order by rowid) + 1 as integer)') -}}
{% endmacro %}

{% macro postgres__csv_row_number() %}
    {{- return('cast(row_number() over (order by ctid) + 1 as integer)') -}}
{% endmacro %}

{% macro spark__csv_row_number() %}
    {{- return('cast(monotonically_increasing_id() + 2 as integer)') -}}
{% endmacro %}


{#- A policy cell as number, whole number, boolean or day; null where it is not one (the gate has then
    named it). -#}
{% macro policy_number(column) -%}
    {{ text_to_decimal(column, 'numeric(18, 6)') }}
{%- endmacro %}

{% macro policy_integer(column) -%}
    case
        when {{ matches(column, integer_pattern()) }} then {{ guarded_cast(column, 'integer') }}
    end
{%- endmacro %}

{% macro policy_boolean(column) -%}
    case
        when lower({{ column }}) in ({{ true_words() }}) then true
        when lower({{ column }}) in ({{ false_words() }}) then false
    end
{%- endmacro %}


{#- A policy cell as a day. -#}
{% macro policy_date(column) -%}
    case
        when length({{ column }}) = 10 and {{ is_iso_date(column) }}
            then {{ guarded_cast(column, 'date') }}
    end
{%- endmacro %}


{#- What the headers of the policy files have too much or too little: [seed, found, accepted] each.
    `relations`: seed -> its table; only the database knows the columns that were loaded. -#}
{% macro policy_header_problems(relations) %}
    {%- set problems = [] -%}
    {%- for seed, relation in relations.items() if policy_seed_node(seed) -%}
        {%- set expected = policy_seed_node(seed)['columns'].keys() | list -%}
        {%- set found = adapter.get_columns_in_relation(relation) | map(attribute='name') | list -%}
        {%- set accepted = 'the header ' ~ expected | join(',') -%}
        {%- if found | length == 1 and (';' in found[0] or '\t' in found[0]) -%}
            {%- do problems.append([seed, found[0], accepted
                ~ '. The file is separated by semicolons or tabs: save it as CSV with commas'
                ~ ' (and numbers with a point)']) -%}
        {%- else -%}
            {%- for column in expected if column not in found -%}
                {%- do problems.append([seed, 'no column ' ~ column, accepted]) -%}
            {%- endfor -%}
            {%- for column in found if column not in expected -%}
                {%- do problems.append(
                    [seed, 'a column ' ~ column ~ ' that is not known', accepted]
                ) -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(problems) }}
{% endmacro %}


{#- The policy files that the gate checks. A new seed with `meta` in seeds/_seeds.yml is added
    here. -#}
{% macro policy_seeds() %}
    {{ return([
        'segment_schemes', 'segment_rules', 'segments', 'strategy_policy', 'fixed_cut_points',
        'lifecycle_thresholds', 'behaviour_thresholds', 'engagement_event_types', 'excluded_categories',
        'segment_overrides', 'trigger_rules', 'audience_definitions', 'holdout_policy',
        'channel_costs', 'current_budget_allocation', 'what_if_policy',
    ]) }}
{% endmacro %}


{#- The lifecycle stages that a scored customer can be in, and those that can follow each. The
    other stage, prospect, has no order and so no score. -#}
{% macro scored_stages() %}
    {{ return({
        'new': ['active', 'lapsing'],
        'active': ['lapsing'],
        'lapsing': ['active', 'lapsed'],
        'lapsed': ['reactivated'],
        'reactivated': ['active', 'lapsing'],
    }) }}
{% endmacro %}


{#- The slots that a core_message in strategy_policy.csv can hold. The marts fill those that they
    know; the sending tool fills {first_name}, {incentive} and {brand}. -#}
{% macro message_slots() %}
    {{ return([
        'first_name', 'incentive', 'top_category', 'days_since_last_order', 'order_count',
        'brand',
    ]) }}
{% endmacro %}


{#- A piece of text as an SQL literal. Only Spark takes a backslash for the beginning of a code. -#}
{% macro text_literal(value) %}
    {%- set text = (value | string).replace("'", "''") -%}
    {{ return("'" ~ (text.replace('\\', '\\\\') if target.type == 'spark' else text) ~ "'") }}
{% endmacro %}


{#- An amount as a person writes it: without trailing zeros. -#}
{% macro policy_amount_text(expression) -%}
    trim(trailing '.' from trim(trailing '0' from
        cast(cast({{ expression }} as numeric(18, 6)) as {{ dbt.type_string() }})
    ))
{%- endmacro %}


{#- One row per cell of a policy file. `cells`: per column its name, cell, type, whether it is required,
    minimum, maximum, accepted values. Dispatched: Spark would take two minutes for a union of 150
    queries, and has stack() instead. -#}
{% macro union_of_cells(seed, cells) %}
    {{- adapter.dispatch('union_of_cells', 'rfm_retention')(seed, cells) -}}
{% endmacro %}

{% macro default__union_of_cells(seed, cells) -%}
    {%- for cell in cells %}
    select
        '{{ seed }}.csv' as file_name,
        csv_row,
        {{ cell[0] }} as column_name,
        {{ cell[1] }} as found,
        {{ cell[2] }} as cell_type,
        {{ cell[3] }} as is_required,
        {{ cell[4] }} as minimum,
        {{ cell[5] }} as maximum,
        {{ cell[6] }} as accepted_values
    from {{ seed }}
    {% if not loop.last %}union all{% endif %}
    {%- endfor %}
{%- endmacro %}

{% macro spark__union_of_cells(seed, cells) -%}
    select
        '{{ seed }}.csv' as file_name,
        csv_row,
        cells.*
    from {{ seed }}
    lateral view stack(
        {{ cells | length }},
        {%- for cell in cells %}
        {{ cell | join(', ') }}{{ ',' if not loop.last }}
        {%- endfor %}
    ) cells as
        column_name, found, cell_type, is_required, minimum, maximum, accepted_values
{%- endmacro %}
