-- A person's time goes to segments whose median customer is worth at least high_touch_value_ratio
-- times the median scored customer. Scores within groups compare a customer with the own group
-- only, so then it is a warning.
{{ config(severity='error' if var('score_group') is none else 'warn') }}
with

base as (

    select percentile_cont(0.5) within group (order by net_revenue) as net_revenue_median
    from {{ ref('customer_segments') }}
    where is_scored

)

select
    segment_summary.segment_key,
    segment_summary.customer_count,
    segment_summary.net_revenue_median,
    base.net_revenue_median as base_net_revenue_median
from {{ ref('segment_summary') }} as segment_summary
inner join {{ ref('segment_strategies') }} as segment_strategies
    on segment_summary.segment_key = segment_strategies.segment_key
cross join base
where
    segment_strategies.is_high_touch
    and segment_summary.net_revenue_median
    < {{ var('high_touch_value_ratio') }} * base.net_revenue_median
