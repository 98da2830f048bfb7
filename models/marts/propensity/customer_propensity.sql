-- Grain: one row per customer scored at the current as-of date: how likely an order within the next
-- retention_horizon_days is, what orders and money are to be expected, and why.
-- `method`: `model` (logistic, see propensity_scorecard), or `segment_rate` where too few customers
-- came back or did not: the rate of the customer's segment over the finished dates, with twenty
-- customers of the whole base beside it; `none` where no date is finished. A reason moves the odds
-- by a tenth of a per cent or more; less is no reason.
{{ config(
    indexes=[
        {'columns': ['customer_id'], 'unique': true},
        {'columns': ['probability_decile']},
    ] if target.type == 'postgres' else []
) }}
{%- set double = type_double() %}
{%- set string = dbt.type_string() %}
{%- set features = propensity_features() %}
{%- set reasons = propensity_reasons() %}
with

customers as (

    select
        scores.as_of_date,
        scores.customer_id,
        scores.frequency_score,
        history.segment_key,
        segments.segment_name
    from {{ ref('int_rfm_scores') }} as scores
    -- Both are of the current date, see customer_segments.
    inner join {{ ref('customer_segment_history') }} as history
        on
            scores.customer_id = history.customer_id
            and history.is_current
    inner join {{ ref('policy_segments') }} as segments
        on history.segment_key = segments.segment_key
    where scores.{{ at_current_date() }}

),

observed as (

    select *
    from {{ ref('int_propensity_features') }}
    where is_current

),

predictions as (

    select
        customer_id,
        log_odds
    from {{ ref('int_propensity_predictions') }}
    where fit_code = 'current'

),

unsettled as (

    select count(*) > 0 as has_unsettled_model
    from {{ ref('int_propensity_models') }}
    where fit_code = 'current' and not is_converged

),

{{ propensity_line('line') }},

order_values as (

    select *
    from {{ ref('int_propensity_order_values') }}
    where fit_code = 'current'

),

segment_rates as (

    select
        level as segment_key,
        sum(customer_count) as customer_count,
        sum(retained_count) as retained_count
    from {{ ref('int_validation_levels') }}
    where
        scope = 'pooled'
        and horizon_code = 'horizon'
        and dimension = 'segment'
        and segment_scheme = {{ text_literal(var('segment_scheme')) }}
    group by level

),

base_rates as (

    select
        (sum(retained_count) + 0.5) / (sum(customer_count) + cast(1 as {{ double }})) as base_rate
    from segment_rates
    having sum(customer_count) > 0

),

{{ propensity_model('coefficients', 'current') }},

-- What each reason adds to the log-odds of a customer whose signals are all average.
parts as (

    select
        {% for reason_features, text in reasons %}
        cast(
            {% for feature in reason_features %}
            {{ '+ ' if not loop.first }}coefficients.{{ feature }}
            * (observed.{{ feature }} - coefficients.{{ feature }}_mean)
            {% endfor %}
            as numeric(18, 9)
        ) as part_{{ loop.index }},
        {% endfor %}
        observed.*
    from observed
    left join coefficients
        on 1 = 1
    {{ fence() }}

),

{% for place in [1, 2, 3] -%}
{%- set taken = range(1, place) -%}
largest_{{ place }} as (

    select
        *,
        greatest(
            {% for reason in reasons %}
            {%- set number = loop.index %}
            {%- if place == 1 %}
            abs(part_{{ number }})
            {%- else %}
            case
                when
                    reason_1 <> {{ number }}
                    {%- for earlier in taken[1:] %}
                    and reason_{{ earlier }} <> {{ number }}
                    {%- endfor %}
                    then abs(part_{{ number }})
                else -1
            end
            {%- endif %}
            {%- if not loop.last %},{% endif %}
            {% endfor %}
        ) as size_{{ place }}
    from {{ 'parts' if place == 1 else 'chosen_' ~ (place - 1) }}
    {{ fence() }}

),

chosen_{{ place }} as (

    select
        *,
        case
            {% for reason in reasons %}
            {%- set number = loop.index %}
            when
                abs(part_{{ number }}) = size_{{ place }}
                {%- for earlier in taken %}
                and reason_{{ earlier }} <> {{ number }}
                {%- endfor %}
                then {{ number }}
            {% endfor %}
        end as reason_{{ place }}
    from largest_{{ place }}
    {{ fence() }}

),

