{#- Checks every var when a run starts, before any table changes: names the var, what was found,
    what is accepted. -#}
{% macro check_vars() %}
    {%- if not execute -%}{{ return('') }}{%- endif -%}
    {%- set problems = [] -%}

    {%- set whole_numbers = {
        'score_tiles': [3, 10],
        'history_periods': [0, 1000],
        'reopen_periods': [0, 1000],
        'min_stay_days': [0, 10000],
        'retention_horizon_days': [1, 3650],
        'min_group_customers': [1, none],
        'max_actionable_segments': [1, none],
        'default_purchase_gap_days': [1, 100000],
    } -%}
    {%- for name, range in whole_numbers.items() -%}
        {%- do problems.append(check_whole_number(name, range[0], range[1])) -%}
    {%- endfor -%}
    {%- if var('lookback_days') is not none -%}
        {%- do problems.append(
            check_whole_number('lookback_days', 1, 100000, ' (or null for all history)')
        ) -%}
    {%- endif -%}
    {%- if var('high_touch_capacity') is not none -%}
        {%- do problems.append(check_whole_number(
            'high_touch_capacity', 0, 1000000000, ' (customers, or null for no limit)'
        )) -%}
    {%- endif -%}
    {%- if var('retention_budget') is not none -%}
        {%- do problems.append(check_number(
            'retention_budget', 0, 999999999999, ' (or null for no limit)'
        )) -%}
    {%- endif -%}

    {%- if var('phone_country_code') is not none -%}
        {%- do problems.append(check_whole_number(
            'phone_country_code', 1, 999, ' (such as 49, without + or 0, or null)'
        )) -%}
    {%- endif -%}

    {%- set numbers = {
        'recency_weight': [0, none],
        'frequency_weight': [0, none],
        'monetary_weight': [0, none],
        'engagement_weight': [0, none],
        'gap_prior_strength': [0, none],
        'margin_rate': [0, 1],
        'max_stability_index': [0, none],
        'min_auc': [0, 1],
        'min_segment_share': [0, 1],
        'high_touch_value_ratio': [0, none],
    } -%}
    {%- for name, range in numbers.items() -%}
        {%- do problems.append(check_number(name, range[0], range[1])) -%}
    {%- endfor -%}
    {%- set weights = [var('recency_weight'), var('frequency_weight'), var('monetary_weight')] -%}
    {%- if weights | select('number') | list | length == 3 and weights | sum == 0 -%}
        {%- do problems.append(
            "vars recency_weight, frequency_weight, monetary_weight: found all 0; accepted: at"
            ~ " least one above 0"
        ) -%}
    {%- endif -%}
    {%- for name, value in {
        'engagement_weight': var('engagement_weight') not in [0, 0.0],
        'rfm_basis': var('rfm_basis') == 'activity',
    }.items() if value and var('using_engagement_events') is sameas false -%}
        {%- do problems.append(
            "var " ~ name ~ ": found " ~ var(name) ~ " without engagement events; accepted: "
            ~ {'engagement_weight': '0', 'rfm_basis': 'sales'}[name]
            ~ ", or using_engagement_events: true"
        ) -%}
    {%- endfor -%}

    {%- for name, accepted in {
        'tie_method': ['shared', 'split'],
        'history_grain': ['day', 'week', 'month', 'quarter'],
        'retention_value_window': ['year', 'horizon'],
        'rfm_basis': ['sales', 'activity'],
        'validation_severity': ['error', 'warn'],
        'spark_file_format': ['parquet', 'orc', 'delta', 'iceberg'],
    }.items() if var(name) not in accepted -%}
        {%- do problems.append(
            "var " ~ name ~ ": found " ~ var(name) ~ "; accepted: " ~ accepted | join(', ')
        ) -%}
    {%- endfor -%}
    {%- set entity_vars = {'using': [], 'table': [], 'columns': []} -%}
    {%- for entity, spec in source_entities().items() -%}
        {%- do entity_vars['table'].append(entity ~ '_table') -%}
        {%- do entity_vars['columns'].append(entity ~ '_columns') -%}
        {%- if spec['optional'] -%}{%- do entity_vars['using'].append('using_' ~ entity) -%}{%- endif -%}
    {%- endfor -%}
    {%- for name in ['count_zero_value_orders'] + entity_vars['using']
        if var(name) is not boolean -%}
        {%- do problems.append(
            "var " ~ name ~ ": found " ~ var(name) ~ "; accepted: true, false"
        ) -%}
    {%- endfor -%}

    {%- for name in ['as_of_date', 'latest_plausible_date'] if var(name) is not none -%}
        {%- if not is_date(var(name) | string) -%}
            {%- do problems.append(
                "var " ~ name ~ ": found " ~ var(name)
                ~ "; accepted: a date such as 2024-01-31, or null"
            ) -%}
        {%- endif -%}
    {%- endfor -%}

    {%- for name in [
        'source_schema', 'segment_scheme', 'customer_rfm_name',
    ] + entity_vars['table'] if var(name) is not string or var(name) | trim == '' -%}
        {%- do problems.append("var " ~ name ~ ": found " ~ var(name) ~ "; accepted: a name") -%}
    {%- endfor -%}

    {%- for entity, spec in source_entities().items() -%}
        {%- set name = entity ~ '_columns' -%}
        {%- if var(name) is not mapping -%}
            {%- if var(name) is not none -%}
                {%- do problems.append(
                    "var " ~ name ~ ": found " ~ var(name) ~ "; accepted: a map from our column"
                    ~ " name to yours, such as {customer_id: 'Cust No'}"
                ) -%}
            {%- endif -%}
        {%- else -%}
            {%- for column, theirs in var(name).items() -%}
                {%- if column not in spec['columns'] -%}
                    {%- do problems.append(
                        "var " ~ name ~ ": found the column " ~ column ~ "; accepted: "
                        ~ spec['columns'] | join(', ')
                    ) -%}
                {%- elif theirs is none and spec['columns'][column].get('required') -%}
                    {%- do problems.append(
                        "var " ~ name ~ ": found " ~ column ~ ": null; accepted: a column of yours,"
                        ~ " since " ~ column ~ " is required"
                    ) -%}
                {%- elif theirs is not none and theirs is not string -%}
                    {%- do problems.append(
                        "var " ~ name ~ ": found " ~ column ~ ": " ~ theirs
                        ~ "; accepted: the name of a column, or null"
                    ) -%}
                {%- endif -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endfor -%}

    {%- set schema = var('customer_rfm_schema') -%}
    {%- if schema is not none and (schema is not string or schema | trim == '') -%}
        {%- do problems.append(
            "var customer_rfm_schema: found '" ~ schema ~ "'; accepted: the name of a schema, or null"
        ) -%}
    {%- endif -%}

    {#- A mistyped name would otherwise do nothing, silently. Others than ours may be for models of
        your own. -#}
    {%- set known = (whole_numbers.keys() | list) + (numbers.keys() | list) + [
        'tie_method', 'rfm_basis', 'history_grain', 'retention_budget', 'high_touch_capacity',
        'retention_value_window', 'count_zero_value_orders', 'as_of_date',
        'latest_plausible_date', 'lookback_days', 'phone_country_code', 'score_group', 'source_schema',
        'segment_scheme', 'customer_rfm_name', 'customer_rfm_schema', 'validation_severity',
        'spark_file_format',
    ] + entity_vars['using'] + entity_vars['table'] + entity_vars['columns'] -%}
    {%- for name in invocation_args_dict.get('vars') or {} if name not in known -%}
        {%- do exceptions.warn(
            "var " ~ name ~ ": found in --vars, but this project has no such var; accepted: "
            ~ known | sort | join(', ')
        ) -%}
    {%- endfor -%}

    {%- set problems = problems | reject('none') | list -%}
    {%- if problems -%}
        {%- do exceptions.raise_compiler_error(
            "The vars are not usable, so nothing was built:\n  " ~ problems | join('\n  ')
        ) -%}
    {%- endif -%}
    {{ return('') }}
{% endmacro %}


{% macro range_text(lowest, highest) %}
    {{- return(
        'from ' ~ lowest ~ ' to ' ~ highest if highest is not none else 'of at least ' ~ lowest
    ) -}}
{% endmacro %}


{% macro check_whole_number(name, lowest, highest, addition='') %}
    {%- set value = var(name) -%}
    {%- if value is not integer or value is boolean or value < lowest
        or (highest is not none and value > highest) -%}
        {{ return(
            "var " ~ name ~ ": found " ~ value ~ "; accepted: a whole number "
            ~ range_text(lowest, highest) ~ addition
        ) }}
    {%- endif -%}
    {{ return(none) }}
{% endmacro %}


{% macro check_number(name, lowest, highest, addition='') %}
    {%- set value = var(name) -%}
    {%- if value is not number or value is boolean or value != value or value == value + 1 or value < lowest
        or (highest is not none and value > highest) -%}
        {{ return(
            "var " ~ name ~ ": found " ~ value ~ "; accepted: a number "
            ~ range_text(lowest, highest) ~ addition
        ) }}
    {%- endif -%}
    {{ return(none) }}
{% endmacro %}


{#- Whether text is a real date in ISO form. -#}
{% macro is_date(text) %}
    {%- set pattern = '^[1-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$' -%}
    {%- if not modules.re.match(pattern, text) -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set first_of_month = modules.datetime.date(text[:4] | int, text[5:7] | int, 1) -%}
    {%- set same = first_of_month + modules.datetime.timedelta(days=text[8:] | int - 1) -%}
    {{ return(same.month == text[5:7] | int) }}
{% endmacro %}
