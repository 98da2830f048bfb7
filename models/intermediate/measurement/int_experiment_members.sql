-- Grain: one row per (experiment_code, customer_id): who was assigned to which arm of an
-- experiment, and who was contacted by a campaign that nobody assigned for.
-- `assignment_origin`: holdout_log (our own, holdout_policy.csv), experiment_assignments (run
-- elsewhere) or campaign_contacts (not randomised: the arm `(contacted)`). One query per origin, so
-- that a further one is a further `union all`. A code of holdout_policy.csv is ours, whatever else
-- has it.
-- The segment is the one given, else the customer's at the last date of the history on or before
-- the assignment, else null.
with

current_dates as (

    select as_of_date
    from {{ ref('int_as_of_dates') }}
    where is_current

),

from_holdout_log as (

    select
        experiment_code,
        customer_id,
        'holdout_log' as assignment_origin,
        arm,
        segment_key as given_segment,
        cast(null as {{ type_money() }}) as pre_period_revenue,
        cast(
            case when is_control then holdout_share else 1 - holdout_share end
            as {{ type_share() }}
        ) as planned_share,
        is_control,
        assigned_on
    from {{ ref('holdout_assignments') }}

),

own_codes as (

    select experiment_code
    from {{ ref('policy_holdouts') }}

),

from_experiment_assignments as (

    select
        assignments.experiment_code,
        assignments.customer_id,
        'experiment_assignments' as assignment_origin,
        assignments.arm,
        assignments.segment_code as given_segment,
        assignments.pre_period_revenue,
        assignments.planned_share,
        assignments.is_control,
        assignments.assigned_on
    from {{ ref('stg_experiment_assignments') }} as assignments
    left join own_codes
        on assignments.experiment_code = own_codes.experiment_code
    where own_codes.experiment_code is null

),

assigned_members as (

    select * from from_holdout_log
    union all
    select * from from_experiment_assignments

),

assigned_codes as (

    select distinct experiment_code
    from assigned_members

),

-- Everybody whom the campaign contacted before the current date, from the first contact on.
from_campaign_contacts as (

    select
        contacts.campaign_id as experiment_code,
        contacts.customer_id,
        'campaign_contacts' as assignment_origin,
        '(contacted)' as arm,
        cast(null as {{ dbt.type_string() }}) as given_segment,
        cast(null as {{ type_money() }}) as pre_period_revenue,
        cast(null as {{ type_share() }}) as planned_share,
        false as is_control,
        min(contacts.contact_date) as assigned_on
    from {{ ref('stg_campaign_contacts') }} as contacts
    inner join current_dates
        on contacts.contact_date < current_dates.as_of_date
    left join assigned_codes
        on contacts.campaign_id = assigned_codes.experiment_code
    where assigned_codes.experiment_code is null
    group by contacts.campaign_id, contacts.customer_id

),

members as (

    select * from assigned_members
    union all
    select * from from_campaign_contacts

),

assigned_dates as (

    select distinct assigned_on
    from members

),

segment_dates as (

    select
        assigned_dates.assigned_on,
        max(as_of_dates.as_of_date) as as_of_date
    from assigned_dates
    inner join {{ ref('int_as_of_dates') }} as as_of_dates
        on assigned_dates.assigned_on >= as_of_dates.as_of_date
    where as_of_dates.is_grid
    group by assigned_dates.assigned_on

),

history as (

    select
        as_of_date,
        customer_id,
        segment_key
    from {{ ref('customer_segment_history') }}
    where is_grid

),

segments as (

    select
        segment_key,
        segment_code
    from {{ ref('policy_segments') }}
    where segment_scheme = {{ text_literal(var('segment_scheme')) }}

)

-- A given segment is a code of the active scheme, a segment_key, or a name of the user's own.
select
    members.experiment_code,
    members.customer_id,
    members.assignment_origin,
    members.arm,
    case
        when members.given_segment is null then history.segment_key
        when members.given_segment not in ('(total)', '(none)')
            then coalesce(segments.segment_key, members.given_segment)
    end as segment_key,
    cast(members.pre_period_revenue as {{ type_money() }}) as given_pre_period_revenue,
    cast(members.planned_share as {{ type_share() }}) as planned_share,
    members.is_control,
    members.given_segment is null and segment_dates.as_of_date is null as is_before_history,
    members.assigned_on
from members
left join segments
    on members.given_segment = segments.segment_code
left join segment_dates
    on members.assigned_on = segment_dates.assigned_on
left join history
    on
        segment_dates.as_of_date = history.as_of_date
        and members.customer_id = history.customer_id
