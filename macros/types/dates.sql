{% macro date_literal(value) %}{{ return("cast('" ~ value ~ "' as date)") }}{% endmacro %}


{#- The latest date a sale can honestly have: the var, else the day after the run (UTC). The one
    place where the clock is read: a single row of the year 9999 would age every customer. -#}
{% macro latest_plausible_date() %}
    {%- set given = var('latest_plausible_date') -%}
    {%- if given is not none -%}
        {{ return(given | string) }}
    {%- endif -%}
    {{ return((run_started_at + modules.datetime.timedelta(days=1)).strftime('%Y-%m-%d')) }}
{% endmacro %}
