-- Grain: one row per (experiment_code, segment_key or `(total)`, arm other than control): what the
-- campaign changed, as the difference to the control among all customers assigned (intention to
-- treat), contacted or not.
-- Null, never 0, where a figure cannot be had; `note` says why.
{{ config(
    indexes=[
        {'columns': ['experiment_code', 'segment_key', 'arm'], 'unique': true},
    ] if target.type == 'postgres' else []
) }}
{%- set double = type_double() %}
{%- set not_adequate = "more than 5 %: the lift is not adequate" %}
{%- set both = ['all', 'assigned', 'overlapping', 'early', 'unseen_day', 'unplaced'] %}
with

contrasts as (

    select
        *,
        cast(treated_assigned_count as {{ double }}) as treated_size,
        cast(control_assigned_count as {{ double }}) as control_size
    from {{ ref('int_experiment_contrasts') }}

),

experiments as (

    select * from {{ ref('int_experiments') }}

),

tests as (

    select * from {{ ref('int_experiment_tests') }}

),

-- Sizes that were not drawn as planned spoil every segment of an experiment.
mismatches as (

    select
        experiment_code,
        min(srm_p_value) as least_srm_p_value
    from tests
    where segment_key = '(total)'
    group by experiment_code

),

joined as (

    select
        contrasts.*,
        experiments.assignment_origin,
        experiments.control_arm,
        experiments.mixed_arms,
        experiments.horizon_days,
        experiments.control_arm_count,
        experiments.rejected_count,
        experiments.plan_problem,
        experiments.has_contacts,
        experiments.is_unmixed,
        experiments.is_finished,
        experiments.finished_count,
        experiments.given_revenue_count,
        experiments.first_assigned_on,
        experiments.last_assigned_on,
        experiments.history_begins_on,
        experiments.sales_begin_on,
        tests.treated_rate,
        tests.control_rate,
        tests.pooled_rate,
        tests.has_retention,
        tests.retention_lift,
        tests.retention_lift_low,
        tests.retention_lift_high,
        tests.retention_p_value,
        tests.retention_adjusted_p_value,
        tests.retention_relative_lift,
        tests.retention_relative_lift_low,
        tests.retention_relative_lift_high,
        tests.revenue_lift,
        tests.revenue_lift_low,
        tests.revenue_lift_high,
        tests.revenue_p_value,
        tests.revenue_adjusted_p_value,
        tests.margin_lift,
        tests.margin_lift_low,
        tests.margin_lift_high,
        tests.cuped_lift,
        tests.cuped_lift_low,
        tests.cuped_lift_high,
        tests.cuped_p_value,
        tests.cuped_adjusted_p_value,
        tests.srm_p_value,
        tests.detectable_lift,
        {% for name in both %}
        contrasts.treated_{{ name }}_count + contrasts.control_{{ name }}_count
            as both_{{ name }}_count,
        {% endfor %}
        experiments.is_unmixed
        and contrasts.treated_assigned_count > 0
        and contrasts.control_assigned_count > 0 as is_comparable,
        {{ is_mismatch('least(tests.srm_p_value, mismatches.least_srm_p_value)') }}
            as is_mismatched,
        {{ known_cost('experiments.has_contacts', 'contrasts.treated_contact_count',
            'contrasts.treated_costless_contact_count', 'contrasts.treated_contact_costs') }}
            as known_cost
    from contrasts
    inner join experiments
        on contrasts.experiment_code = experiments.experiment_code
    inner join tests
        on
            contrasts.experiment_code = tests.experiment_code
            and contrasts.segment_key = tests.segment_key
            and contrasts.arm = tests.arm
    left join mismatches
        on contrasts.experiment_code = mismatches.experiment_code

),

judged as (

    select
        *,
        case
            when is_comparable
                then
                    treated_revenue
                    - {{ money_per('control_revenue * treated_assigned_count',
                        'control_assigned_count') }}
        end as incremental_revenue,
        case
            when is_comparable
                then
                    treated_margin
                    - {{ money_per('control_margin * treated_assigned_count',
                        'control_assigned_count') }}
        end as incremental_margin,
        retention_lift * treated_size as incremental_retained,
        coalesce(
            has_retention
            and {{ has_enough_customers(
                'treated_assigned_count', 'control_assigned_count',
                'treated_retained_count + control_retained_count',
            ) }},
            false
        ) as has_enough_customers,
        has_contacts
        and {{ is_above_limit('control_contacted_count', 'control_assigned_count') }}
            as is_contaminated,
        {{ is_above_limit('both_overlapping_count', 'both_assigned_count') }} as is_overlapping,
        10 * both_unseen_day_count > horizon_days * both_assigned_count as is_before_sales
    from joined

),

