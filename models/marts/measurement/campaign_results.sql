-- Grain: one row per (experiment_code, segment_key or `(total)`, arm): what the customers of an arm
-- did within the window; campaigns without assignments included, marked observational.
-- Counts are of members whose window is over. A rate of one arm is no effect: see campaign_lift.
{{ config(
    indexes=[
        {'columns': ['experiment_code', 'segment_key', 'arm'], 'unique': true},
    ] if target.type == 'postgres' else []
) }}
{%- set double = type_double() %}
with

cells as (

    select
        *,
        cast(retained_count as {{ double }}) / nullif(assigned_count, 0) as retention_rate,
        cast(nullif(assigned_count, 0) as {{ double }}) as assigned_size
    from {{ ref('int_experiment_cells') }}

),

experiments as (

    select
        experiment_code,
        assignment_origin,
        horizon_days,
        control_arm_count,
        treated_arm_count,
        mixed_arms,
        rejected_count,
        has_contacts,
        is_unmixed,
        is_randomised,
        first_assigned_on,
        last_assigned_on,
        history_begins_on
    from {{ ref('int_experiments') }}

),

costed as (

    select
        cells.*,
        experiments.assignment_origin,
        experiments.horizon_days,
        experiments.control_arm_count,
        experiments.treated_arm_count,
        experiments.mixed_arms,
        experiments.rejected_count,
        experiments.has_contacts,
        experiments.is_unmixed,
        experiments.is_randomised,
        experiments.first_assigned_on,
        experiments.last_assigned_on,
        experiments.history_begins_on,
        {{ known_cost('experiments.has_contacts', 'cells.contact_count',
            'cells.costless_contact_count', 'cells.contact_costs') }} as known_cost
    from cells
    inner join experiments
        on cells.experiment_code = experiments.experiment_code

)

select
    experiment_code,
    segment_key,
    arm,
    assignment_origin,
    case
        when is_randomised then arm_kind
        else 'observational'
    end as arm_kind,
    horizon_days,
    assigned_count,
    all_count - assigned_count as unfinished_count,
    case when has_contacts then contacted_count end as contacted_count,
    retained_count,
    cast(order_count as bigint) as order_count,
    retention_rate,
    {{ wilson_bound('retention_rate', 'assigned_size', 'low') }} as retention_rate_low,
    {{ wilson_bound('retention_rate', 'assigned_size', 'high') }} as retention_rate_high,
    case
        when has_contacts then cast(contacted_count as {{ double }}) / assigned_size
    end as contacted_share,
    revenue,
    return_amount,
    margin,
    cast({{ money_per('revenue', 'assigned_count') }} as {{ type_money() }})
        as revenue_per_assigned,
    cast(known_cost as {{ type_money_total() }}) as cost,  -- noqa: RF04
    case
        when is_randomised and is_unmixed and arm_kind = 'control' and has_contacts
            then cast(contacted_count as {{ double }}) / assigned_size
    end as contamination_share,
    is_randomised,
    first_assigned_on,
    last_assigned_on,
    {{ notes([
        ["not is_randomised",
            "'Observational: nobody was held out, so what the campaign changed cannot be told'"],
        ["not is_unmixed", dbt.concat([
            "'Some customers of the arm '", 'mixed_arms', "' are marked as control and some are not'",
        ])],
        ["is_randomised and is_unmixed and control_arm_count = 0",
            "'No control arm: what the campaign changed cannot be told'"],
        ["is_randomised and is_unmixed and treated_arm_count = 0",
            "'Nobody was treated: there is nothing to compare'"],
        ["all_count = 0", "'The arm has nobody here'"],
        ["all_count > assigned_count", dbt.concat([
            number_text('all_count - assigned_count'), "' of '", number_text('all_count'),
            "' customers still have days to go and do not count yet'",
        ])],
        unplaced_sentence('unplaced_count'),
        ["rejected_count > 0", dbt.concat([
            number_text('rejected_count'),
            "' rows of the experiment are rejected (stg_experiment_assignments_rejected)'",
        ])],
        ["not has_contacts", "'No contact of this campaign is known, nor what it cost'"],
        ["has_contacts and costless_contact_count > 0", dbt.concat([
            number_text('costless_contact_count'), "' contacts have no cost, so the cost is unknown'",
        ])],
        ["has_contacts and contact_count > 0 and known_cost is null and costless_contact_count = 0",
            "'The contacts cost 0, which is taken for unknown'"],
    ]) }} as note
from costed
