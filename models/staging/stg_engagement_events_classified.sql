-- Grain: one row per row of the engagement events source, with the reason why it cannot be used
-- (null = accepted).
-- A type that engagement_event_types.csv does not list is no reason: such events are kept, in the
-- family `unmapped`.
-- A table, since event days, the timeline and the warnings all read it (see stg_sales_classified).
{{ config(
    materialized='table',
    pre_hook="{{ refuse_bad_policy() }}",
    post_hook="{{ analyze_table() }}"
) }}
{%- set earliest = date_literal('1900-01-01') %}
{%- set latest = date_literal(latest_plausible_date()) %}
with

events as (

    select
        *,
        coalesce(
            event_id is not null
            and customer_id is not null
            and event_type is not null
            and event_at >= {{ earliest }}
            and event_at <= {{ latest }}
            and (
                event_value is not null
                or nullif({{ clean_text('event_value_text') }}, '') is null
            ),
            false
        ) as is_readable
    from {{ ref('base_engagement_events') }}

),

numbered_events as (

    select
        row_number() over (
            partition by case when is_readable then event_id end
            order by
                event_at asc,
                customer_id asc,
                event_type asc
                {%- for column in columns_that_differ('engagement_events', [
                    'channel', 'event_value', 'loaded_at', 'event_at_text', 'event_value_text',
                ]) %},
                {{ column }} asc nulls last
                {%- endfor %}
        ) as occurrence,
        *
    from events

),

judged_events as (

    select
        *,
        is_readable and occurrence = 1 as is_accepted
    from numbered_events

)

select
    event_id,
    customer_id,
    {{ lower_text('event_type') }} as event_type,
    channel,
    event_value,
    event_at as event_date,
    loaded_at,
    case when not is_accepted then event_at_text end as event_at_text,
    case when not is_accepted then event_value_text end as event_value_text,
    case
        when is_accepted then cast(null as {{ dbt.type_string() }})
        when is_readable then 'repeated_event_id'
        when event_id is null then 'missing_event_id'
        when customer_id is null then 'missing_customer_id'
        when event_type is null then 'missing_event_type'
        when nullif({{ clean_text('event_at_text') }}, '') is null then 'missing_event_at'
        when event_at is null then 'unparsable_event_at'
        when event_at < {{ earliest }} or event_at > {{ latest }} then 'implausible_event_at'
        else 'unusable_event_value'
    end as rejection_reason
from judged_events
