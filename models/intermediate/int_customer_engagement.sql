-- Grain: one row per (as_of_date, customer_id), every known customer; no rows when the var
-- using_engagement_events is false.
-- Known customers without an event count with 0: to be silent is the lowest engagement. The score
-- is NTILE in closed form over the histogram, as in int_score_tiles, over all customers known at
-- the date.
{{ config(**sliced()) }}
{%- set tiles = var('score_tiles') | int %}
{%- set is_split = var('tie_method') == 'split' %}
with

event_totals as (

    select
        as_of_date,
        customer_id,
        min(days_since_last_event) as days_since_last_event,
        min(days_since_last_engagement) as days_since_last_engagement,
        sum(event_count) as event_count,
        sum(event_count_30d) as event_count_30d,
        sum(event_count_90d) as event_count_90d,
        sum(engagement_value) as engagement_value,
        max(last_event_date) as last_event_date
    from {{ ref('int_customer_event_families') }}
    {{ only_due('as_of_date') }}
    group by as_of_date, customer_id

),

customers as (

    select
        metrics.as_of_date,
        metrics.customer_id,
        event_totals.days_since_last_event,
        event_totals.days_since_last_engagement,
        event_totals.last_event_date,
        cast(coalesce(event_totals.event_count, 0) as integer) as event_count,
        cast(coalesce(event_totals.event_count_30d, 0) as integer) as event_count_30d,
        cast(coalesce(event_totals.event_count_90d, 0) as integer) as event_count_90d,
        {% if is_split %}
        row_number() over (
            partition by metrics.as_of_date, coalesce(event_totals.engagement_value, 0)
            order by {{ bytewise('metrics.customer_id') }}
        ) as place_in_tie,
        {% endif %}
        cast(
            coalesce(event_totals.engagement_value, 0) as {{ type_weight() }}
        ) as engagement_value
    from {{ ref('int_customer_metrics') }} as metrics
    left join event_totals
        on
            metrics.as_of_date = event_totals.as_of_date
            and metrics.customer_id = event_totals.customer_id
    where {{ is_using('engagement_events') | lower }} {{ only_due('metrics.as_of_date', 'and') }}

),

histogram as (

    select
        as_of_date,
        engagement_value,
        count(*) as customer_count
    from customers
    group by as_of_date, engagement_value

),

placed as (

    select
        as_of_date,
        engagement_value,
        cast(
            sum(customer_count) over (
                partition by as_of_date order by engagement_value
                rows between unbounded preceding and current row
            ) as bigint
        ) - customer_count as rows_before,
        cast(sum(customer_count) over (partition by as_of_date) as bigint) as row_count
    from histogram

)

select
    customers.as_of_date,
    customers.customer_id,
    customers.days_since_last_event,
    customers.days_since_last_engagement,
    customers.event_count,
    customers.event_count_30d,
    customers.event_count_90d,
    {{ event_trend('customers.event_count_30d', 'customers.event_count_90d') }} as event_trend,
    customers.engagement_value,
    {{ tile_of_position(
        '(placed.rows_before + customers.place_in_tie - 1)' if is_split else 'placed.rows_before',
        'placed.row_count', tiles
    ) }} as engagement_score,
    customers.last_event_date
from customers
inner join placed
    on
        customers.as_of_date = placed.as_of_date
        and customers.engagement_value = placed.engagement_value
