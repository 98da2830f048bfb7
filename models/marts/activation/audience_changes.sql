-- Grain: one row per (audience_code, customer_id, change_number): a customer added to an audience,
-- removed from it, or whose sent values changed.
-- A log: written once and never refreshed. Folding it (the last row of each audience and customer,
-- without removes) gives the members, and this is how the next run knows whom to add.
-- A run for a date before the last one logged, or for one that cannot be yet, moves nobody by the
-- rules: it only takes off who must not be contacted any more, and writes new addresses and
-- consents down, under the last date logged.
-- `changed_at` is the as-of date, a second later for every further run that changed something on
-- it: later changes always carry a later time, and no clock is read.
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    full_refresh=false,
    on_schema_change='fail',
    pre_hook='{{ wait_for_other_runs() }}',
    indexes=[
        {'columns': ['change_key'], 'unique': true},
        {'columns': ['audience_code', 'customer_id']},
    ] if target.type == 'postgres' else []
) }}
{%- set days_in = dbt.datediff('now_in.entered_date', 'now_in.as_of_date', 'day') | trim %}
{%- set expiry_days = '(cast(floor(' ~ days_in ~ ' / now_in.expires_after_days) as integer) + 1)'
    ~ ' * now_in.expires_after_days' %}
with

current_dates as (

    select as_of_date
    from {{ ref('int_as_of_dates') }}
    where is_current

),

logged as (

    {% if is_incremental() -%}
    select
        audience_code,
        customer_id,
        change_type,
        change_number,
        channel,
        segment_key,
        strategy_code,
        incentive_type,
        incentive_depth_pct,
        row_hash,
        as_of_date,
        entered_at,
        expires_on
    from {{ this }}
    {%- else -%}
    select
        audience_code,
        customer_id,
        cast(null as {{ dbt.type_string() }}) as change_type,
        cast(null as integer) as change_number,
        channel,
        segment_key,
        strategy_code,
        incentive_type,
        incentive_depth_pct,
        cast(null as {{ dbt.type_string() }}) as row_hash,
        as_of_date,
        cast(null as timestamp) as entered_at,
        cast(null as date) as expires_on
    from {{ ref('int_audience_candidates') }}
    where 1 = 0
    {%- endif %}

),

ranked_log as (

    select
        *,
        row_number() over (
            partition by audience_code, customer_id
            order by change_number desc
        ) as age
    from logged

),

members_before as (

    select * from ranked_log
    where age = 1 and change_type <> 'remove'

),

-- A run for a date before the last one with assignments assigns nobody, so no list grows for it.
last_assignments as (

    select max(assigned_on) as assigned_on
    from {{ ref('holdout_assignments') }}

),

dates as (

    select
        current_dates.as_of_date,
        max(logged.as_of_date) as last_logged_date,
        coalesce(max(logged.change_number), 0) + 1 as change_number
    from current_dates
    left join logged
        on logged.change_number is not null
    group by current_dates.as_of_date

),

judged_dates as (

    select
        dates.*,
        coalesce(dates.as_of_date < dates.last_logged_date, false)
        or coalesce(dates.as_of_date < last_assignments.assigned_on, false)
        or dates.as_of_date > {{ latest_plausible_as_of_date() }} as is_frozen
    from dates
    cross join last_assignments

),

runs as (

    select
        case when is_frozen then last_logged_date else as_of_date end as as_of_date,
        change_number,
        is_frozen
    from judged_dates

),

timed_runs as (

    select
        runs.as_of_date,
        runs.change_number,
        runs.is_frozen,
        cast(
            {{ dbt.dateadd(
                'second', 'cast(count(distinct logged.change_number) as integer)',
                'cast(runs.as_of_date as timestamp)'
            ) }}
            as timestamp
        ) as changed_at
    from runs
    left join logged
        on runs.as_of_date = logged.as_of_date
    group by runs.as_of_date, runs.change_number, runs.is_frozen

),

consent_rules as (

    select
        audience_code,
        max(case when needs_consent then 1 else 0 end) = 1 as needs_consent
    from {{ ref('policy_audiences') }}
    group by audience_code

),

