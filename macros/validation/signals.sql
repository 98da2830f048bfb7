{#- The signals that are ranked by what they tell: {signal: [kind, expression]}. Aliases are those of
    int_validation_signals; a flag counts as 1 and 0. What a source that is not in use would say is
    left out. -#}
{% macro validated_signals() %}
    {%- set signals = {
        'days_since_last_order': ['rfm', 'metrics.days_since_last_order'],
        'order_count': ['rfm', 'metrics.order_count'],
        'net_revenue': ['rfm', 'metrics.net_revenue'],
        'average_order_value': ['metric', 'metrics.net_revenue / nullif(metrics.order_count, 0)'],
        'return_amount': ['metric', 'metrics.return_amount'],
        'days_since_first_order': ['metric', dbt.datediff(
            'metrics.first_order_date', 'metrics.as_of_date', 'day'
        ) | trim],
        'order_date_count': ['metric', 'stages.order_date_count'],
        'expected_gap_days': ['metric', 'stages.expected_gap_days'],
        'silence_ratio': ['metric', 'stages.silence_ratio'],
        'largest_order_share': ['metric', 'behaviour.largest_order_share'],
        'recent_gap_days': ['metric', 'behaviour.recent_gap_days'],
        'return_rate_by_value': ['metric', 'behaviour.return_rate_by_value'],
        'channel_count': ['metric', 'behaviour.channel_count'],
        'discounted_order_share': ['metric', 'behaviour.discounted_order_share'],
    } -%}
    {%- if is_using('products') -%}
        {%- do signals.update({
            'category_count': ['affinity', 'behaviour.category_count'],
            'top_category_share': ['affinity', 'behaviour.top_category_share'],
        }) -%}
    {%- endif -%}
    {%- for flag in behaviour_flags() -%}
        {%- do signals.update({flag: ['flag', 'case when flags.' ~ flag
            ~ ' then 1 when not flags.' ~ flag ~ ' then 0 end']}) -%}
    {%- endfor -%}
    {%- if is_using('engagement_events') -%}
        {%- for flag in engagement_flags() -%}
            {%- do signals.update({flag: ['flag', 'case when flags.' ~ flag
                ~ ' then 1 when not flags.' ~ flag ~ ' then 0 end']}) -%}
        {%- endfor -%}
        {%- for name in ['engagement_score', 'days_since_last_engagement', 'event_count_30d',
            'event_count_90d', 'event_trend'] -%}
            {%- do signals.update({name: ['engagement', 'engagement.' ~ name]}) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(signals) }}
{% endmacro %}
