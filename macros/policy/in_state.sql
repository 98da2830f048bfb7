{#- Whether the segment, stage and flags in `states` are what a row of trigger_rules.csv asks for on
    one `side` (from or to); a blank fits everybody. `before`: prefix of the columns that hold the
    state at the date before. -#}
{% macro in_state(rules, side, states, before='') -%}
    (
        ({{ rules }}.{{ side }}_segment is null
            or {{ rules }}.{{ side }}_segment = {{ states }}.{{ before }}segment_code)
        and ({{ rules }}.{{ side }}_stage is null
            or {{ rules }}.{{ side }}_stage = {{ states }}.{{ before }}lifecycle_stage)
        and ({{ rules }}.{{ side }}_flag is null
            or {{ has_flag(states ~ '.' ~ before ~ 'flag_list', rules ~ '.' ~ side ~ '_flag') }})
    )
{%- endmacro %}


{#- Whether a flag is in a flag_list of int_customer_flags. -#}
{% macro has_flag(flag_list, flag) -%}
    {{ flag_list }} like {{ dbt.concat(["'%|'", flag, "'|%'"]) }}
{%- endmacro %}
