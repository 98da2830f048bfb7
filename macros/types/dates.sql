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


{#- The day after the latest plausible sale: the last date that an as-of date can honestly be. -#}
{% macro latest_plausible_as_of_date() -%}
    cast({{ dbt.dateadd('day', 1, date_literal(latest_plausible_date())) | trim }} as date)
{%- endmacro %}


{#- When a row came in, null where that cannot be: one row of the year 9999 would let no later row
    count as late. -#}
{% macro plausible_load_time(column) -%}
    case when {{ column }} <= {{ latest_plausible_as_of_date() }} then {{ column }} end
{%- endmacro %}
