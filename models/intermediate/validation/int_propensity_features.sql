-- Grain: one row per (as_of_date, customer_id): scored customers of the current date, and of the
-- finished dates of the window `horizon` as many as a model needs (100,000 of a date, a million of
-- all, picked by hash).
-- `order_pace`: days with orders in the horizon if the customer goes on as in the last year and in
-- the last 90 days (the mean of both; of a new customer the days after the first order, from 30
-- on). `activity_rate`: orders per gap that are still to be expected, by the formula of BG/NBD
-- (Fader and Hardie 2005) with constants instead of fitted parameters and time in median gaps of
-- the base: the rate so far, times the probability that a customer of that rhythm is still there.
-- `order_rate`: the rate so far in a unit that does not change as the base grows older
-- (default_purchase_gap_days). `pause_ratio`: days since the last order by the usual gap, the mean
-- of the own gaps and one more. That one lies between the base's gap, which is short while the base
-- is young and would let the level drift, and default_purchase_gap_days, which knows nothing of the
-- shop.
{%- set double = type_double() %}
{%- set features = propensity_features() %}
{%- set age = dbt.datediff('metrics.first_order_date', 'metrics.as_of_date', 'day') | trim %}
{%- set days_to_last = dbt.datediff(
    'metrics.first_order_date', 'metrics.last_order_date', 'day'
) | trim %}
{%- set days_before = dbt.datediff(
    'order_dates.order_date', 'customers.as_of_date', 'day'
) | trim %}
{%- set default_gap = 'cast(' ~ var('default_purchase_gap_days') ~ ' as ' ~ double ~ ')' %}
{%- set r, alpha, a, b = 0.25, 1, 0.8, 2.5 %}
with

dates as (

    select
        as_of_date,
        end_date,
        false as is_current,
        count(*) over () as date_count
    from {{ ref('int_validation_windows') }}
    where horizon_code = 'horizon'
    union all
    select
        as_of_date,
        cast(null as date) as end_date,
        true as is_current,
        1 as date_count
    from {{ ref('int_as_of_dates') }}
    where is_current

),

scored as (

    select
        scores.as_of_date,
        scores.customer_id,
        dates.end_date,
        dates.is_current,
        dates.date_count,
        row_number() over (
            partition by scores.as_of_date, dates.is_current
            order by {{ dbt.hash('scores.customer_id') }}, {{ bytewise('scores.customer_id') }}
        ) as place
    from {{ ref('int_rfm_scores') }} as scores
    inner join dates
        on scores.as_of_date = dates.as_of_date

),

customers as (

    select
        as_of_date,
        customer_id,
        end_date,
        is_current
    from scored
    where
        is_current
        or (
            place <= {{ most_customers_of_a_date() }}
            and place * date_count <= {{ most_customers_of_a_fit() }}
        )

),

order_days as (

    select
        customers.as_of_date,
        customers.customer_id,
        customers.is_current,
        sum(case when {{ days_before }} <= 90 then 1 else 0 end) as order_days_90d,
        count(*) as order_days_365d
    from customers
    inner join {{ ref('int_order_dates') }} as order_dates
        on
            customers.customer_id = order_dates.customer_id
            and customers.as_of_date > order_dates.order_date
    where {{ days_before }} <= 365
    group by customers.as_of_date, customers.customer_id, customers.is_current

),

