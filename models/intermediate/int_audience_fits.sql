-- Grain: one row per (audience_code, customer_id): a customer who fits an audience at the current
-- date, and why not contacted, where so, holdouts aside (suppression_reason null = would be a
-- member). Experiments assign customers from here, before anybody is held out.
-- Of several reasons the first in the order below is named, so that the reasons add up. Who fits
-- several audiences of a channel is in the one with the smallest priority, among those that may
-- contact the customer at all.
{%- set trigger_ends = dbt.dateadd(
    'day', 'definitions.trigger_days', 'triggers.trigger_date'
) | trim %}
{%- set window_starts = dbt.dateadd(
    'day', '-1 * fitting.contact_window_days', 'fitting.as_of_date'
) | trim %}
with

customers as (

    select
        segments.as_of_date,
        segments.customer_id,
        segments.published_segment_key as segment_key,
        segments.segment_key as actual_segment_key,
        policy_segments.segment_code,
        segments.lifecycle_stage,
        segments.last_order_date,
        flags.flag_list
    from {{ ref('customer_segments') }} as segments
    inner join {{ ref('policy_segments') }} as policy_segments
        on segments.published_segment_key = policy_segments.segment_key
    inner join {{ ref('int_customer_flags') }} as flags
        on segments.customer_id = flags.customer_id
    where flags.{{ at_current_date() }}

),

current_dates as (

    select as_of_date
    from {{ ref('int_as_of_dates') }}
    where is_current

),

definitions as (

    select definitions.*
    from {{ ref('policy_audiences') }} as definitions
    cross join current_dates
    where {{ is_live_audience('definitions', 'current_dates.as_of_date') }}

),

affinities as (

    select
        customer_id,
        {{ lower_text('item') }} as category,
        max(affinity_index) as affinity_index
    from {{ ref('customer_category_affinity') }}
    where affinity_type = 'category'
    group by customer_id, {{ lower_text('item') }}

),

triggers as (

    select
        customer_id,
        trigger_code,
        max(as_of_date) as trigger_date
    from {{ ref('retention_triggers') }}
    group by customer_id, trigger_code

),

fitting as (

    select
        customers.as_of_date,
        definitions.audience_code,
        customers.customer_id,
        definitions.channel,
        definitions.needs_consent,
        definitions.priority,
        definitions.max_contacts,
        definitions.contact_window_days,
        definitions.expires_after_days,
        customers.segment_key,
        customers.actual_segment_key,
        customers.last_order_date,
        triggers.trigger_date
    from definitions
    inner join customers
        on
            (definitions.segment_code is null or definitions.segment_code = customers.segment_code)
            and (
                definitions.lifecycle_stage is null
                or definitions.lifecycle_stage = customers.lifecycle_stage
            )
            and (
                definitions.flag is null
                or {{ has_flag('customers.flag_list', 'definitions.flag') }}
            )
    left join affinities
        on
            customers.customer_id = affinities.customer_id
            and definitions.category = affinities.category
    left join triggers
        on
            customers.customer_id = triggers.customer_id
            and definitions.trigger_code = triggers.trigger_code
    where
        (definitions.category is null or affinities.customer_id is not null)
        and (
            definitions.affinity_index_min is null
            or affinities.affinity_index >= definitions.affinity_index_min
        )
        and (
            definitions.trigger_code is null
            or customers.as_of_date < {{ trigger_ends }}
        )

),

-- Who was contacted after the last sale is left alone too: all contacts count, whatever the as-of
-- date.
contact_days as (

    select
        contacts.customer_id,
        contacts.contact_date,
        count(*) as contact_count
    from {{ ref('stg_campaign_contacts') }} as contacts
    group by contacts.customer_id, contacts.contact_date

),

recent_contacts as (

    select
        fitting.audience_code,
        fitting.customer_id,
        sum(contact_days.contact_count) as contact_count
    from fitting
    inner join contact_days
        on
            fitting.customer_id = contact_days.customer_id
            and contact_days.contact_date >= {{ window_starts }}
    where fitting.max_contacts is not null
    group by fitting.audience_code, fitting.customer_id

),

strategies as (

    select
        segment_key,
        strategy_code,
        incentive_type,
        incentive_depth_pct,
        is_suppressed
    from {{ ref('policy_strategies') }}

),

known as (

    select
        fitting.*,
        strategies.strategy_code,
        strategies.incentive_type,
        strategies.incentive_depth_pct,
        strategies.is_suppressed or actual_strategies.is_suppressed as is_suppressed,
        reach.email_sha256,
        reach.phone_sha256,
        reach.email_consent,
        reach.sms_consent,
        reach.ads_consent,
        coalesce(reach.is_internal, false) as is_internal,
        coalesce(reach.stopped_channels, '|') as stopped_channels,
        coalesce(recent_contacts.contact_count, 0) as recent_contact_count,
        {{ contact_block_reason('reach', 'fitting.channel', 'fitting.needs_consent') }}
            as block_reason,
        {{ has_address('reach', ['email']) }} as has_email,
        {{ has_address('reach', ['phone']) }} as has_phone,
        {{ has_address('reach', ['email', 'phone']) }} as has_email_or_phone
    from fitting
    inner join strategies
        on fitting.segment_key = strategies.segment_key
    inner join strategies as actual_strategies
        on fitting.actual_segment_key = actual_strategies.segment_key
    left join {{ ref('int_customer_reach') }} as reach
        on fitting.customer_id = reach.customer_id
    left join recent_contacts
        on
            fitting.audience_code = recent_contacts.audience_code
            and fitting.customer_id = recent_contacts.customer_id

),

judged as (

    select
        *,
        case
            when is_internal then block_reason
            when is_suppressed then 'suppressed_segment'
            when block_reason is not null then block_reason
            when last_order_date >= trigger_date then 'bought_since_trigger'
            when recent_contact_count >= max_contacts then 'contacted_too_recently'
        end as own_reason
    from known

),

placed as (

    select
        *,
        row_number() over (
            partition by customer_id, channel, case when own_reason is null then 1 else 0 end
            order by priority, audience_code
        ) as place
    from judged

)

select
    as_of_date,
    audience_code,
    customer_id,
    channel,
    segment_key,
    strategy_code,
    incentive_type,
    incentive_depth_pct,
    email_sha256,
    phone_sha256,
    email_consent,
    sms_consent,
    ads_consent,
    not is_internal
    and coalesce(email_consent, false)
    and has_email
    and not {{ has_flag('stopped_channels', "'email'") }} as is_reachable_by_email,
    not is_internal
    and coalesce(sms_consent, false)
    and has_phone
    and not {{ has_flag('stopped_channels', "'sms'") }} as is_reachable_by_sms,
    not is_internal
    and has_phone
    and not {{ has_flag('stopped_channels', "'phone'") }} as is_reachable_by_phone,
    not is_internal
    and coalesce(ads_consent, false)
    and has_email_or_phone
    and not {{ has_flag('stopped_channels', "'ads'") }} as is_reachable_by_ads,
    not is_internal
    and not {{ has_flag('stopped_channels', "'push'") }} as is_reachable_by_push,
    not is_internal
    and not {{ has_flag('stopped_channels', "'direct_mail'") }} as is_reachable_by_direct_mail,
    not is_internal
    and not {{ has_flag('stopped_channels', "'onsite'") }} as is_reachable_by_onsite,
    expires_after_days,
    trigger_date,
    case
        when own_reason is not null then own_reason
        when place > 1 then 'in_another_audience'
    end as suppression_reason
from placed
