-- Grain: one row per (experiment_code, customer_id): a customer assigned to an arm when first
-- eligible.
-- A log: written once and never refreshed, so that nobody changes arm. A run for a date before the
-- last one logged, or for one that cannot be yet, assigns nobody.
-- Nobody is in two experiments at once, the global one apart, whose held-out customers are in no
-- other: else the contacted arm of one would hold customers whom another keeps from contact. A
-- customer is in it up to its last day, and until the own window is over. Of several the one that
-- began first takes the customer, by its code where they began together.
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    full_refresh=false,
    on_schema_change='fail',
    pre_hook='{{ wait_for_other_runs() }}',
    indexes=[
        {'columns': ['experiment_code', 'customer_id'], 'unique': true},
        {'columns': ['customer_id']},
    ] if target.type == 'postgres' else []
) }}
{%- set string = dbt.type_string() %}
with

current_dates as (

    select as_of_date
    from {{ ref('int_as_of_dates') }}
    where is_current

),

logged as (

    {% if is_incremental() -%}
    select
        experiment_code,
        customer_id,
        is_global,
        is_control,
        assigned_on
    from {{ this }}
    {%- else -%}
    select
        experiment_code,
        cast(null as {{ string }}) as customer_id,
        is_global,
        is_global as is_control,
        valid_from as assigned_on
    from {{ ref('policy_holdouts') }}
    where 1 = 0
    {%- endif %}

),

last_dates as (

    select
        current_dates.as_of_date,
        max(logged.assigned_on) as last_assigned_on
    from current_dates
    left join logged
        on logged.assigned_on is not null
    group by current_dates.as_of_date

),

run_dates as (

    select as_of_date
    from last_dates
    where
        (last_assigned_on is null or as_of_date >= last_assigned_on)
        and as_of_date >= coalesce({{ last_audience_log_date() }}, as_of_date)
        and as_of_date <= {{ latest_plausible_as_of_date() }}

),

running as (

    select
        experiments.*,
        {{ holdout_scope('experiments') }} as scope,
        run_dates.as_of_date
    from {{ ref('policy_holdouts') }} as experiments
    inner join run_dates
        on experiments.valid_to is null or experiments.valid_to >= run_dates.as_of_date

),

-- Still in an experiment: no other one takes these customers.
taken as (

    select distinct logged.customer_id
    from logged
    inner join {{ ref('policy_holdouts') }} as experiments
        on logged.experiment_code = experiments.experiment_code
    inner join run_dates
        on {{ is_still_in_experiment(
            'experiments.valid_to', 'logged.assigned_on', 'run_dates.as_of_date'
        ) }}
    where not logged.is_global or logged.is_control

),

first_eligible as (

    select
        running.experiment_code,
        running.scope,
        running.audience_code,
        running.salt,
        running.holdout_share,
        running.is_global,
        running.valid_from,
        running.as_of_date,
        fits.customer_id,
        fits.segment_key,
        {{ holdout_bucket('running.salt', 'fits.customer_id') }} as bucket
    from {{ ref('int_holdout_fits') }} as fits
    inner join running
        on fits.experiment_code = running.experiment_code
    left join logged
        on
            fits.experiment_code = logged.experiment_code
            and fits.customer_id = logged.customer_id
    where fits.is_assigning and logged.customer_id is null

),

judged as (

    select
        *,
        bucket < holdout_share * 10000 as is_control
    from first_eligible

),

everybody_held_out as (

    select customer_id
    from judged
    where is_global and is_control

),

free as (

    select
        judged.*,
        row_number() over (
            partition by judged.customer_id
            order by judged.valid_from, judged.experiment_code
        ) as place
    from judged
    left join taken
        on judged.customer_id = taken.customer_id
    left join everybody_held_out
        on judged.customer_id = everybody_held_out.customer_id
    where
        not judged.is_global
        and taken.customer_id is null
        and everybody_held_out.customer_id is null

),

assigned as (

    select
        experiment_code,
        customer_id,
        scope,
        audience_code,
        segment_key,
        salt,
        holdout_share,
        bucket,
        is_global,
        is_control,
        as_of_date
    from judged
    where is_global
    union all
    select
        experiment_code,
        customer_id,
        scope,
        audience_code,
        segment_key,
        salt,
        holdout_share,
        bucket,
        is_global,
        is_control,
        as_of_date
    from free
    where place = 1

)

select
    {{ dbt_utils.generate_surrogate_key([
        'assigned.experiment_code', 'assigned.customer_id'
    ]) }} as assignment_key,
    assigned.experiment_code,
    assigned.customer_id,
    case when assigned.is_control then 'holdout' else 'treatment' end as arm,
    assigned.scope,
    assigned.audience_code,
    assigned.segment_key,
    assigned.salt,
    versions.policy_version,
    -- With its digits: PostgreSQL forgets them in a union, and the log would seem to change shape.
    cast(assigned.holdout_share as numeric(18, 6)) as holdout_share,
    assigned.bucket,
    assigned.is_global,
    assigned.is_control,
    assigned.as_of_date as assigned_on
from assigned
cross join {{ ref('policy_version') }} as versions
