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


{#- Why a customer must or can not be contacted on a channel, whatever segment and date; null where
    nothing is in the way. `reach`: the alias of int_customer_reach, left joined; `channel`,
    `needs_consent`: columns of the audience. -#}
{% macro contact_block_reason(reach, channel, needs_consent) -%}
    {%- set consent -%}
    case {{ channel }}
        when 'email' then {{ reach }}.email_consent
        when 'sms' then {{ reach }}.sms_consent
        when 'ads' then {{ reach }}.ads_consent
    end
    {%- endset -%}
    case
        when {{ reach }}.is_internal then 'internal_customer'
        when not {{ consent }} then 'opted_out'
        when {{ has_flag(reach ~ '.stopped_channels', channel) }} then 'bounced_or_unsubscribed'
        when {{ needs_consent }} and {{ consent }} is null then 'no_consent'
        when {{ channel }} = 'email' and not ({{ has_address(reach, ['email']) }}) then 'no_address'
        when
            {{ channel }} in ('sms', 'phone') and not ({{ has_address(reach, ['phone']) }})
            then 'no_address'
        when
            {{ channel }} = 'ads' and not ({{ has_address(reach, ['email', 'phone']) }})
            then 'no_address'
    end
{%- endmacro %}
