-- Grain: one row per (as_of_date, customer_id), every customer known at that date.
-- `is_scored` = at least one order in the window; the others are prospects (never ordered) or
-- dormant. The `scored_*` columns are what recency, frequency and monetary are scored on: orders,
-- or with the var rfm_basis activity orders and weighted events.
{{ config(**sliced()) }}
{%- set lookback_days = var('lookback_days') %}
{%- set in_window = '{}' if lookback_days is none
    else 'case when is_in_window then {} else 0 end' %}
{%- set sale_age = dbt.datediff('orders.sale_date', 'as_of_dates.as_of_date', 'day') | trim %}
{%- set days_since_last_order = dbt.datediff(
    'known_customers.last_order_date', 'known_customers.as_of_date', 'day'
) | trim %}
{%- set uses_events = is_using('engagement_events') %}
{%- set is_activity = var('rfm_basis') == 'activity' %}
{%- set event_age = dbt.datediff('event_days.event_date', 'as_of_dates.as_of_date', 'day') | trim %}
{%- set activity_in_window = '{}' if lookback_days is none
    else 'case when ' ~ event_age ~ ' <= ' ~ lookback_days ~ ' then {} else 0 end' %}
{%- set days_since_last_activity = dbt.datediff(
    'activity.last_activity_date', 'known_customers.as_of_date', 'day'
) | trim %}
with

as_of_dates as (

    {{ due_dates() }}

),

orders as (

    select
        as_of_dates.as_of_date,
        orders.customer_id,
        orders.order_count,
        orders.return_amount,
        orders.net_revenue,
        {% if lookback_days is not none %}
        {{ sale_age }} <= {{ lookback_days }} as is_in_window,
        {% endif %}
        orders.sale_date
    from {{ ref('int_orders') }} as orders
    inner join as_of_dates
        on orders.sale_date < as_of_dates.as_of_date

),

customers_with_sales as (

    select
        as_of_date,
        customer_id,
        min(case when order_count > 0 then sale_date end) as first_order_date,
        max(case when order_count > 0 then sale_date end) as last_order_date,
        sum({{ in_window.format('order_count') }}) as order_count,
        sum({{ in_window.format('return_amount') }}) as return_amount,
        sum({{ in_window.format('net_revenue') }}) as net_revenue
    from orders
    group by as_of_date, customer_id

),
{%- if uses_events %}

first_events as (

    select
        customer_id,
        min(event_date) as first_event_date
    from {{ ref('int_event_days') }}
    group by customer_id

),
{%- endif %}

known_elsewhere as (

    select
        as_of_dates.as_of_date,
        customers.customer_id,
        case when customers.created_date is null then 0 else 1 end as is_dated
    from as_of_dates
    inner join {{ ref('stg_customers') }} as customers
        on
            as_of_dates.as_of_date > customers.created_date
            or (customers.created_date is null and as_of_dates.is_current)
    {%- if uses_events %}
    union all
    select
        as_of_dates.as_of_date,
        first_events.customer_id,
        1 as is_dated
    from as_of_dates
    inner join first_events
        on as_of_dates.as_of_date > first_events.first_event_date
    {%- endif %}

),

known_without_sales as (

    select
        known_elsewhere.as_of_date,
        known_elsewhere.customer_id,
        max(known_elsewhere.is_dated) as is_dated
    from known_elsewhere
    left join customers_with_sales
        on
            known_elsewhere.as_of_date = customers_with_sales.as_of_date
            and known_elsewhere.customer_id = customers_with_sales.customer_id
    where customers_with_sales.customer_id is null
    group by known_elsewhere.as_of_date, known_elsewhere.customer_id

),
{%- if is_activity %}

-- What only we did (contacts) and what weighs nothing is not scored.
activity as (

    select
        as_of_dates.as_of_date,
        event_days.customer_id,
        max(event_days.event_date) as last_activity_date,
        sum({{ activity_in_window.format('event_days.event_weight') }}) as activity_weight,
        sum({{ activity_in_window.format('event_days.weighted_value') }}) as activity_value
    from {{ ref('int_event_days') }} as event_days
    inner join as_of_dates
        on event_days.event_date < as_of_dates.as_of_date
    where event_days.event_weight > 0
    group by as_of_dates.as_of_date, event_days.customer_id

),
{%- endif %}

known_customers as (

    select
        as_of_date,
        customer_id,
        first_order_date,
        last_order_date,
        order_count,
        return_amount,
        net_revenue,
        1 as is_dated
    from customers_with_sales
    union all
    select
        as_of_date,
        customer_id,
        cast(null as date) as first_order_date,
        cast(null as date) as last_order_date,
        0 as order_count,
        0 as return_amount,
        0 as net_revenue,
        is_dated
    from known_without_sales

)

select
    known_customers.as_of_date,
    known_customers.customer_id,
    coalesce(score_groups.score_group, '{{ whole_base() }}') as score_group,
    cast({{ days_since_last_order }} as integer) as days_since_last_order,
    cast(known_customers.order_count as integer) as order_count,
    cast(
        known_customers.net_revenue + known_customers.return_amount as {{ type_money() }}
    ) as sales_amount,
    cast(known_customers.return_amount as {{ type_money() }}) as return_amount,
    cast(known_customers.net_revenue as {{ type_money() }}) as net_revenue,
    {% if is_activity -%}
    cast(
        least({{ days_since_last_order }}, {{ days_since_last_activity }}) as integer
    ) as scored_recency_days,
    cast(
        known_customers.order_count + coalesce(activity.activity_weight, 0) as {{ type_money() }}
    ) as scored_frequency,
    cast(
        known_customers.net_revenue + coalesce(activity.activity_value, 0) as {{ type_money() }}
    ) as scored_value,
    {%- else -%}
    cast({{ days_since_last_order }} as integer) as scored_recency_days,
    cast(known_customers.order_count as {{ type_money() }}) as scored_frequency,
    cast(known_customers.net_revenue as {{ type_money() }}) as scored_value,
    {%- endif %}
    known_customers.order_count > 0 as is_scored,
    known_customers.is_dated = 1 as is_known_by_date,
    known_customers.first_order_date,
    known_customers.last_order_date
from known_customers
left join {{ ref('int_customer_score_groups') }} as score_groups
    on
        known_customers.as_of_date = score_groups.as_of_date
        and known_customers.customer_id = score_groups.customer_id
{%- if is_activity %}
left join activity
    on
        known_customers.as_of_date = activity.as_of_date
        and known_customers.customer_id = activity.customer_id
{%- endif %}
