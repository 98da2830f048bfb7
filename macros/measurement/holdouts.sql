{#- Holdouts: the bucket that decides who is held out, and what must stay once an experiment runs. -#}


{#- The bucket of a customer, 0 to 9999, that is the same on every engine: the first eight hexadecimal
    digits of md5(salt ':' customer_id) as a whole number, modulo 10000. Whose bucket is below share
    x 10000 is held out. -#}
{% macro holdout_bucket(salt, customer_id) -%}
    {%- set digits = "substring(" ~ dbt.hash(dbt.concat([salt, "':'", customer_id])) ~ ", 1, 8)" -%}
    cast(mod({{ hexadecimal_number(digits) }}, 10000) as integer)
{%- endmacro %}


{#- Eight hexadecimal digits as a whole number. Dispatched: there is no common spelling. -#}
{% macro hexadecimal_number(digits) %}
    {{- return(adapter.dispatch('hexadecimal_number', 'rfm_retention')(digits)) -}}
{% endmacro %}

{% macro default__hexadecimal_number(digits) -%}
    cast('0x' || {{ digits }} as bigint)
{%- endmacro %}

{% macro postgres__hexadecimal_number(digits) -%}
    cast(cast('x' || {{ digits }} as bit(32)) as bigint)
{%- endmacro %}

{% macro spark__hexadecimal_number(digits) -%}
    cast(conv({{ digits }}, 16, 10) as bigint)
{%- endmacro %}


{#- Whom an experiment is about, as one text. `experiments`: the alias of policy_holdouts. -#}
{% macro holdout_scope(experiments) -%}
    case
        when {{ experiments }}.is_global then 'everybody'
        else {{ dbt.concat([
            "coalesce(" ~ dbt.concat(["'audience '", experiments ~ '.audience_code']) ~ ", '')",
            "case when " ~ experiments ~ ".audience_code is not null and " ~ experiments
                ~ ".segment_key is not null then ', ' else '' end",
            "coalesce(" ~ dbt.concat(["'segment '", experiments ~ '.segment_key']) ~ ", '')",
        ]) }}
    end
{%- endmacro %}


{#- Whether an experiment has a customer still whom it assigned: up to its last day, and until the
    customer's own window is over, so that nothing else reaches into what is measured. -#}
{% macro is_still_in_experiment(valid_to, assigned_on, as_of_date) -%}
    {%- set window_ends = dbt.dateadd('day', var('retention_horizon_days') | int, assigned_on) -%}
    (
        {{ valid_to }} is null
        or {{ valid_to }} >= {{ as_of_date }}
        or cast({{ window_ends | trim }} as date) > {{ as_of_date }}
    )
{%- endmacro %}


{#- Rows of the gate's message: what differs between holdout_policy.csv and the experiments that
    have assigned customers already. Read from the log where it stands, since the log itself waits
    for the gate. -#}
{% macro frozen_experiment_problems(holdouts) %}
    {%- set log = relation_of_model('holdout_assignments') -%}
    {%- if not log or not load_relation(holdouts) -%}{{ return([]) }}{%- endif -%}
    {%- set query -%}
        with logged as (
            select
                experiment_code,
                scope,
                salt,
                holdout_share,
                min(assigned_on) as first_date,
                count(*) as customer_count
            from {{ log }}
            group by experiment_code, scope, salt, holdout_share
        )

        select
            logged.experiment_code,
            logged.first_date,
            logged.customer_count,
            experiments.csv_row,
            logged.holdout_share,
            experiments.holdout_share,
            {{ policy_amount_text('logged.holdout_share') }} as share_text,
            {{ policy_amount_text('experiments.holdout_share') }} as new_share_text,
            logged.salt,
            experiments.salt,
            logged.scope,
            {{ holdout_scope('experiments') }} as new_scope,
            experiments.valid_from
        from logged
        left join {{ holdouts }} as experiments
            on logged.experiment_code = experiments.experiment_code
        order by logged.experiment_code
    {%- endset -%}
    {%- set problems = [] -%}
    {%- for row in run_query(query).rows -%}
        {%- set since = row[0] ~ ' has assigned ' ~ row[2] ~ ' customers since ' ~ row[1] -%}
        {%- set again = '. Another one is another experiment: end this one with valid_to and add a row'
            ~ ' with a code and a salt of its own' -%}
        {%- if row[3] is none -%}
            {%- do problems.append([
                'holdout_policy.csv', none, 'experiment_code', 'no row for ' ~ row[0],
                'its row, since ' ~ since ~ ' (share ' ~ row[6] ~ ', salt ' ~ row[8] ~ ', '
                ~ row[10] ~ '). To end an experiment set valid_to and keep the row',
            ]) -%}
        {%- else -%}
            {%- if row[4] != row[5] -%}
                {%- do problems.append([
                    'holdout_policy.csv', row[3], 'holdout_share', row[7],
                    row[6] ~ ', with which ' ~ since ~ again,
                ]) -%}
            {%- endif -%}
            {%- if row[8] != row[9] -%}
                {%- do problems.append([
                    'holdout_policy.csv', row[3], 'salt', "'" ~ row[9] ~ "'",
                    "'" ~ row[8] ~ "', with which " ~ since ~ again,
                ]) -%}
            {%- endif -%}
            {%- if row[10] != row[11] -%}
                {%- do problems.append([
                    'holdout_policy.csv', row[3], 'audience_code', row[11],
                    row[10] ~ ', for which ' ~ since ~ again,
                ]) -%}
            {%- endif -%}
            {%- if row[12] > row[1] -%}
                {%- do problems.append([
                    'holdout_policy.csv', row[3], 'valid_from', row[12],
                    'a day up to ' ~ row[1] ~ ', since ' ~ since ~ again,
                ]) -%}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(problems) }}
{% endmacro %}


{#- The table of a model as it stands in the database, without waiting for it; none where it is not
    there. A unit test knows no models. -#}
{% macro relation_of_model(name) %}
    {%- set node = graph.get('nodes', {}).get('model.rfm_retention.' ~ name) if execute else none -%}
    {%- if not node -%}{{ return(none) }}{%- endif -%}
    {{ return(load_relation(api.Relation.create(
        database=node.database, schema=node.schema, identifier=node.alias
    ))) }}
{% endmacro %}


{#- The last date for which the lists were logged before this run, as a literal; null where they
    were not. -#}
{% macro last_audience_log_date() %}
    {%- set log = relation_of_model('audience_changes') -%}
    {%- if not log or flags.WHICH not in ('build', 'run', 'retry') -%}
        {{ return('cast(null as date)') }}
    {%- endif -%}
    {%- set day = run_query('select max(as_of_date) from ' ~ log).rows[0][0] -%}
    {{ return('cast(null as date)' if day is none else date_literal(day)) }}
{% endmacro %}