{% endfor -%}
joined as (

    select
        customers.as_of_date,
        customers.customer_id,
        customers.segment_key,
        customers.segment_name,
        chosen.order_count,
        chosen.net_revenue,
        chosen.order_pace,
        predictions.log_odds,
        line.intercept + line.slope * predictions.log_odds as recalibrated_log_odds,
        (
            coalesce(segment_rates.retained_count, 0) + 20 * base_rates.base_rate
        ) / (coalesce(segment_rates.customer_count, 0) + 20) as segment_rate,
        order_values.order_value,
        order_values.extra_order_factor,
        order_values.order_value_factor,
        order_values.retained_customer_count,
        order_values.gone_customer_count,
        year_values.year_order_ratio,
        unsettled.has_unsettled_model,
        {% for place in [1, 2, 3] %}
        case
            {% for reason_features, text in reasons %}
            when
                chosen.reason_{{ place }} = {{ loop.index }}
                and abs(chosen.part_{{ loop.index }}) >= 0.001
                then {{ dbt.concat([
                    "case when chosen.part_" ~ loop.index
                    ~ " >= 0 then 'More likely: ' else 'Less likely: ' end",
                    text,
                ]) }}
            {% endfor %}
        end as reason_{{ place }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from customers
    inner join chosen_3 as chosen
        on customers.customer_id = chosen.customer_id
    left join predictions
        on customers.customer_id = predictions.customer_id
    left join line
        on 1 = 1
    left join segment_rates
        on customers.segment_key = segment_rates.segment_key
    left join base_rates
        on 1 = 1
    cross join unsettled
    left join order_values
        on 1 = 1
    left join {{ ref('int_propensity_values') }} as year_values
        on customers.frequency_score = year_values.frequency_score

),

-- Nine digits: customers are ranked on it.
probable as (

    select
        *,
        case
            when log_odds is not null then 'model'
            when segment_rate is not null then 'segment_rate'
            else 'none'
        end as method,
        cast(
            case
                when log_odds is not null
                    then 1 / (1 + exp(-coalesce(recalibrated_log_odds, log_odds)))
                else segment_rate
            end
            as numeric(18, 9)
        ) as probability
    from joined
    {{ fence() }}

),

expected as (

    select
        *,
        {{ expected_orders('probability', 'extra_order_factor', 'order_pace') }} as expected_orders,
        {{ expected_order_value(
            'net_revenue', 'order_count', 'order_value', 'order_value_factor'
        ) }} as expected_order_value
    from probable
    {{ fence() }}

)

select
    as_of_date,
    customer_id,
    segment_key,
    {{ var('retention_horizon_days') }} as horizon_days,
    method,
    cast(probability as {{ double }}) as purchase_probability,
    case
        when log_odds is not null
            then cast(
                ntile(10) over (
                    order by probability nulls first, {{ bytewise('customer_id') }}
                ) as integer
            )
    end as probability_decile,
    case
        when log_odds is not null
            then {{ nine_digits('1 / (1 + exp(-log_odds))') }}
    end as uncalibrated_probability,
    coalesce(recalibrated_log_odds is not null, false) as is_recalibrated,
    cast(cast(expected_orders as numeric(18, 6)) as {{ double }}) as expected_orders,
    cast(expected_orders * expected_order_value as {{ type_money() }}) as expected_revenue,
    cast(cast(expected_orders * year_order_ratio as numeric(18, 6)) as {{ double }})
        as expected_orders_12m,
    cast(expected_orders * year_order_ratio * expected_order_value as {{ type_money() }})
        as expected_revenue_12m,
    {% for place in [1, 2, 3] %}
    case when method = 'model' then reason_{{ place }} end as reason_{{ place }},
    {% endfor %}
    case method
        when 'model'
            then 'A rank; a level (and money) only where the next season resembles the last'
        when 'segment_rate'
            then {{ dbt.concat([
                propensity_no_model(
                    'retained_customer_count', 'gone_customer_count', 'has_unsettled_model'
                ),
                "'; without a model the probability is the rate of the segment '",
                'segment_name',
                "' (drawn to that of all by 20 customers, never 0 or 1), and there are no reasons to give'",
            ]) }}
        else {{ nobody_was_scored() }}
    end as note
from expected
