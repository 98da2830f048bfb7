-- Grain: one row per cluster of the number that discovered_segment_choices takes: who they are.
-- Named by how recent its customers are and what they are worth (frequency and monetary value
-- together), each against all customers in standard deviations of the logarithms, and the value of
-- equally recent clusters against each other. Clusters with the same name (more than three that are
-- equally recent) are one segment of the scheme `discovered`.
{{ config(
    indexes=[
        {'columns': ['cluster_number'], 'unique': true},
    ] if target.type == 'postgres' else []
) }}
{%- set double = type_double() %}
{%- set mean_revenue = money_per('measured.net_revenue', 'measured.customer_count') %}
with

profiles as (

    select * from {{ ref('int_discovered_profiles') }}

),

customers as (

    select
        cells.cluster_number,
        metrics.as_of_date,
        metrics.days_since_last_order,
        metrics.order_count,
        metrics.net_revenue
    from {{ ref('int_rfm_scores') }} as scores
    inner join {{ ref('int_customer_metrics') }} as metrics
        on
            scores.as_of_date = metrics.as_of_date
            and scores.customer_id = metrics.customer_id
    inner join {{ ref('int_discovered_cells') }} as cells
        on
            scores.recency_score = cells.recency_score
            and scores.frequency_score = cells.frequency_score
            and scores.monetary_score = cells.monetary_score
    where scores.{{ at_current_date() }}

),

measured as (

    select
        cluster_number,
        max(as_of_date) as as_of_date,
        count(*) as customer_count,
        cast(sum(days_since_last_order) as {{ double }}) / count(*) as mean_days,
        cast(sum(order_count) as {{ double }}) / count(*) as mean_orders,
        sum(net_revenue) as net_revenue
    from customers
    group by cluster_number

),

totals as (

    select cast(sum(customer_count) as {{ double }}) as total_count
    from measured

)

select
    measured.as_of_date,
    profiles.cluster_number,
    profiles.segment_code,
    {{ dbt.concat([
        "'Last order '", number_text('floor(measured.mean_days + 0.5)'), "' days ago, '",
        ratio_text('measured.mean_orders', 1), "' orders, '",
        number_text('floor(' ~ mean_revenue ~ ' + 0.5)'), "' of revenue on average'",
    ]) }} as profile,
    cast(measured.customer_count as integer) as customer_count,
    measured.customer_count / totals.total_count as customer_share,
    measured.mean_days as days_since_last_order_mean,
    measured.mean_orders as order_count_mean,
    {{ mean_revenue }} as net_revenue_mean,
    cast(measured.net_revenue as {{ type_money_total() }}) as net_revenue,
    profiles.recency as recency_centre,
    profiles.frequency as frequency_centre,
    profiles.monetary as monetary_centre
from profiles
inner join measured
    on profiles.cluster_number = measured.cluster_number
cross join totals
