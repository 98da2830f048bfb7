{#- The policy gate: stops the build, with every bad cell named, before a table changes.

    The model policy_gate looks once, and `ref` makes every persisting model wait for it. A partial
    build without it (`dbt run -s customer_segments`) looks before each model, and so cannot pass
    it by. -#}
{% macro refuse_bad_policy() %}
    {%- set violations = ref('policy_violations') -%}
    {%- do ref('policy_gate') -%}
    {%- do ref('policy_segment_schemes') -%}
    {%- do ref('policy_holdouts') -%}
    {%- if 'model.rfm_retention.policy_gate' not in selected_resources -%}
        {%- do raise_policy_violations(violations) -%}
        {%- do refuse_other_vars(ref('policy_gate')) -%}
    {%- endif -%}
    {{ return('') }}
{% endmacro %}


{#- Raises the rows of policy_violations as one message. Only a run that builds can ask the
    database; compiling, linting, documenting and `--empty` must work without rows. -#}
{% macro raise_policy_violations(violations) %}
    {%- set schemes = ref('policy_segment_schemes') -%}
    {%- set holdouts = ref('policy_holdouts') -%}
    {%- if not execute or flags.WHICH not in ('build', 'run', 'retry')
        or invocation_args_dict.get('empty') -%}
        {{ return('') }}
    {%- endif -%}
    {%- if not load_relation(violations) -%}
        {%- do exceptions.raise_compiler_error(
            "The policy has not been checked since the seeds were loaded. Build it first: dbt build"
            ~ " -s +policy_gate --indirect-selection cautious"
        ) -%}
    {%- endif -%}
    {#- Views know headers as they were when the views were made: a partial run looks at them
        anew. -#}
    {%- set rows = [] -%}
    {%- if 'model.rfm_retention.policy_violations' not in selected_resources -%}
        {%- set relations = {} -%}
        {%- for seed in policy_seeds() -%}
            {%- set node = policy_seed_node(seed) -%}
            {%- do relations.update({seed: api.Relation.create(
                database=node.database, schema=node.schema, identifier=node.alias
            )}) -%}
        {%- endfor -%}
        {%- for problem in policy_header_problems(relations) -%}
            {%- do rows.append([problem[0] ~ '.csv', 1, 'the header', problem[1], problem[2]]) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if not rows -%}
        {%- do rows.extend(policy_var_problems(schemes)) -%}
        {%- do rows.extend(run_query(
            "select file_name, csv_row, column_name, found, accepted from " ~ violations
            ~ " order by file_name, csv_row, column_name, found, accepted"
        ).rows) -%}
        {%- if not rows -%}{%- do rows.extend(frozen_experiment_problems(holdouts)) -%}{%- endif -%}
    {%- endif -%}
    {%- if rows | length > 0 -%}
        {%- set lines = [] -%}
        {%- for row in rows[:50] -%}
            {%- set place = [row[0]] -%}
            {%- if row[1] is not none -%}{%- do place.append('row ' ~ row[1] | int) -%}{%- endif -%}
            {%- if row[2] is not none -%}{%- do place.append('column ' ~ row[2]) -%}{%- endif -%}
            {%- do lines.append(
                '  ' ~ place | join(', ') ~ ': found ' ~ row[3] ~ '; accepted: ' ~ row[4]
            ) -%}
        {%- endfor -%}
        {%- if rows | length > 50 -%}
            {%- do lines.append('  and ' ~ (rows | length - 50) ~ ' more') -%}
        {%- endif -%}
        {%- do exceptions.raise_compiler_error(
            "The policy is not usable, so no mart was changed. Mend these cells and build again "
            ~ "(row 1 is the header):\n" ~ lines | join('\n')
        ) -%}
    {%- endif -%}
{% endmacro %}


{#- The vars that the policy's views were made with; they hold the values as text. -#}
{% macro policy_vars() %}
    {%- set values = [] -%}
    {%- for name in ['margin_rate', 'max_actionable_segments', 'score_tiles'] -%}
        {%- do values.append(name ~ ' ' ~ var(name)) -%}
    {%- endfor -%}
    {{ return(values | join(', ')) }}
{% endmacro %}


{#- A partial build with other vars than the policy was checked with would pass the gate by. -#}
{% macro refuse_other_vars(gate) %}
    {%- if execute and flags.WHICH in ('build', 'run', 'retry') -%}
        {%- set checked = run_query("select checked_vars from " ~ gate).rows -%}
        {%- set checked_vars = checked[0][0] if checked else 'no vars' -%}
        {%- if checked_vars != policy_vars() -%}
            {%- do exceptions.raise_compiler_error(
                "The policy was checked with " ~ checked_vars ~ ", now they are " ~ policy_vars()
                ~ ". Check it again before a partial build: dbt build -s +policy_gate"
                ~ " --indirect-selection cautious"
            ) -%}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}


{#- The vars that name a scheme, against the schemes there are: rows of the gate's message. -#}
{% macro policy_var_problems(schemes) %}
    {%- set tiles = {} -%}
    {%- for row in run_query(
        "select segment_scheme, score_tiles from " ~ schemes ~ " order by segment_scheme"
    ).rows -%}
        {%- do tiles.update({row[0]: row[1] | int}) -%}
    {%- endfor -%}
    {%- set scheme = var('segment_scheme') -%}
    {%- if scheme not in tiles -%}
        {#- `discovered` is among the schemes only while it is the active one. -#}
        {%- set names = tiles.keys() | list + (['discovered'] if scheme != 'discovered' else []) -%}
        {{ return([[
            'var segment_scheme', none, none, scheme, 'one of ' ~ names | sort | join(', '),
        ]]) }}
    {%- elif tiles[scheme] != var('score_tiles') -%}
        {{ return([[
            'var score_tiles', none, none, var('score_tiles'),
            tiles[scheme] ~ ' (the scheme ' ~ scheme ~ ' is written for that many)',
        ]]) }}
    {%- endif -%}
    {{ return([]) }}
{% endmacro %}
