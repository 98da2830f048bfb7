-- All that was accepted and dated before the current date is on the timeline, to the row and the
-- cent, and nothing else is.
with

current_dates as (

    select as_of_date
    from {{ ref('int_as_of_dates') }}
    where is_current

),

accepted as (

    select
        case when is_return then 'return' else 'purchase' end as activity_type,
        net_revenue as activity_value,
        sale_date as activity_date
    from {{ ref('stg_sales') }}
    union all
    select
        'event' as activity_type,
        event_value as activity_value,
        event_date as activity_date
    from {{ ref('stg_engagement_events') }}
    union all
    select
        'contact' as activity_type,
        -coalesce(contact_cost, 0) - coalesce(incentive_cost, 0) as activity_value,
        contact_date as activity_date
    from {{ ref('stg_campaign_contacts') }}

),

accepted_totals as (

    select
        accepted.activity_type,
        count(*) as row_count,
        coalesce(sum(accepted.activity_value), 0) as activity_value
    from accepted
    inner join current_dates
        on accepted.activity_date < current_dates.as_of_date
    group by accepted.activity_type

),

activity_totals as (

    select
        activity_type,
        count(*) as row_count,
        coalesce(sum(activity_value), 0) as activity_value
    from {{ ref('customer_activity') }}
    group by activity_type

)

select
    coalesce(accepted_totals.activity_type, activity_totals.activity_type) as activity_type,
    accepted_totals.row_count as accepted_row_count,
    activity_totals.row_count as activity_row_count,
    accepted_totals.activity_value as accepted_value,
    activity_totals.activity_value
from accepted_totals
full outer join activity_totals
    on accepted_totals.activity_type = activity_totals.activity_type
where
    coalesce(accepted_totals.row_count, 0) <> coalesce(activity_totals.row_count, 0)
    or coalesce(accepted_totals.activity_value, 0) <> coalesce(activity_totals.activity_value, 0)
