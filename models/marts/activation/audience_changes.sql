-- Grain: one row per (audience_code, customer_id, change_number): a customer added to an audience,
-- removed from it, or whose sent values changed.
-- A log: written once and never refreshed. Folding it (the last row of each audience and customer,
-- without removes) gives the members, and this is how the next run knows whom to add. A run whose
-- date lies before the last one logged writes nothing.
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

candidates as (

    select * from {{ ref('int_audience_candidates') }}

),

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
    from candidates
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

runs as (

    select
        current_dates.as_of_date,
        coalesce(max(logged.change_number), 0) + 1 as change_number,
        count(
            distinct case
                when logged.as_of_date = current_dates.as_of_date then logged.change_number
            end
        ) as runs_before,
        coalesce(max(logged.as_of_date) > current_dates.as_of_date, false) as is_outdated
    from current_dates
    left join logged
        on logged.change_number is not null
    group by current_dates.as_of_date

),

timed_runs as (

    select
        *,
        cast(
            {{ dbt.dateadd(
                'second', 'cast(runs_before as integer)', 'cast(as_of_date as timestamp)'
            ) }}
            as timestamp
        ) as changed_at
    from runs
    -- A date that cannot be yet would silence every run until it has come.
    where not is_outdated and as_of_date <= {{ date_literal(latest_plausible_date()) }}

),

now_in as (

    select
        candidates.*,
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
        cast({{ dbt.dateadd('day', expiry_days, 'now_in.entered_date') }} as date) as expires_on
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
    policy_gate.policy_version,
    changes.as_of_date,
    changes.changed_at,
    changes.entered_at,
    changes.expires_on
from changes
cross join {{ ref('policy_gate') }} as policy_gate