measured as (

    select
        customers.as_of_date,
        customers.customer_id,
        customers.end_date,
        customers.is_current,
        metrics.days_since_last_order,
        metrics.net_revenue,
        metrics.order_count,
        lifecycle_stages.order_date_count,
        lifecycle_stages.own_gap_days,
        coalesce(order_days.order_days_90d, 0) as order_days_90d,
        coalesce(order_days.order_days_365d, 0) as order_days_365d,
        {% if is_using('engagement_events') -%}
        coalesce(engagement.event_count_90d, 0) as event_count_90d,
        {% endif -%}
        cast(lifecycle_stages.order_date_count - 1 as {{ double }}) as repeats,
        {{ age }} as age_days,
        {{ age }} / cast(lifecycle_stages.group_gap_days as {{ double }}) as age_gaps,
        {{ days_to_last }} / cast(lifecycle_stages.group_gap_days as {{ double }}) as last_gaps,
        metrics.days_since_last_order / greatest(
            (
                {{ days_to_last }}
                + (lifecycle_stages.group_gap_days + {{ default_gap }}) / 2
            ) / lifecycle_stages.order_date_count,
            cast(1 as {{ double }})
        ) as pause_ratio,
        coalesce(outcomes.order_count, 0) as future_order_count,
        coalesce(outcomes.net_revenue, 0) as future_net_revenue
    from customers
    inner join {{ ref('int_customer_metrics') }} as metrics
        on
            customers.as_of_date = metrics.as_of_date
            and customers.customer_id = metrics.customer_id
    inner join {{ ref('int_lifecycle_stages') }} as lifecycle_stages
        on
            customers.as_of_date = lifecycle_stages.as_of_date
            and customers.customer_id = lifecycle_stages.customer_id
    left join order_days
        on
            customers.as_of_date = order_days.as_of_date
            and customers.customer_id = order_days.customer_id
            and customers.is_current = order_days.is_current
    {%- if is_using('engagement_events') %}
    left join {{ ref('int_customer_engagement') }} as engagement
        on
            customers.as_of_date = engagement.as_of_date
            and customers.customer_id = engagement.customer_id
    {%- endif %}
    left join {{ ref('int_validation_outcomes') }} as outcomes
        on
            outcomes.horizon_code = 'horizon'
            and customers.as_of_date = outcomes.as_of_date
            and customers.customer_id = outcomes.customer_id

),

active as (

    select
        *,
        ({{ r }} + repeats)
        / (1 + age_days / {{ default_gap }})
            as order_rate,
        ({{ r }} + repeats) / ({{ alpha }} + age_gaps)
        / (
            1 + case
                when repeats > 0
                    then
                        {{ a }} / ({{ b }} + repeats - 1)
                        * exp(
                            least(
                                ({{ r }} + repeats)
                                * (ln({{ alpha }} + age_gaps) - ln({{ alpha }} + last_gaps)),
                                cast(600 as {{ double }})
                            )
                        )
                else 0
            end
        ) as activity_rate
    from measured

),

raw_features as (

    select
        as_of_date,
        customer_id,
        end_date,
        is_current,
        future_order_count,
        future_net_revenue,
        days_since_last_order,
        order_count,
        net_revenue,
        order_date_count,
        own_gap_days,
        order_days_90d,
        order_days_365d,
        cast(
            {{ var('retention_horizon_days') }} / cast(2 as {{ double }}) * (
                (order_days_90d - case when age_days <= 90 then 1 else 0 end)
                / cast(greatest(least(age_days, 90), 30) as {{ double }})
                + (order_days_365d - case when age_days <= 365 then 1 else 0 end)
                / cast(greatest(least(age_days, 365), 30) as {{ double }})
            ) as numeric(18, 6)
        ) as order_pace,
        {{ 'event_count_90d,' if is_using('engagement_events') else '' }}
        {% for feature, of_feature in features.items() %}
        cast({{ of_feature.expression }} as numeric(20, 9)) as {{ feature }}
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from active

)

select
    as_of_date,
    customer_id,
    case when not is_current then end_date end as end_date,
    cast(case when future_order_count > 0 then 1 else 0 end as {{ double }}) as y,
    cast(future_order_count as integer) as future_order_count,
    cast(future_net_revenue as {{ type_money() }}) as future_net_revenue,
    days_since_last_order,
    order_count,
    net_revenue,
    order_date_count,
    own_gap_days,
    cast(order_days_90d as integer) as order_days_90d,
    cast(order_days_365d as integer) as order_days_365d,
    order_pace,
    {{ 'cast(event_count_90d as integer)' if is_using('engagement_events')
        else 'cast(null as integer)' }} as event_count_90d,
    {% for feature in features %}
    cast({{ feature }} as {{ double }}) as {{ feature }},
    {% endfor %}
    {{ '' if is_using('engagement_events') else 'cast(null as ' ~ double ~ ') as ln_events_90d,' }}
    is_current
from raw_features
