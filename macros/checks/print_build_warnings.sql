{#- Shows the rows of build_warnings as warnings of the build, the gravest kind first and of each
    kind the five latest; a dbt test could only show their number. -#}
{% macro print_build_warnings(code_column='warning_code') %}
    {%- if execute -%}
        {%- for warning_code in build_warning_codes() -%}
            {%- set rows = run_query(
                "select message from " ~ this ~ " where " ~ code_column ~ " = '" ~ warning_code
                ~ "' order by subject desc"
            ).rows -%}
            {%- for row in rows[:5] -%}
                {%- do exceptions.warn(row[0]) -%}
            {%- endfor -%}
            {%- if rows | length > 5 -%}
                {%- do exceptions.warn(
                    (rows | length - 5) ~ " more warnings " ~ warning_code ~ " are in " ~ this
                ) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return('') }}
{% endmacro %}


{#- The kinds of build warnings, the gravest first. -#}
{% macro build_warning_codes() %}
    {{ return([
        'score_tells_nothing', 'retention_falls', 'claimed_rank_out_of_order',
        'probability_out_of_order', 'not_judged', 'sales_end_early', 'probability_off', 'boundaries_moved',
        'no_sales', 'as_of_date_outside_sales', 'rejected_sales', 'rejected_customers',
        'rejected_products', 'rejected_engagement_events', 'rejected_campaign_contacts',
        'rejected_experiment_assignments', 'experiment_code_taken',
        'missing_days', 'unknown_products_in_sales', 'margin_rate_out_of_range',
        'unknown_customers_in_engagement_events',
        'unknown_customers_in_campaign_contacts', 'unknown_customers_in_experiment_assignments',
        'later_engagement_events',
        'later_campaign_contacts', 'unmapped_event_type', 'unused_excluded_category',
        'small_score_group', 'unreachable_rule', 'small_segment', 'late_rows',
        'holdout_too_small', 'holdout_customers_elsewhere', 'holdout_in_suppressed_segment',
        'unknown_customer_override', 'expired_override', 'date_before_audience_log',
        'date_beyond_audience_log',
        'no_customers_source', 'scheme_without_audiences', 'history_shorter_than_trigger',
        'empty_audience', 'audience_without_members',
    ]) }}
{% endmacro %}


{#- The weekday of a date, 0 = Monday. -#}
{% macro weekday_of(date) -%}
    {%- set days_since_a_monday = dbt.datediff(date_literal('1900-01-01'), date, 'day') | trim -%}
    mod(cast({{ days_since_a_monday }} as integer), 7)
{%- endmacro %}


{#- How many days of one weekday (0 = Monday) lie in `day_count` days that start on
    `first_weekday`. -#}
{% macro weekday_count(weekday, first_weekday, day_count) -%}
    {%- set offset = "mod(" ~ weekday ~ " - " ~ first_weekday ~ " + 7, 7)" -%}
    case
        when {{ offset }} < {{ day_count }}
            then cast(floor(({{ day_count }} - 1 - {{ offset }}) / 7) as integer) + 1
        else 0
    end
{%- endmacro %}
