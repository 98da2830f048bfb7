{#- What the purchase probability is made of: {feature: {expression, words, ridge}}. Logarithms, since
    the tenth order says less than the second. Columns are those of int_propensity_features. The ridge
    is 3 where none is given: horizons of 90 days at monthly dates see every order three times, so the
    rows weigh three times what they know. The days with orders in 365 say nearly what the rate and
    the rhythm say, and in a small shop the difference is chance: only many rows outweigh 100. -#}
{% macro propensity_features() %}
    {%- set double = type_double() -%}
    {%- set one = 'cast(1 as ' ~ double ~ ')' -%}
    {%- set features = {
        'ln_days_since_last_order': {
            'expression': 'ln(' ~ one ~ ' + days_since_last_order)',
            'words': 'days since the last order',
        },
        'ln_net_revenue': {
            'expression': 'ln(' ~ one ~ ' + greatest(cast(net_revenue as ' ~ double ~ '), 0))',
            'words': 'net revenue',
        },
        'ln_order_days_90d': {
            'expression': 'ln(' ~ one ~ ' + order_days_90d)',
            'words': 'days with orders in the last 90 days',
        },
        'ln_order_days_365d': {
            'expression': 'ln(' ~ one ~ ' + order_days_365d)',
            'words': 'days with orders in the last 365 days',
            'ridge': 100,
        },
        'is_one_time_buyer': {
            'expression': 'cast(case when order_date_count = 1 then 1 else 0 end as ' ~ double ~ ')',
            'words': 'bought on one day only',
        },
        'ln_activity': {
            'expression': 'ln(greatest(activity_rate, cast(1e-9 as ' ~ double ~ ')))',
            'words': 'orders still to be expected by the own rhythm',
        },
        'ln_order_rate': {
            'expression': 'ln(order_rate)',
            'words': 'days with orders by time since the first',
        },
        'ln_pause': {
            'expression': 'ln(pause_ratio)',
            'words': 'time since the last order by the usual gap',
        },
        'ln_due': {
            'expression': 'greatest(ln(pause_ratio) - ln(0.75 * ' ~ one ~ '), 0)',
            'words': 'time since the last order beyond three quarters of the usual gap, when the next is due',
        },
        'ln_overdue': {
            'expression': 'greatest(ln(pause_ratio), 0)',
            'words': 'time since the last order beyond the usual gap, where due turns into gone',
        },
        'ln_overdue_by_orders': {
            'expression': 'greatest(ln(pause_ratio), 0) * ln(' ~ one ~ ' * order_date_count)',
            'words': 'time since the last order beyond the usual gap, weighing more the more often the customer came',
        },
    } -%}
    {%- if is_using('engagement_events') -%}
        {%- do features.update({
            'ln_events_90d': {
                'expression': 'ln(' ~ one ~ ' + event_count_90d)',
                'words': 'engagement events in the last 90 days',
                },
        }) -%}
    {%- endif -%}
    {{ return(features) }}
{% endmacro %}


{#- The reasons that customer_propensity gives: [(features, text)]. Signals that say nearly the same
    are one reason, since a model shares their weight out between them as it likes. -#}
{% macro propensity_reasons() %}
    {%- set gap_days = 'floor(own_gap_days + 0.5)' -%}
    {%- set reasons = [
        (
            [
                'ln_days_since_last_order', 'ln_activity', 'ln_pause', 'ln_due', 'ln_overdue',
                'ln_overdue_by_orders',
            ],
            dbt.concat([
                "'last order '", days_text('days_since_last_order'), "' ago'",
                "case when order_date_count = 2 then "
                ~ dbt.concat(["', the one before it '", days_text(gap_days), "' earlier'"])
                ~ " when order_date_count > 2 then "
                ~ dbt.concat([
                    "', before that one every '",
                    "case when " ~ gap_days ~ " = 1 then 'day' else " ~ days_text(gap_days) ~ " end",
                ])
                ~ " else '' end",
            ]),
        ),
        (
            ['ln_order_days_90d'],
            dbt.concat([days_text('order_days_90d'), "' with orders in the last 90'"]),
        ),
        (
            ['ln_order_days_365d', 'is_one_time_buyer', 'ln_order_rate'],
            dbt.concat([
                days_text('order_days_365d'), "' with orders in the last 365'",
                "case when order_date_count = 1 and order_days_365d = 1 then ', none before'"
                ~ " when order_date_count = 1 then ', one before' else '' end",
            ]),
        ),
        (
            ['ln_net_revenue'],
            dbt.concat(["'net revenue '", number_text('round(net_revenue)')]),
        ),
    ] -%}
    {%- if is_using('engagement_events') -%}
        {%- do reasons.append((
            ['ln_events_90d'],
            dbt.concat([
                number_text('event_count_90d'),
                "case when event_count_90d = 1 then ' engagement event' else ' engagement events' end",
                "' in the last 90 days'",
            ]),
        )) -%}
    {%- endif -%}
    {{ return(reasons) }}
{% endmacro %}


{#- A common table expression with one row, if that fit has a model: the intercept, and per feature its
    coefficient and, as `<feature>_mean`, what it was on average. -#}
{% macro propensity_model(name, fit) %}
{{- name }} as (

    select
        {% for feature in propensity_features() %}
        max(case when feature = '{{ feature }}' then coefficient end) as {{ feature }},
        max(case when feature = '{{ feature }}' then feature_mean end) as {{ feature }}_mean,
        {% endfor %}
        max(case when feature = '(intercept)' then coefficient end) as intercept
    from {{ ref('int_propensity_models') }}
    where fit_code = '{{ fit }}' and is_converged
    having count(*) > 0

)
{%- endmacro %}


{#- A common table expression with one row, if a recalibration is used: the line (intercept, slope) of the
    judged model, if the line before it had helped there. -#}
{% macro propensity_line(name) %}
{{- name }} as (

    select
        intercept,
        slope
    from {{ ref('int_propensity_calibrations') }}
    where fit_code = 'judged' and is_helpful and slope is not null

)
{%- endmacro %}


{#- The dates at which a model is judged on customers it was not fitted on: {fit_code: the fit whose
    date ends what it may have seen}. Each is the latest finished date whose outcomes were complete at
    the date of the other. -#}
{% macro judged_fits() %}
    {{ return({'judged': 'current', 'earlier': 'judged', 'earliest': 'earlier'}) }}
{% endmacro %}


{#- Common table expressions up to `cutoffs`: the date that ends what each fit may have seen (fit_code,
    cutoff_date). Reads `windows` (as_of_date, end_date), the finished dates. -#}
{% macro propensity_cutoffs() %}
cutoff_current as (

    select as_of_date as cutoff_date
    from {{ ref('int_as_of_dates') }}
    where is_current

),

{% for fit, known_at in judged_fits().items() -%}
cutoff_{{ fit }} as (

    select max(windows.as_of_date) as cutoff_date
    from windows
    inner join cutoff_{{ known_at }} as later
        on windows.end_date <= later.cutoff_date

),

{% endfor -%}
cutoffs as (

    {% for fit in ['current'] + judged_fits().keys() | list %}
    select
        '{{ fit }}' as fit_code,
        cutoff_date
    from cutoff_{{ fit }}
    where cutoff_date is not null
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

)
{%- endmacro %}


{#- Orders to be expected in the horizon: whoever comes back orders once, and beyond that
    `extra_order_factor` times as often as his pace so far says. The factors are those of
    int_propensity_order_values. -#}
{% macro expected_orders(probability, extra_order_factor, order_pace) -%}
    cast({{ probability }} as {{ type_double() }}) * (
        1 + coalesce({{ extra_order_factor }}, 0) * cast({{ order_pace }} as {{ type_double() }})
    )
{%- endmacro %}


{#- What an expected order is worth; null where nobody has come back yet. -#}
{% macro expected_order_value(net_revenue, order_count, order_value, order_value_factor) -%}
    case
        when {{ order_value }} is not null
            then {{ order_value_factor }}
                * {{ own_order_value(net_revenue, order_count, order_value) }}
    end
{%- endmacro %}


{#- What an order of a customer is worth: his own mean, with two orders of the mean of all beside
    his own. In double precision, not below 0. -#}
{% macro own_order_value(net_revenue, order_count, base_value) -%}
    greatest(
        (cast({{ net_revenue }} as {{ type_double() }}) + 2 * {{ base_value }})
        / ({{ order_count }} + 2),
        cast(0 as {{ type_double() }})
    )
{%- endmacro %}


{#- Why there is no model, in words; counts as in int_propensity_order_values. -#}
{% macro propensity_no_model(retained_count, gone_count, is_unsettled) -%}
    case
        when {{ is_unsettled }} then 'The model has not settled, so it is not used'
        when {{ retained_count }} = 0 then 'Nobody came back on the finished dates'
        when {{ gone_count }} = 0 then 'Everybody came back on the finished dates'
        else {{ dbt.concat([
            "'Too few customers came back ('", number_text(retained_count), "') or did not ('",
            number_text(gone_count), "'): a model needs 100 of each'",
        ]) }}
    end
{%- endmacro %}
