-- All that was sold and returned before the current date (and inside the window) is in exactly one
-- customer's metrics.
{%- set lookback_days = var('lookback_days') %}
{%- set window_start = dbt.dateadd(
    'day', -1 * (lookback_days or 0), 'current_dates.as_of_date'
) | trim %}
with

current_dates as (

    select as_of_date
    from {{ ref('int_as_of_dates') }}
    where is_current

),

sales_totals as (

    select coalesce(sum(sales.net_revenue), 0) as net_revenue
    from {{ ref('stg_sales') }} as sales
    inner join current_dates
        on sales.sale_date < current_dates.as_of_date
    {% if lookback_days is not none %}
    where sales.sale_date >= cast({{ window_start }} as date)
    {% endif %}

),

customer_totals as (

    select coalesce(sum(metrics.net_revenue), 0) as net_revenue
    from {{ ref('int_customer_metrics') }} as metrics
    inner join current_dates
        on metrics.as_of_date = current_dates.as_of_date

)

select
    sales_totals.net_revenue as sales_net_revenue,
    customer_totals.net_revenue as customer_net_revenue
from sales_totals
cross join customer_totals
where sales_totals.net_revenue <> customer_totals.net_revenue