candidates as (

    select
        candidates.audience_code,
        candidates.customer_id,
        candidates.channel,
        candidates.segment_key,
        candidates.strategy_code,
        candidates.incentive_type,
        cast(candidates.incentive_depth_pct as numeric(18, 6)) as incentive_depth_pct,
        candidates.email_sha256,
        candidates.phone_sha256,
        candidates.email_consent,
        candidates.sms_consent,
        candidates.ads_consent,
        candidates.expires_after_days,
        candidates.suppression_reason
    from {{ ref('int_audience_candidates') }} as candidates
    inner join timed_runs
        on not timed_runs.is_frozen
    union all
    select
        members_before.audience_code,
        members_before.customer_id,
        members_before.channel,
        members_before.segment_key,
        members_before.strategy_code,
        members_before.incentive_type,
        members_before.incentive_depth_pct,
        reach.email_sha256,
        reach.phone_sha256,
        reach.email_consent,
        reach.sms_consent,
        reach.ads_consent,
        cast(null as integer) as expires_after_days,
        coalesce(
            {{ contact_block_reason(
                'reach', 'members_before.channel', 'consent_rules.needs_consent'
            ) }},
            case when held_out.customer_id is not null then 'holdout' end
        ) as suppression_reason
    from members_before
    inner join timed_runs
        on timed_runs.is_frozen
    left join {{ ref('int_customer_reach') }} as reach
        on members_before.customer_id = reach.customer_id
    left join consent_rules
        on members_before.audience_code = consent_rules.audience_code
    left join {{ ref('int_holdout_customers') }} as held_out
        on members_before.customer_id = held_out.customer_id

),

now_in as (

    select
        candidates.*,
        timed_runs.as_of_date,
        timed_runs.is_frozen,
        members_before.expires_on as expires_on_before,
        coalesce(members_before.entered_at, timed_runs.changed_at) as entered_at,
        cast(coalesce(members_before.entered_at, timed_runs.changed_at) as date) as entered_date,
        members_before.row_hash as row_hash_before,
        timed_runs.changed_at,
        timed_runs.change_number
    from candidates
    cross join timed_runs
    left join members_before
        on
            candidates.audience_code = members_before.audience_code
            and candidates.customer_id = members_before.customer_id
    where candidates.suppression_reason is null

),

dated as (

    select
        now_in.*,
        case
            when now_in.is_frozen then now_in.expires_on_before
            else cast({{ dbt.dateadd('day', expiry_days, 'now_in.entered_date') }} as date)
        end as expires_on
    from now_in

),

hashed as (

    select
        dated.*,
        {{ dbt_utils.generate_surrogate_key([
            'channel', 'segment_key', 'strategy_code', 'incentive_type', 'incentive_depth_pct',
            'email_sha256', 'phone_sha256', 'email_consent', 'sms_consent', 'ads_consent',
            'expires_on',
        ]) }} as row_hash
    from dated

),

changes as (

    select
        audience_code,
        customer_id,
        case when row_hash_before is null then 'add' else 'update' end as change_type,
        case when row_hash_before is null then 'fits' else 'sent_values_changed' end
            as change_reason,
        change_number,
        channel,
        segment_key,
        strategy_code,
        incentive_type,
        incentive_depth_pct,
        row_hash,
        as_of_date,
        changed_at,
        entered_at,
        expires_on
    from hashed
    where row_hash_before is null or row_hash <> row_hash_before
    union all
    select
        members_before.audience_code,
        members_before.customer_id,
        'remove' as change_type,
        coalesce(candidates.suppression_reason, 'fits_no_longer') as change_reason,
        timed_runs.change_number,
        members_before.channel,
        members_before.segment_key,
        members_before.strategy_code,
        members_before.incentive_type,
        members_before.incentive_depth_pct,
        members_before.row_hash,
        timed_runs.as_of_date,
        timed_runs.changed_at,
        members_before.entered_at,
        members_before.expires_on
    from members_before
    cross join timed_runs
    left join candidates
        on
            members_before.audience_code = candidates.audience_code
            and members_before.customer_id = candidates.customer_id
    where candidates.customer_id is null or candidates.suppression_reason is not null

)

select
    {{ dbt_utils.generate_surrogate_key([
        'changes.audience_code', 'changes.customer_id', 'changes.change_number'
    ]) }} as change_key,
    cast(changes.change_number as integer) as change_number,
    changes.audience_code,
    changes.customer_id,
    changes.change_type,
    changes.change_reason,
    changes.channel,
    changes.segment_key,
    changes.strategy_code,
    changes.incentive_type,
    -- With its digits: PostgreSQL forgets them in a union, and the log would seem to change shape.
    cast(changes.incentive_depth_pct as numeric(18, 6)) as incentive_depth_pct,
    changes.row_hash,
    versions.policy_version,
    changes.as_of_date,
    changes.changed_at,
    changes.entered_at,
    changes.expires_on
from changes
cross join {{ ref('policy_version') }} as versions
