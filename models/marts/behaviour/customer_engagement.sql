-- Grain: one row per (customer_id, event_family) with an event before the current as-of date.
{{ config(
    indexes=[{'columns': ['customer_id', 'event_family'], 'unique': true}]
        if target.type == 'postgres' else []
) }}
select
    families.as_of_date,
    families.customer_id,
    families.event_family,
    families.days_since_last_event,
    families.days_since_last_engagement,
    families.event_count,
    families.event_count_30d,
    families.event_count_90d,
    families.event_trend,
    families.engagement_value,
    families.last_event_date
from {{ ref('int_customer_event_families') }} as families
inner join {{ ref('int_as_of_dates') }} as as_of_dates
    on families.as_of_date = as_of_dates.as_of_date
where as_of_dates.is_current
