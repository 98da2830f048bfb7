{#- What the purchase probability is made of: {feature: (expression, words)}. Logarithms, since the
    tenth order says less than the second. Aliases are those of int_propensity_features. -#}
{% macro propensity_features() %}
    {%- set double = type_double() -%}
    {%- set one = 'cast(1 as ' ~ double ~ ')' -%}
    {%- set features = {
        'ln_days_since_last_order': [
            'ln(' ~ one ~ ' + days_since_last_order)', 'days since the last order',
        ],
        'ln_net_revenue': [
            'ln(' ~ one ~ ' + greatest(cast(net_revenue as ' ~ double ~ '), 0))', 'net revenue',
        ],
        'ln_order_days_90d': [
            'ln(' ~ one ~ ' + order_days_90d)', 'days with orders in the last 90',
        ],
        'ln_order_days_365d': [
            'ln(' ~ one ~ ' + order_days_365d)', 'days with orders in the last 365',
        ],
        'is_one_time_buyer': [
            'cast(case when order_date_count = 1 then 1 else 0 end as ' ~ double ~ ')',
            'one order so far',
        ],
        'ln_activity': [
            'ln(greatest(activity_rate, cast(1e-9 as ' ~ double ~ ')))',
            'how active the rhythm says the customer still is',
        ],
    } -%}
    {%- if is_using('engagement_events') -%}
        {%- do features.update({
            'ln_events_90d': [
                'ln(' ~ one ~ ' + event_count_90d)', 'engagement events in the last 90 days',
            ],
        }) -%}
    {%- endif -%}
    {{ return(features) }}
{% endmacro %}
