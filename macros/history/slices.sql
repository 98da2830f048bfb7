{#- Slices: tables that hold one slice per as-of date keep the finished ones. A run computes the dates
    that such a table does not have, and the last current date again; what is on no date of
    int_as_of_dates any more is deleted whole, in the transaction of the insert.

    A model that is sliced has `{{ config(**sliced()) }}`, and reads dates through `due_dates()` or
    rows of another sliced model with `only_due()`. The table int_slice_log, written in the same
    transaction, says which slices a table has, and with which settings. -#}


{#- The configuration of a sliced model.

    When a threshold or an event type is edited all slices of all models are due again: one key for
    the whole chain, since slices of one date must come from the same data.
    looks_back: for models whose slices depend on the slices before them, and so on the first date of
        the history and on every rule. They are all due again when that date or any cell of the
        policy changes, and with the scheme `discovered` when the clusters do.
    indexes: on PostgreSQL. -#}
{% macro sliced(looks_back=false, indexes=[{'columns': ['as_of_date']}]) %}
    {{ return({
        'materialized': 'incremental',
        'incremental_strategy': 'slices',
        'on_schema_change': 'fail',
        'meta': {'looks_back': looks_back},
        'pre_hook': '{{ wait_for_slices(' ~ ('true' if looks_back else 'false') ~ ') }}',
        'post_hook': '{{ log_slices() }}',
        'indexes': indexes if target.type == 'postgres' else [],
        'partition_by': ['as_of_date'] if target.type == 'spark' else none,
    }) }}
{% endmacro %}


{#- dbt-spark knows four strategies and asks this macro of its own whether one is among them; with this
    one in its place `slices` is a fifth. -#}
{% macro dbt_spark_validate_get_incremental_strategy(strategy, file_format) %}
    {{ return(strategy) }}
{% endmacro %}

{% macro dbt_spark_get_incremental_sql(
    strategy, source, target_relation, existing, unique_key, incremental_predicates
) %}
    {%- if strategy == 'slices' -%}
        {{ get_incremental_slices_sql({'temp_relation': source, 'target_relation': target_relation}) }}
    {%- elif strategy == 'append' -%}
        {{ get_insert_into_sql(source, target_relation) }}
    {%- else -%}
        {{ exceptions.raise_compiler_error(
            "incremental_strategy on Spark: found " ~ strategy ~ "; accepted: slices, append"
        ) }}
    {%- endif -%}
{% endmacro %}


{#- Whether the model has slices already. A unit test knows no `this` and computes every date. -#}
{% macro has_slices() %}
    {{ return(this is not none and is_incremental()) }}
{% endmacro %}


{#- Names the parents that dbt cannot see where they stand: behind conditions that hold only when the
    model runs. In a hook, so that unit tests need not give them. -#}
{% macro wait_for_slices(looks_back=false) %}
    {{- wait_for_other_runs() -}}
    {%- for parent in ['int_slice_log', 'int_as_of_dates', 'int_load_times', 'policy_gate']
        + policy_seeds() + (['segment_score_cells'] if looks_back else []) -%}
        {%- do ref(parent) -%}
    {%- endfor -%}
{% endmacro %}


{#- Lets a second run that has come to the same table wait until the first one has written it, and read
    it then. DuckDB lets only one process into its file; on PostgreSQL readers are not held up. -#}
{% macro wait_for_other_runs() %}
    {%- if target.type == 'postgres' and has_slices() -%}
        lock table {{ this }} in share row exclusive mode
    {%- endif -%}
{% endmacro %}


{#- Vars that a stored slice depends on. Another value asks for a full refresh: it must not look as
    if customers moved. -#}
{% macro scoring_vars() %}
    {%- set values = {} -%}
    {%- for name in [
        'count_zero_value_orders', 'default_purchase_gap_days', 'engagement_weight',
        'frequency_weight', 'gap_prior_strength', 'lookback_days', 'min_group_customers',
        'monetary_weight', 'recency_weight', 'rfm_basis', 'score_group', 'score_tiles', 'tie_method',
        'using_customers', 'using_engagement_events', 'using_products', 'source_schema',
        'sales_table', 'sales_columns', 'customers_table', 'customers_columns', 'products_table',
        'products_columns', 'engagement_events_table', 'engagement_events_columns',
    ] -%}
        {%- do values.update({name: var(name)}) -%}
    {%- endfor -%}
    {{ return(tojson(values, sort_keys=true)) }}
{% endmacro %}


{#- The policy files whose cells stored figures depend on. -#}
{% macro slice_seeds() %}
    {{ return([
        'behaviour_thresholds', 'engagement_event_types', 'excluded_categories', 'fixed_cut_points',
        'lifecycle_thresholds',
    ]) }}
{% endmacro %}


{#- A key of what the model's slices depend on beside data and scoring vars: other cells of its seeds,
    another key. A rationale may be reworded. -#}
{% macro slices_key() %}
    {%- if not execute or invocation_args_dict.get('empty') -%}{{ return('') }}{%- endif -%}
    {%- set name = 'key of the policy, looking back' if model.config.meta.looks_back
        else 'key of the policy' -%}
    {%- set known = remembered(name) -%}
    {%- if known is not none -%}{{ return(known) }}{%- endif -%}
    {%- set parts = [] -%}
    {%- for seed in policy_seeds() if model.config.meta.looks_back or seed in slice_seeds() -%}
        {%- set columns = adapter.get_columns_in_relation(ref(seed)) | map(attribute='name')
            | reject('equalto', 'rationale') | sort | join(', ') -%}
        {%- set rows = run_query('select ' ~ columns ~ ' from ' ~ ref(seed)) -%}
        {%- do parts.append([seed, rows.rows | map('join', '|') | sort | list]) -%}
    {%- endfor -%}
    {%- if model.config.meta.looks_back -%}
        {%- set first_date = run_query(
            'select min(as_of_date) from ' ~ ref('int_as_of_dates') ~ ' where is_grid'
        ).rows[0][0] -%}
        {%- do parts.append([
            first_date | string, var('history_grain'), var('segment_scheme'), var('min_stay_days'),
        ]) -%}
        {#- The one scheme whose cells do not come from the policy alone. -#}
        {%- if var('segment_scheme') == 'discovered' -%}
            {%- set cells = run_query(
                'select lifecycle_stage, recency_score, frequency_score, monetary_score, segment_code'
                ~ ' from ' ~ ref('segment_score_cells') ~ " where segment_scheme = 'discovered'"
            ) -%}
            {%- do parts.append(cells.rows | map('join', '|') | sort | list) -%}
        {%- endif -%}
    {%- endif -%}
    {{ return(remember(name, local_md5(tojson(parts)))) }}
{% endmacro %}


{#- The as-of dates that a sliced model has to compute now, as a query. -#}
{% macro due_dates() %}
select
    as_of_date,
    is_current
from {{ ref('int_as_of_dates') }}
{%- if has_slices() %}
where {{ is_due('as_of_date') }}
{%- endif %}
{% endmacro %}


{#- A condition for rows of another sliced model: those of the dates that are due. `keyword`: where
    or and. -#}
{% macro only_due(column, keyword='where') %}
    {%- if has_slices() %}
    {{ keyword }} {{ column }} in (
        select due.as_of_date
        from {{ ref('int_as_of_dates') }} as due
        where {{ is_due('due.as_of_date') }}
    )
    {%- endif %}
{% endmacro %}


{#- Whether the model being built does not have the finished slice of a date, or is to compute it
    again. -#}
{% macro is_due(column) %}
    {{ column }} not in (
        select slice_log.as_of_date
        from {{ ref('int_slice_log') }} as slice_log
        where
            slice_log.model_name = '{{ this.identifier }}'
            and slice_log.is_finished
            and slice_log.policy_key = '{{ slices_key() }}'
            and slice_log.as_of_date not in (
                select again.as_of_date
                from {{ ref('int_as_of_dates') }} as again
                where again.is_current or again.is_reopened
            )
    )
{%- endmacro %}


{#- What the log says about reopened dates: finished no more, for any model. Whoever is not built in this
    run, or comes after what broke it off, computes them in the next. -#}
{% macro open_again() %}
    {%- do ref('int_slice_log') -%}
    {%- if not execute or not var('reopen_periods') | int or invocation_args_dict.get('empty') -%}
        {{ return('') }}
    {%- endif -%}
    {{- adapter.dispatch('open_again', 'rfm_retention')() -}}
{% endmacro %}

{% macro default__open_again() %}
    update {{ ref('int_slice_log') }}
    set is_finished = false
    where as_of_date in (select dates.as_of_date from {{ this }} as dates where dates.is_reopened)
{% endmacro %}

{#- Spark updates no rows of plain files: a date is reopened there by a run of the whole project. -#}
{% macro spark__open_again() %}
    {{ return('') }}
{% endmacro %}


{#- A condition for the rows of the current date. -#}
{% macro at_current_date() -%}
    as_of_date in (
        select dates.as_of_date
        from {{ ref('int_as_of_dates') }} as dates
        where dates.is_current
    )
{%- endmacro %}


{#- Checks, when a run starts that goes on from stored slices, that it can: they were scored with the
    same vars, and a back-test does not throw away dates that are finished. -#}
{% macro check_stored_history() %}
    {%- if not execute or flags.FULL_REFRESH or flags.WHICH not in ('build', 'run', 'retry')
        or invocation_args_dict.get('empty') -%}
        {{ return('') }}
    {%- endif -%}
    {%- set sliced_models = [] -%}
    {%- for node in graph.nodes.values() if node.unique_id in selected_resources
        and node.config.get('incremental_strategy') == 'slices' -%}
        {%- do sliced_models.append(node.unique_id) -%}
    {%- endfor -%}
    {%- set node = graph.nodes.get('model.rfm_retention.int_slice_log') -%}
    {%- if not sliced_models or not node -%}{{ return('') }}{%- endif -%}
    {%- set slice_log = load_relation(api.Relation.create(
        database=node.database, schema=node.schema, identifier=node.alias
    )) -%}
    {%- if not slice_log -%}{{ return('') }}{%- endif -%}
    {%- set now = fromjson(scoring_vars()) -%}
    {%- for row in run_query('select distinct scoring_vars from ' ~ slice_log).rows
        if row[0] != scoring_vars() -%}
        {%- set before = fromjson(row[0]) -%}
        {%- set changes = [] -%}
        {%- for name, value in now.items() if before.get(name) != value -%}
            {%- do changes.append(name ~ " " ~ before.get(name) ~ " → " ~ value) -%}
        {%- endfor -%}
        {%- do exceptions.raise_compiler_error(
            "The stored history was scored with other settings: " ~ changes | join(', ')
            ~ ". Build once with --full-refresh, or set the var back."
        ) -%}
    {%- endfor -%}
    {%- if var('as_of_date') is not none -%}
        {%- set last_date = run_query(
            'select max(as_of_date) from ' ~ slice_log ~ ' where is_finished'
        ).rows[0][0] -%}
        {%- if last_date is not none and last_date | string > var('as_of_date') | string -%}
            {%- do exceptions.raise_compiler_error(
                "The stored history goes up to " ~ last_date ~ ", later than the var as_of_date "
                ~ var('as_of_date') ~ "; finished dates would be lost. Build a back-test in a"
                ~ " database or schema of its own (env RFM_DUCKDB_PATH, schema in profiles.yml), or go"
                ~ " back for good with --full-refresh."
            ) -%}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}


{#- The strategy of sliced models: whole slices are deleted, those that are not wanted any more and
    those that were computed anew, and then inserted. A run with `--empty` leaves them alone. -#}
{% macro get_incremental_slices_sql(arguments) %}
    {{- adapter.dispatch('get_incremental_slices_sql', 'rfm_retention')(arguments) -}}
{% endmacro %}

{% macro default__get_incremental_slices_sql(arguments) %}
    {%- set columns = get_quoted_csv(arguments['dest_columns'] | map(attribute='name')) -%}
    {%- if not invocation_args_dict.get('empty') %}
    delete from {{ arguments['target_relation'] }}
    where as_of_date not in (
        select dates.as_of_date
        from {{ ref('int_as_of_dates') }} as dates
        where not ({{ is_due('dates.as_of_date') }})
    )
    -- Also where another run has just finished the same date. Distinct, so that PostgreSQL looks a
    -- date up among a few and not among all the rows.
    or as_of_date in (
        select distinct computed.as_of_date from {{ arguments['temp_relation'] }} as computed
    );
    {%- endif %}
    insert into {{ arguments['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arguments['temp_relation'] }}
{% endmacro %}

{#- One folder a date on Spark, and one statement at a time: folders are dropped, then written. Without
    transactions a run that is killed in between leaves its dates out; the log does not have them as
    finished, so the next run computes them. -#}
{% macro spark__get_incremental_slices_sql(arguments) %}
    {%- set relation = arguments['target_relation'] -%}
    {%- if not invocation_args_dict.get('empty') -%}
        {%- do drop_partitions(relation, 'as_of_date', run_query(
            "select distinct as_of_date from " ~ relation ~ " where as_of_date not in ("
            ~ "select dates.as_of_date from " ~ ref('int_as_of_dates') ~ " as dates where not ("
            ~ is_due('dates.as_of_date') ~ "))"
        )) -%}
    {%- endif -%}
    {{ get_insert_into_sql(arguments['temp_relation'], relation) }}
{% endmacro %}

{#- Drops the partitions whose values a query has given. Delta, Iceberg and Hudi have no such command
    and delete rows instead. -#}
{% macro drop_partitions(relation, column, found) %}
    {%- set conditions = [] -%}
    {%- for row in found.rows -%}
        {%- do conditions.append(column ~ " = '" ~ row[0] ~ "'") -%}
    {%- endfor -%}
    {%- if not conditions -%}
        {{ return('') }}
    {%- elif config.get('file_format') in ['delta', 'iceberg', 'hudi'] -%}
        {%- do run_query('delete from ' ~ relation ~ ' where ' ~ conditions | join(' or ')) -%}
    {%- else -%}
        {%- do run_query(
            'alter table ' ~ relation ~ ' drop if exists partition ('
            ~ conditions | join('), partition (') ~ ')'
        ) -%}
    {%- endif -%}
{% endmacro %}


{#- Writes down which slices the model has now: the hook of every sliced model. What stands there
    about a finished slice stays, so that late rows can be told. -#}
{% macro log_slices() %}
    {%- if invocation_args_dict.get('empty') -%}{{ return('') }}{%- endif -%}
    {{- adapter.dispatch('log_slices', 'rfm_retention')() -}}
{% endmacro %}

{% macro default__log_slices() %}
    delete from {{ ref('int_slice_log') }}
    where
        model_name = '{{ this.identifier }}'
        {%- if has_slices() %}
        and as_of_date not in (
            select dates.as_of_date
            from {{ ref('int_as_of_dates') }} as dates
            where not ({{ is_due('dates.as_of_date') }})
        )
        {%- endif %};
    insert into {{ ref('int_slice_log') }}
    (
        model_name, as_of_date, is_finished, scoring_vars, policy_key,
        sales_loaded_until, engagement_events_loaded_until
    )
    select {{ slice_log_columns() | indent(8) }}
    from {{ ref('int_as_of_dates') }} as dates
    cross join {{ ref('int_load_times') }} as load_times
    where
        dates.as_of_date not in (
            select slice_log.as_of_date
            from {{ ref('int_slice_log') }} as slice_log
            where slice_log.model_name = '{{ this.identifier }}'
        )
{% endmacro %}

{#- What the log says about a slice that was computed now. -#}
{% macro slice_log_columns() %}
    '{{ this.identifier }}' as model_name,
    dates.as_of_date,
    not dates.is_current
    and dates.is_complete
    {%- if model.config.meta.looks_back and this.identifier != 'customer_segment_history' %}
    -- What is made of the history is finished where that is, by the same policy.
    and dates.as_of_date in (
        select history.as_of_date
        from {{ ref('int_slice_log') }} as history
        where
            history.model_name = 'customer_segment_history'
            and history.policy_key = '{{ slices_key() }}'
            and history.is_finished
    )
    {%- endif %} as is_finished,
    {{ text_literal(scoring_vars()) }} as scoring_vars,
    '{{ slices_key() }}' as policy_key,
    load_times.sales_loaded_until,
    load_times.engagement_events_loaded_until
{%- endmacro %}

{#- Spark deletes no rows from plain files: the folder of the model in the log is written anew, with
    what stays and what is new. -#}
{% macro spark__log_slices() %}
    {%- set columns = [
        'as_of_date', 'is_finished', 'scoring_vars', 'policy_key', 'sales_loaded_until',
        'engagement_events_loaded_until', 'model_name',
    ] | join(', ') -%}
    {%- if execute and run_query('select count(*) from ' ~ ref('int_as_of_dates')).rows[0][0] == 0 -%}
        {#- An overwrite that writes nothing leaves the folder as it is. -#}
        {%- do drop_partitions(ref('int_slice_log'), 'model_name', run_query(
            "select '" ~ this.identifier ~ "'"
        )) -%}
        {{ return('') }}
    {%- endif -%}
    insert overwrite table {{ ref('int_slice_log') }} partition (model_name)
    with kept as (
        {#- Rows and not the table: a first run and a full refresh keep none. #}
        select slice_log.*
        from {{ ref('int_slice_log') }} as slice_log
        where
            slice_log.model_name = '{{ this.identifier }}'
            {%- if has_slices() %}
            and slice_log.as_of_date in (
                select dates.as_of_date
                from {{ ref('int_as_of_dates') }} as dates
                where not ({{ is_due('dates.as_of_date') }})
            )
            {%- else %}
            and 1 = 0
            {%- endif %}
    ),
    computed as (
        select {{ slice_log_columns() | indent(8) }}
        from {{ ref('int_as_of_dates') }} as dates
        cross join {{ ref('int_load_times') }} as load_times
        where dates.as_of_date not in (select kept.as_of_date from kept)
    )
    select {{ columns }} from kept
    union all
    select {{ columns }} from computed
{% endmacro %}
