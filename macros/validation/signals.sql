{#- The signals that are ranked by what they tell: {signal: [kind, expression, words]}. Aliases are
    those of int_validation_signals; a flag counts as 1 and 0. What a source that is not in use would
    say is left out, and so is what follows from signals that are here (see signal_importance). -#}
{% macro validated_signals() %}
    {%- set signals = {
        'days_since_last_order': [
            'rfm', 'metrics.days_since_last_order', 'days since the last order',
        ],
        'order_count': ['rfm', 'metrics.order_count', 'orders'],
        'net_revenue': ['rfm', 'metrics.net_revenue', 'revenue less returns'],
        'average_order_value': [
            'metric', 'metrics.net_revenue / nullif(metrics.order_count, 0)',
            'revenue less returns per order',
        ],
        'return_amount': ['metric', 'metrics.return_amount', 'money sent back'],
        'days_since_first_order': [
            'metric',
            dbt.datediff('metrics.first_order_date', 'metrics.as_of_date', 'day') | trim,
            'days since the first order',
        ],
        'order_date_count': ['metric', 'stages.order_date_count', 'days with orders'],
        'own_gap_days': ['metric', 'stages.own_gap_days', 'days between orders so far'],
        'expected_gap_days': [
            'metric', 'stages.expected_gap_days', 'days to be expected between orders',
        ],
        'silence_ratio': [
            'metric', 'stages.silence_ratio',
            'days since the last order by the days to be expected between orders',
        ],
    } -%}
    {%- for name, words in {
        'recent_gap_days': 'days per order since the third last one',
        'earlier_gap_days': 'days per order up to the third last one',
        'largest_order_amount': 'largest order',
        'largest_order_share': 'share of the largest order in all sales',
        'return_rate_by_value': 'share of the money sent back',
        'return_rate_by_orders': 'share of the orders sent back',
        'channel_count': 'channels used',
        'discount_amount': 'money saved by discounts',
        'discounted_order_share': 'share of orders with a discount',
        'discount_depth': 'discounts as a share of the price before them',
        'season_share': 'share of orders in the best three months of the year',
        'season_year_count': 'years with orders in the best three months',
    }.items() -%}
        {%- do signals.update({name: ['metric', 'behaviour.' ~ name, words]}) -%}
    {%- endfor -%}
    {%- if is_using('products') -%}
        {%- for name, words in {
            'category_count': 'categories bought',
            'top_category_share': 'share of the favourite category in all spend',
        }.items() -%}
            {%- do signals.update({name: ['affinity', 'behaviour.' ~ name, words]}) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- set flag_words = {
        'has_high_return_rate_by_value': 'sends back much of the money',
        'has_high_return_rate_by_orders': 'sends back many of the orders',
        'is_single_channel': 'orders through one channel only',
        'is_discount_dependent': 'hardly orders without a deep discount',
        'is_one_time_buyer': 'has ordered once',
        'has_one_big_order': 'one order holds most of the sales',
        'is_frequency_declining': 'orders much less often than before',
        'is_single_category': 'spends nearly all in one category',
        'is_seasonal_buyer': 'orders in one season only',
        'is_engaged_not_buying': 'engages but does not buy',
        'is_buying_not_engaged': 'buys but does not engage',
    } -%}
    {%- set flags = behaviour_flags() -%}
    {%- if is_using('engagement_events') -%}{%- set flags = flags + engagement_flags() -%}{%- endif -%}
    {%- for flag in flags -%}
        {%- do signals.update({flag: [
            'flag',
            'case when flags.' ~ flag ~ ' then 1 when not flags.' ~ flag ~ ' then 0 end',
            flag_words[flag],
        ]}) -%}
    {%- endfor -%}
    {%- if is_using('engagement_events') -%}
        {%- for name, words in {
            'engagement_score': 'engagement score',
            'engagement_value': 'engagement events of the last 90 days by weight',
            'days_since_last_event': 'days since the last event',
            'days_since_last_engagement': 'days since the last event with a weight',
            'event_count': 'events',
            'event_count_30d': 'events in the last 30 days',
            'event_count_90d': 'events in the last 90 days',
            'event_trend': 'events of the last 30 days by the mean of the last 90',
        }.items() -%}
            {%- do signals.update({name: ['engagement', 'engagement.' ~ name, words]}) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(signals) }}
{% endmacro %}
