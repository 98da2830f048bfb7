-- Nobody held out, of a suppressed segment, opted out, stopped, internal or contacted too often on
-- a list, nobody on two lists of a channel.
-- Looked up from the sources again. On a date before the last one logged, segments and contacts are
-- not judged: lists are not made for it.
{%- set window_starts = dbt.dateadd(
    'day', '-1 * members.contact_window_days', 'members.as_of_date'
) | trim %}
{%- set window_ends = dbt.dateadd(
    'day', var('retention_horizon_days') | int, 'assignments.assigned_on'
) | trim %}
with

last_logged as (

    select max(as_of_date) as as_of_date
    from {{ ref('audience_changes') }}

),

current_dates as (

    select
        as_of_dates.as_of_date,
        as_of_dates.as_of_date >= last_logged.as_of_date
        and as_of_dates.as_of_date <= {{ latest_plausible_as_of_date() }} as is_logged
    from {{ ref('int_as_of_dates') }} as as_of_dates
    cross join last_logged
    where as_of_dates.is_current

),

members as (

    select
        members.audience_code,
        members.customer_id,
        members.channel,
        members.segment_key,
        definitions.needs_consent,
        definitions.max_contacts,
        definitions.contact_window_days,
        current_dates.as_of_date,
        current_dates.is_logged,
        customers.is_internal,
        case members.channel
            when 'email' then customers.email_consent
            when 'sms' then customers.sms_consent
            when 'ads' then customers.ads_consent
        end as channel_consent
    from {{ ref('audience_members') }} as members
    cross join current_dates
    left join {{ ref('policy_audiences') }} as definitions
        on
            current_dates.is_logged
            and members.audience_code = definitions.audience_code
            and {{ is_live_audience('definitions', 'current_dates.as_of_date') }}
    left join {{ ref('stg_customers') }} as customers
        on members.customer_id = customers.customer_id

),

wrong as (

    select
        members.audience_code,
        members.customer_id,
        'segment' as what_is_wrong
    from members
    left join {{ ref('customer_segments') }} as customers
        on members.customer_id = customers.customer_id
    inner join {{ ref('policy_strategies') }} as strategies
        on
            members.segment_key = strategies.segment_key
            or customers.segment_key = strategies.segment_key
    where strategies.is_suppressed and members.is_logged
    union all
    select
        audience_code,
        customer_id,
        'internal or without consent' as what_is_wrong
    from members
    where
        is_internal
        or not channel_consent
        or (needs_consent and channel_consent is null)
    union all
    select
        members.audience_code,
        members.customer_id,
        'on two lists of a channel' as what_is_wrong
    from members
    inner join members as other_members
        on
            members.customer_id = other_members.customer_id
            and members.channel = other_members.channel
            and members.audience_code <> other_members.audience_code
    union all
    select
        members.audience_code,
        members.customer_id,
        'contacted too often' as what_is_wrong
    from members
    inner join {{ ref('stg_campaign_contacts') }} as contacts
        on
            members.customer_id = contacts.customer_id
            and contacts.contact_date >= {{ window_starts }}
    group by members.audience_code, members.customer_id, members.max_contacts
    having count(*) >= members.max_contacts
    union all
    select
        members.audience_code,
        members.customer_id,
        'held out' as what_is_wrong
    from members
    inner join {{ ref('holdout_assignments') }} as assignments
        on members.customer_id = assignments.customer_id
    inner join {{ ref('policy_holdouts') }} as experiments
        on assignments.experiment_code = experiments.experiment_code
    where
        assignments.is_control
        and members.is_logged
        and (
            experiments.valid_to is null
            or experiments.valid_to >= members.as_of_date
            or {{ window_ends }} > members.as_of_date
        )
    union all
    -- The last event that stops the channel is not followed by one that allows it again.
    select
        members.audience_code,
        members.customer_id,
        'stopped by an event' as what_is_wrong
    from members
    inner join {{ ref('stg_engagement_events') }} as events
        on members.customer_id = events.customer_id
    inner join {{ ref('policy_event_types') }} as event_types
        on events.event_type = event_types.event_type
    group by members.audience_code, members.customer_id, members.channel
    having
        max(
            case
                when event_types.channel_effect = 'stop_all' then events.event_date
                when event_types.channel_effect = {{ dbt.concat(["'stop_'", 'members.channel']) }}
                    then events.event_date
            end
        ) >= coalesce(
            max(
                case
                    when
                        event_types.channel_effect = {{ dbt.concat([
                            "'allow_'", 'members.channel'
                        ]) }}
                        then events.event_date
                end
            ),
            {{ date_literal('0001-01-01') }}
        )

)

select
    audience_code,
    customer_id,
    what_is_wrong
from wrong
