-- No suppressed segment, opted-out, stopped or internal customer on a list, and one list a channel.
-- Looked up from the sources again. A list of an earlier date than the last one logged is not
-- written, so it is not judged.
with

members as (

    select
        members.audience_code,
        members.customer_id,
        members.channel,
        members.segment_key,
        members.email_consent,
        members.sms_consent,
        members.ads_consent
    from {{ ref('audience_members') }} as members

),

current_dates as (

    select as_of_date
    from {{ ref('int_as_of_dates') }}
    where is_current

),

last_logged as (

    select max(as_of_date) as as_of_date
    from {{ ref('audience_changes') }}

)

select
    members.audience_code,
    members.customer_id,
    members.channel,
    other_members.audience_code as other_audience_code
from members
cross join current_dates
cross join last_logged
inner join {{ ref('policy_strategies') }} as strategies
    on members.segment_key = strategies.segment_key
inner join {{ ref('policy_audiences') }} as definitions
    on
        members.audience_code = definitions.audience_code
        and {{ is_live_audience('definitions', 'current_dates.as_of_date') }}
left join {{ ref('stg_customers') }} as customers
    on members.customer_id = customers.customer_id
left join members as other_members
    on
        members.customer_id = other_members.customer_id
        and members.channel = other_members.channel
        and members.audience_code <> other_members.audience_code
where
    last_logged.as_of_date <= current_dates.as_of_date
    and (
        strategies.is_suppressed
        or customers.is_internal
        or (members.channel = 'email' and not members.email_consent)
        or (members.channel = 'sms' and not members.sms_consent)
        or (members.channel = 'ads' and not members.ads_consent)
        or (
            definitions.needs_consent
            and case members.channel
                when 'email' then members.email_consent
                when 'sms' then members.sms_consent
                when 'ads' then members.ads_consent
            end is null
        )
        or other_members.customer_id is not null
    )
