-- Grain: one row per (as_of_date, horizon_code, cluster_id, scores, lifecycle_stage): scored
-- customers of a finished date and what they did within the window, added up.
-- Errors over several dates are clustered by customer, since the same customers stand in
-- overlapping windows. A cluster is a customer; with more than 20,000 customers one of 4,096 groups
-- of customers by hash, which gives the same errors to about one per cent and does not grow with
-- the base.
{%- set has_engagement = is_using('engagement_events') %}
with

windows as (

    select
        as_of_date,
        horizon_code
    from {{ ref('int_validation_windows') }}

),

scored_dates as (

    select distinct as_of_date from windows

),

scores as (

    select
        scores.as_of_date,
        scores.customer_id,
        scores.recency_score,
        scores.frequency_score,
        scores.monetary_score,
        scores.rfm_score
    from {{ ref('int_rfm_scores') }} as scores
    inner join scored_dates
        on scores.as_of_date = scored_dates.as_of_date

),

customers as (

    select distinct customer_id from scores

),

clusters as (

    select
        customer_id,
        case
            when count(*) over () > {{ most_single_clusters() }}
                then substring({{ dbt.hash('customer_id') }}, 1, {{ cluster_hash_digits() }})
            else customer_id
        end as cluster_id
    from customers

),

-- Revenue 0 for whoever did nothing: below those who bought, above those who only returned.
inactive as (

    select
        as_of_date,
        horizon_code,
        count(*) as active_count,
        sum(case when net_revenue < 0 then 1 else 0 end) as negative_count,
        sum(case when net_revenue = 0 then 1 else 0 end) as zero_count
    from {{ ref('int_validation_outcomes') }}
    group by as_of_date, horizon_code

),

date_counts as (

    select
        as_of_date,
        count(*) as customer_count
    from scores
    group by as_of_date

),

inactive_ranks as (

    select
        windows.as_of_date,
        windows.horizon_code,
        -- The mean of the ranks that the tied ones take.
        coalesce(inactive.negative_count, 0) + (
            date_counts.customer_count - coalesce(inactive.active_count, 0)
            + coalesce(inactive.zero_count, 0) + 1
        ) / cast(2 as {{ type_double() }}) as revenue_rank
    from windows
    inner join date_counts
        on windows.as_of_date = date_counts.as_of_date
    left join inactive
        on
            windows.as_of_date = inactive.as_of_date
            and windows.horizon_code = inactive.horizon_code

),

joined as (

    select
        scores.as_of_date,
        inactive_ranks.horizon_code,
        clusters.cluster_id,
        scores.recency_score,
        scores.frequency_score,
        scores.monetary_score,
        scores.rfm_score,
        lifecycle_stages.lifecycle_stage,
        {% if has_engagement -%}
        engagement.engagement_score,
        {%- else -%}
        cast(null as integer) as engagement_score,
        {%- endif %}
        case when outcomes.order_count > 0 then 1 else 0 end as is_retained,
        coalesce(outcomes.order_count, 0) as order_count,
        coalesce(outcomes.net_revenue, 0) as net_revenue,
        coalesce(
            outcomes.lower_count + (outcomes.equal_count + 1) / cast(2 as {{ type_double() }}),
            inactive_ranks.revenue_rank
        ) as revenue_rank
    from scores
    inner join clusters
        on scores.customer_id = clusters.customer_id
    inner join inactive_ranks
        on scores.as_of_date = inactive_ranks.as_of_date
    inner join {{ ref('int_lifecycle_stages') }} as lifecycle_stages
        on
            scores.as_of_date = lifecycle_stages.as_of_date
            and scores.customer_id = lifecycle_stages.customer_id
    {%- if has_engagement %}
    left join {{ ref('int_customer_engagement') }} as engagement
        on
            scores.as_of_date = engagement.as_of_date
            and scores.customer_id = engagement.customer_id
    {%- endif %}
    left join {{ ref('int_validation_outcomes') }} as outcomes
        on
            scores.as_of_date = outcomes.as_of_date
            and scores.customer_id = outcomes.customer_id
            and inactive_ranks.horizon_code = outcomes.horizon_code

)

select
    as_of_date,
    horizon_code,
    cluster_id,
    recency_score,
    frequency_score,
    monetary_score,
    rfm_score,
    lifecycle_stage,
    engagement_score,
    count(*) as customer_count,
    sum(is_retained) as retained_count,
    sum(order_count) as order_count,
    cast(sum(net_revenue) as {{ type_money_total() }}) as net_revenue,
    -- Halves, so exact as decimals.
    cast(sum(cast(revenue_rank as numeric(20, 1))) as numeric(28, 1)) as revenue_rank_sum,
    cast(
        sum(cast(revenue_rank as numeric(20, 1)) * cast(revenue_rank as numeric(20, 1)))
        as numeric(38, 2)
    ) as revenue_rank_square_sum
from joined
group by
    as_of_date,
    horizon_code,
    cluster_id,
    recency_score,
    frequency_score,
    monetary_score,
    rfm_score,
    lifecycle_stage,
    engagement_score
