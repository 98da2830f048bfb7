{#- Whether a row of audience_definitions.csv holds under the active scheme on a day. -#}
{% macro is_live_audience(definitions, day) -%}
    (
        {{ definitions }}.segment_scheme is null
        or {{ definitions }}.segment_scheme = {{ text_literal(var('segment_scheme')) }}
    )
    and ({{ definitions }}.valid_from is null or {{ definitions }}.valid_from <= {{ day }})
    and ({{ definitions }}.valid_to is null or {{ definitions }}.valid_to >= {{ day }})
{%- endmacro %}


{#- The channels of audiences. -#}
{% macro reachable_channels() %}
    {{ return(['email', 'sms', 'phone', 'ads', 'push', 'direct_mail', 'onsite']) }}
{% endmacro %}