weighed as (

    select
        *,
        has_enough_customers
        and not is_mismatched
        and not is_contaminated
        and not is_overlapping
        and not is_before_sales as is_adequate
    from judged

),

decided as (

    select
        *,
        {{ verdict_word('retention_adjusted_p_value') }} as verdict
    from weighed

)

select
    experiment_code,
    segment_key,
    arm,
    assignment_origin,
    control_arm,
    horizon_days,
    treated_assigned_count as assigned_count,
    control_assigned_count as control_count,
    treated_all_count - treated_assigned_count as unfinished_count,
    control_all_count - control_assigned_count as control_unfinished_count,
    case when has_contacts then treated_contacted_count end as contacted_count,
    treated_retained_count as retained_count,
    control_retained_count,
    treated_rate as retention_treated,
    control_rate as retention_control,
    retention_lift,
    retention_lift_low,
    retention_lift_high,
    retention_p_value as retention_lift_p_value,
    retention_adjusted_p_value as retention_lift_adjusted_p_value,
    retention_relative_lift,
    retention_relative_lift_low,
    retention_relative_lift_high,
    incremental_retained,
    retention_lift_low * treated_size as incremental_retained_low,
    retention_lift_high * treated_size as incremental_retained_high,
    case
        when is_comparable
            then {{ money_per('treated_revenue', 'treated_assigned_count') }}
    end as revenue_per_treated,
    case
        when is_comparable
            then {{ money_per('control_revenue', 'control_assigned_count') }}
    end as revenue_per_control,
    {% for column in [
        'revenue_lift', 'revenue_lift_low', 'revenue_lift_high',
    ] %}
    cast({{ column }} as {{ type_money_rate() }}) as {{ column }},
    {% endfor %}
    revenue_p_value as revenue_lift_p_value,
    revenue_adjusted_p_value as revenue_lift_adjusted_p_value,
    cuped_theta,
    {% for column in ['cuped_lift', 'cuped_lift_low', 'cuped_lift_high'] %}
    cast({{ column }} as {{ type_money_rate() }}) as {{ column }},
    {% endfor %}
    cuped_p_value as cuped_lift_p_value,
    cuped_adjusted_p_value as cuped_lift_adjusted_p_value,
    cast(incremental_revenue as {{ type_money_total() }}) as incremental_revenue,
    cast(revenue_lift_low * treated_size as {{ type_money_total() }}) as incremental_revenue_low,
    cast(revenue_lift_high * treated_size as {{ type_money_total() }}) as incremental_revenue_high,
    cast(incremental_margin as {{ type_money_total() }}) as incremental_margin,
    cast(margin_lift_low * treated_size as {{ type_money_total() }}) as incremental_margin_low,
    cast(margin_lift_high * treated_size as {{ type_money_total() }}) as incremental_margin_high,
    cast(known_cost as {{ type_money_total() }}) as cost,  -- noqa: RF04
    case
        when is_adequate and retention_lift_low > 0
            then cast(
                cast(known_cost as {{ double }}) / incremental_retained as {{ type_money_total() }}
            )
    end as cost_per_incremental_retained,
    case
        when is_adequate
            then cast(incremental_margin as {{ double }}) / cast(known_cost as {{ double }})
    end as return_on_spend,
    case when has_contacts then control_contacted_count end as contaminated_count,
    case
        when has_contacts
            then cast(control_contacted_count as {{ double }}) / nullif(control_size, 0)
    end as contamination_share,
    both_overlapping_count as overlapping_count,
    srm_p_value,
    detectable_lift,
    verdict,
    is_finished,
    is_adequate,
    first_assigned_on,
    last_assigned_on,
    {{ notes([
        ["not is_finished and both_all_count > both_assigned_count", dbt.concat([
            "'Interim: '", number_text('both_all_count - both_assigned_count'), "' of '",
            number_text('both_all_count'),
            "' customers still have days to go and do not count yet'",
        ])],
        ["not is_finished and both_all_count = both_assigned_count",
            "'Interim: customers of other segments or arms still have days to go'"],
        ["not is_finished and is_comparable",
            "'Looked at every day, chance alone shows a difference in more than 5 of 100 cases'"],
        ["not is_unmixed", dbt.concat([
            "'No lift: some customers of the arm '", 'mixed_arms',
            "' are marked as control and some are not'",
        ])],
        ["is_unmixed and control_arm_count = 0",
            "'No lift: the experiment has no control arm'"],
        ["control_arm_count > 1", dbt.concat([
            "'The control arms '", 'control_arm', "' are taken together'",
        ])],
        ["is_unmixed and control_arm_count > 0 and control_all_count = 0",
            "'No lift: the control has nobody here'"],
        ["treated_all_count = 0", "'No lift: the arm has nobody here'"],
        ["is_unmixed and control_all_count > 0 and treated_all_count > 0 and not is_comparable",
            dbt.concat([
                "'No lift yet: nobody of the arm or of the control is through all '",
                number_text('horizon_days'),
                "' days of the window (the var retention_horizon_days)'",
            ])],
        ["is_comparable and pooled_rate = 0",
            "'Nobody was retained in the arm or in the control: retention has no lift'"],
        ["is_comparable and pooled_rate = 1",
            "'Everybody was retained in the arm and in the control: retention has no lift'"],
        ["has_retention and control_retained_count = 0",
            "'Nobody was retained in the control: there is no relative lift'"],
        ["has_retention and treated_retained_count = 0",
            "'Nobody was retained in the arm: the relative lift has no interval'"],
        ["is_comparable and least(treated_size, control_size) < 2",
            "'Revenue needs two customers in the arm and in the control for an interval'"],
        ["is_comparable and least(treated_size, control_size) >= 2 and revenue_p_value is null",
            "'Revenue does not vary within the arm and the control: it has no interval'"],
        ["is_comparable and given_revenue_count > 0 and given_revenue_count < finished_count",
            dbt.concat([
                "'Revenue before the assignment is given for '", number_text('given_revenue_count'),
                "' of '", number_text('finished_count'),
                "' customers of the experiment: CUPED takes that of the sales for all'",
        ])],
        ["is_comparable and cuped_lift is null",
            "'Revenue before the assignment does not vary: no CUPED'"],
        ["plan_problem is not null", dbt.concat([
            "'No check of the sizes of the arms: '", 'plan_problem',
        ])],
        ["not has_contacts",
            "'No contact of this campaign is known: cost and contamination are unknown'"],
        ["has_contacts and treated_contact_count = 0",
            "'Nobody of the arm was contacted: no cost'"],
        ["has_contacts and treated_costless_contact_count > 0", dbt.concat([
            number_text('treated_costless_contact_count'),
            "' contacts of the arm have no cost: the cost is unknown'",
        ])],
        ["has_contacts and treated_contact_count > 0 and known_cost is null"
            ~ " and treated_costless_contact_count = 0",
            "'The contacts of the arm cost 0, which is taken for unknown'"],
        ["known_cost is not null and treated_partly_costed_contact_count > 0", dbt.concat([
            number_text('treated_partly_costed_contact_count'),
            "' contacts have only the cost of the contact or only that of the incentive: the other'",
            "' is taken for none'",
        ])],
        ["known_cost is not null and is_adequate and retention_lift_low <= 0",
            "'No cost per retained customer: the interval of the lift includes 0 or lies below it'"],
        ["known_cost is not null and is_comparable and not is_adequate",
            "'No cost per retained customer and no return on spend: the lift is not adequate'"],
        ["has_contacts and control_contacted_count > 0", dbt.concat([
            number_text('control_contacted_count'), "' of '", number_text('control_assigned_count'),
            "' controls were contacted'",
            "case when is_contaminated then ', " ~ not_adequate ~ "' else '' end",
        ])],
        ["both_overlapping_count > 0", dbt.concat([
            number_text('both_overlapping_count'), "' of '", number_text('both_assigned_count'),
            "' customers are in another experiment whose days overlap'",
            "case when is_overlapping then ', " ~ not_adequate ~ "' else '' end",
        ])],
        ["both_early_count > 0", dbt.concat([
            "'The sales begin on '", day_text('sales_begin_on'), "', after '",
            number_text('both_early_count'), "' of '", number_text('both_assigned_count'),
            "' customers were assigned'",
            "case when is_before_sales then ': more than a tenth of the days is missing, the lift'"
            ~ " || ' is not adequate' else '' end",
        ])],
        unplaced_sentence('both_unplaced_count'),
        ["rejected_count > 0", dbt.concat([
            number_text('rejected_count'),
            "' rows of the experiment are rejected (stg_experiment_assignments_rejected)'",
        ])],
        ["verdict = 'cannot tell yet' and is_adequate and retention_p_value < 0.05"
            ~ " and retention_adjusted_p_value >= 0.05",
            "'Alone the difference would be significant; among all segments and arms of the'"
            ~ " || ' experiment chance can explain it'"],
    ] + verdict_sentences()) }} as note
from decided
