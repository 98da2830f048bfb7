-- Grain: one row per (experiment_code of holdout_policy.csv, segment_key or `(total)`): what the
-- sizes of an experiment can find, and how long it takes until there is something to read.
-- An experiment that has not begun has the sizes that it would have today.
-- How many come back without contact: of the held out themselves where the window of at least 100
-- is over, else of the segment on the finished dates of the history. The total then takes the mean
-- over its segments, weighted by customers.
-- Something can be read when the windows of as many as are needed are over: of those assigned first
-- where they suffice, else of the last one to come at the present pace.
{{ config(
    indexes=[
        {'columns': ['experiment_code', 'segment_key'], 'unique': true},
    ] if target.type == 'postgres' else []
) }}
{%- set double = type_double() %}
{%- set string = dbt.type_string() %}
{%- set least_observed = 100 %}
{%- set horizon = var('retention_horizon_days') | int %}
{%- set days_since_first = dbt.datediff(
    'counted.first_assigned_on', 'experiments.as_of_date', 'day'
) | trim %}
{%- set days_since_enough = {
    'minimum_size': dbt.datediff('reached.minimum_on', 'missing.as_of_date', 'day') | trim,
    'expected_lift': dbt.datediff('reached.needed_on', 'missing.as_of_date', 'day') | trim,
} %}
{%- set days_to_begin = dbt.datediff('as_of_date', 'valid_from', 'day') | trim %}
{%- set days_to_end = dbt.datediff('as_of_date', 'valid_to', 'day') | trim %}
with

current_dates as (

    select as_of_date
    from {{ ref('int_as_of_dates') }}
    where is_current

),

experiments as (

    select
        experiments.experiment_code,
        {{ holdout_scope('experiments') }} as scope,
        experiments.segment_scheme,
        experiments.is_global,
        coalesce(strategies.is_suppressed, false) as is_suppressed,
        experiments.holdout_share,
        experiments.minimum_size,
        experiments.valid_from,
        experiments.valid_to,
        current_dates.as_of_date,
        case
            when experiments.valid_to < current_dates.as_of_date then 'ended'
            when experiments.valid_from > current_dates.as_of_date then 'planned'
            when experiments.segment_scheme <> {{ text_literal(var('segment_scheme')) }}
                then 'resting'
            else 'running'
        end as experiment_state,
        coalesce(experiments.segment_scheme <> {{ text_literal(var('segment_scheme')) }}, false)
            as has_other_scheme
    from {{ ref('policy_holdouts') }} as experiments
    cross join current_dates
    left join {{ ref('policy_strategies') }} as strategies
        on experiments.segment_key = strategies.segment_key

),

assignments as (

    select
        experiment_code,
        customer_id,
        segment_key,
        is_control,
        assigned_on,
        min(assigned_on) over (partition by experiment_code) as first_assigned_on
    from {{ ref('holdout_assignments') }}

),

-- Whom an experiment is about without having assigned them.
unassigned as (

    select
        fits.experiment_code,
        fits.customer_id,
        fits.segment_key,
        experiments.is_global,
        experiments.experiment_state = 'planned' as is_planned,
        greatest(experiments.valid_from, experiments.as_of_date) as first_possible_on
    from {{ ref('int_holdout_fits') }} as fits
    inner join experiments
        on fits.experiment_code = experiments.experiment_code
    left join assignments
        on
            fits.experiment_code = assignments.experiment_code
            and fits.customer_id = assignments.customer_id
    where assignments.customer_id is null

),

-- Of these, whom another experiment has still on that day.
taken as (

    select
        unassigned.experiment_code,
        unassigned.customer_id,
        max(case when other_experiments.is_global then 0 else 1 end) = 1 as is_elsewhere
    from unassigned
    inner join assignments
        on
            unassigned.customer_id = assignments.customer_id
            and not unassigned.is_global
    inner join experiments as other_experiments
        on
            assignments.experiment_code = other_experiments.experiment_code
            and {{ is_still_in_experiment(
                'other_experiments.valid_to', 'assignments.assigned_on',
                'unassigned.first_possible_on'
            ) }}
    where not other_experiments.is_global or assignments.is_control
    group by unassigned.experiment_code, unassigned.customer_id

),

elsewhere as (

    select
        experiment_code,
        '(total)' as segment_key,
        count(*) as elsewhere_count
    from taken
    where is_elsewhere
    group by experiment_code

),

-- Whom a planned experiment would assign has no arm yet.
assigned_or_expected as (

    select
        experiment_code,
        segment_key,
        is_control,
        assigned_on,
        first_assigned_on
    from assignments
    union all
    select
        unassigned.experiment_code,
        unassigned.segment_key,
        cast(null as boolean) as is_control,
        cast(null as date) as assigned_on,
        cast(null as date) as first_assigned_on
    from unassigned
    left join taken
        on
            unassigned.experiment_code = taken.experiment_code
            and unassigned.customer_id = taken.customer_id
    where unassigned.is_planned and taken.customer_id is null

),

counted_segments as {{ by_itself() }}(

    select
        experiment_code,
        segment_key,
        count(case when not is_control then 1 end) as treatment_count,
        count(case when is_control then 1 end) as holdout_count,
        count(case when assigned_on is null then 1 end) as expected_count,
        count(case when assigned_on > first_assigned_on then 1 end) as later_count,
        min(first_assigned_on) as first_assigned_on
    from assigned_or_expected
    group by experiment_code, segment_key

),

counted_totals as (

    select
        experiments.experiment_code,
        '(total)' as segment_key,
        coalesce(sum(counted_segments.treatment_count), 0) as treatment_count,
        coalesce(sum(counted_segments.holdout_count), 0) as holdout_count,
        coalesce(sum(counted_segments.expected_count), 0) as expected_count,
        coalesce(sum(counted_segments.later_count), 0) as later_count,
        min(counted_segments.first_assigned_on) as first_assigned_on
    from experiments
    left join counted_segments
        on experiments.experiment_code = counted_segments.experiment_code
    group by experiments.experiment_code

),

counted as (

    select * from counted_segments
    union all
    select * from counted_totals

),

-- How many of each arm were assigned up to a day.
assigned_days as (

    select
        experiment_code,
        segment_key,
        assigned_on,
        count(case when not is_control then 1 end) as treatment_count,
        count(case when is_control then 1 end) as holdout_count
    from assignments
    group by experiment_code, segment_key, assigned_on
    union all
    select
        experiment_code,
        '(total)' as segment_key,
        assigned_on,
        count(case when not is_control then 1 end) as treatment_count,
        count(case when is_control then 1 end) as holdout_count
    from assignments
    group by experiment_code, assigned_on

),

sizes_by_day as (

    select
        experiment_code,
        segment_key,
        assigned_on,
        sum(treatment_count) over up_to_day as treatment_count,
        sum(holdout_count) over up_to_day as holdout_count
    from assigned_days
    window up_to_day as (
        partition by experiment_code, segment_key order by assigned_on
        rows between unbounded preceding and current row
    )

),

observed as (

    select
        experiment_code,
        segment_key,
        cast(retained_count as {{ double }}) / assigned_count as retention_rate
    from {{ ref('int_experiment_cells') }}
    where arm_kind = 'control' and assigned_count >= {{ least_observed }}

),

past as (

    select
        level as segment_key,
        retention_rate
    from {{ ref('score_retention_validation') }}
    where scope = 'pooled' and dimension = 'segment' and horizon_code = 'horizon'

),

strategies as (

    select
        segment_key,
        cast(expected_save_rate as {{ double }}) as expected_save_rate
    from {{ ref('policy_strategies') }}

),

segment_rates as (

    select
        counted_segments.experiment_code,
        counted_segments.segment_key,
        cast(
            counted_segments.treatment_count + counted_segments.holdout_count
            + counted_segments.expected_count as {{ double }}
        ) as customer_count,
        coalesce(observed.retention_rate, past.retention_rate) as control_rate,
        case
            when observed.retention_rate is not null then 'held-out customers'
            when past.retention_rate is not null then 'past dates'
        end as control_rate_source,
        strategies.expected_save_rate
        * (1 - coalesce(observed.retention_rate, past.retention_rate)) as expected_lift
    from counted_segments
    left join observed
        on
            counted_segments.experiment_code = observed.experiment_code
            and counted_segments.segment_key = observed.segment_key
    left join past
        on counted_segments.segment_key = past.segment_key
    left join strategies
        on counted_segments.segment_key = strategies.segment_key

),

total_rates as (

    select
        segment_rates.experiment_code,
        '(total)' as segment_key,
        coalesce(
            max(observed.retention_rate),
            sum(segment_rates.customer_count * segment_rates.control_rate)
            / sum(
                case
                    when segment_rates.control_rate is not null then segment_rates.customer_count
                end
            )
        ) as control_rate,
        case
            when max(observed.retention_rate) is not null then 'held-out customers'
            when max(segment_rates.control_rate) is not null then 'its segments'
        end as control_rate_source,
        sum(segment_rates.customer_count * segment_rates.expected_lift)
        / sum(
            case
                when segment_rates.expected_lift is not null then segment_rates.customer_count
            end
        ) as expected_lift
    from segment_rates
    left join observed
        on
            segment_rates.experiment_code = observed.experiment_code
            and observed.segment_key = '(total)'
    group by segment_rates.experiment_code

),

rates as (

    select
        experiment_code,
        segment_key,
        control_rate,
        control_rate_source,
        expected_lift
    from segment_rates
    union all
    select
        experiment_code,
        segment_key,
        control_rate,
        control_rate_source,
        expected_lift
    from total_rates

),

expected as (

    select
        counted.experiment_code,
        counted.segment_key,
        counted.expected_count,
        cast(round(
            cast(counted.expected_count as integer) * experiments.holdout_share
        ) as bigint) as expected_holdout_count
    from counted
    inner join experiments
        on counted.experiment_code = experiments.experiment_code
    where experiments.experiment_state = 'planned'

),

sized as (

    select
        experiments.*,
        counted.segment_key,
        case
            when counted.segment_key = '(total)' then coalesce(elsewhere.elsewhere_count, 0)
        end as elsewhere_count,
        counted.first_assigned_on,
        counted.treatment_count,
        counted.holdout_count,
        expected.expected_count - expected.expected_holdout_count as expected_treatment_count,
        expected.expected_holdout_count,
        cast(
            counted.treatment_count
            + coalesce(expected.expected_count - expected.expected_holdout_count, 0)
            as {{ double }}
        ) as treated_count,
        cast(
            counted.holdout_count + coalesce(expected.expected_holdout_count, 0) as {{ double }}
        ) as control_count,
        cast({{ nine_digits('rates.control_rate') }} as {{ double }}) as control_rate,
        rates.control_rate_source,
        cast({{ nine_digits('rates.expected_lift') }} as {{ double }}) as expected_lift,
        cast(experiments.holdout_share as {{ double }}) as control_share,
        cast(1 - experiments.holdout_share as {{ double }}) as treated_share,
        -- Whoever was there on the first day is no measure of how many come.
        case
            when experiments.experiment_state = 'running' and {{ days_since_first }} > 0
                then cast(counted.later_count as {{ double }}) / {{ days_since_first }}
        end as assigned_per_day
    from counted
    inner join experiments
        on counted.experiment_code = experiments.experiment_code
    left join elsewhere
        on
            counted.experiment_code = elsewhere.experiment_code
            and counted.segment_key = elsewhere.segment_key
    left join expected
        on
            counted.experiment_code = expected.experiment_code
            and counted.segment_key = expected.segment_key
    left join rates
        on
            counted.experiment_code = rates.experiment_code
            and counted.segment_key = rates.segment_key

),

{{ detectable_lift('detectable', 'sized', ['experiment_code', 'segment_key']) }},

-- The same equation the other way round: the customers that find the lift that the policy expects.
effects as (

    select
        sized.*,
        detectable.detectable_lift,
        sized.control_rate + sized.expected_lift as treated_rate,
        sized.control_rate + sized.treated_share * sized.expected_lift as pooled_rate
    from sized
    left join detectable
        on
            sized.experiment_code = detectable.experiment_code
            and sized.segment_key = detectable.segment_key

),

needs as (

    select
        *,
        case
            when expected_lift >= 1e-6
                then ceil(power(
                    {{ z_95() }} * sqrt(greatest(
                        pooled_rate * (1 - pooled_rate) * (1 / treated_share + 1 / control_share), 0
                    ))
                    + 0.8416212335729143 * sqrt(greatest(
                        treated_rate * (1 - treated_rate) / treated_share
                        + control_rate * (1 - control_rate) / control_share,
                        0
                    )),
                    2
                ) / power(expected_lift, 2) - 1e-6)
        end as needed_count,
        case
            when segment_key = '(total)'
                then greatest(
                    0,
                    (minimum_size - control_count) / control_share,
                    (minimum_size - treated_count) / treated_share
                )
        end as missing_to_minimum
    from effects

),

missing as (

    select
        *,
        needed_count - treated_count - control_count as missing_to_lift,
        case when valid_to is not null then {{ days_to_end }} end as days_to_end
    from needs

),

-- The first day up to which enough were assigned.
reached as (

    select
        missing.experiment_code,
        missing.segment_key,
        min(
            case
                when
                    sizes_by_day.treatment_count >= missing.minimum_size
                    and sizes_by_day.holdout_count >= missing.minimum_size
                    and missing.missing_to_minimum is not null
                    then sizes_by_day.assigned_on
            end
        ) as minimum_on,
        min(
            case
                when
                    sizes_by_day.treatment_count + sizes_by_day.holdout_count
                    >= missing.needed_count
                    then sizes_by_day.assigned_on
            end
        ) as needed_on
    from missing
    inner join sizes_by_day
        on
            missing.experiment_code = sizes_by_day.experiment_code
            and missing.segment_key = sizes_by_day.segment_key
    group by missing.experiment_code, missing.segment_key

),

paced as (

    select
        {% for goal, missing_count in [
            ('minimum_size', 'missing_to_minimum'), ('expected_lift', 'missing_to_lift'),
        ] %}
        {{ days_since_enough[goal] }} as days_since_{{ goal }},
        case
            when
                missing.{{ missing_count }} > 0
                and missing.{{ missing_count }} < 100000 * missing.assigned_per_day
                then ceil(
                    missing.{{ missing_count }} / nullif(missing.assigned_per_day, 0) - 1e-6
                )
        end as assigning_days_to_{{ goal }},
        {% endfor %}
        missing.*
    from missing
    left join reached
        on
            missing.experiment_code = reached.experiment_code
            and missing.segment_key = reached.segment_key

),

judged as (

    select
        {% for goal, missing_count in [
            ('minimum_size', 'missing_to_minimum'), ('expected_lift', 'missing_to_lift'),
        ] %}
        cast(
            case
                when days_since_{{ goal }} is not null
                    then greatest(0, {{ horizon }} - days_since_{{ goal }})
                when experiment_state = 'planned' and {{ missing_count }} <= 0
                    then {{ days_to_begin }} + {{ horizon }}
                when days_to_end is null or assigning_days_to_{{ goal }} <= days_to_end
                    then assigning_days_to_{{ goal }} + {{ horizon }}
            end as integer
        ) as days_to_{{ goal }},
        {% endfor %}
        *,
        missing_to_minimum <= 0 as is_large_enough,
        coalesce(
            assigning_days_to_minimum_size > days_to_end
            or assigning_days_to_expected_lift > days_to_end,
            false
        ) as ends_too_soon
    from paced

)

select
    experiment_code,
    segment_key,
    scope,
    experiment_state,
    holdout_share,
    cast(treatment_count as integer) as treatment_count,
    cast(holdout_count as integer) as holdout_count,
    cast(expected_treatment_count as integer) as expected_treatment_count,
    cast(expected_holdout_count as integer) as expected_holdout_count,
    cast(elsewhere_count as integer) as elsewhere_count,
    minimum_size,
    control_rate as control_retention,
    cast(control_rate_source as {{ string }}) as control_retention_source,
    {{ nine_digits('detectable_lift') }} as detectable_lift,
    expected_lift,
    cast(needed_count as bigint) as needed_count,
    {{ nine_digits('assigned_per_day') }} as assigned_per_day,
    days_to_minimum_size,
    days_to_expected_lift,
    {{ notes([
        ["experiment_state = 'planned'",
            dbt.concat(["'Begins on '", 'cast(valid_from as ' ~ string ~ ')',
                "'; sizes as of today'"])],
        ["experiment_state = 'ended'",
            dbt.concat(["'Ended on '", 'cast(valid_to as ' ~ string ~ ')'])],
        ["has_other_scheme and experiment_state in ('planned', 'resting')", dbt.concat([
            "'Its segment is of the scheme '", 'segment_scheme',
            "', which is not active: nobody is assigned'",
        ])],
        ["experiment_state = 'running' and treated_count + control_count = 0",
            "'Nobody was assigned yet'"],
        ["experiment_state = 'planned' and treated_count + control_count = 0"
            ~ " and not has_other_scheme", "'It is about nobody today whom it could assign'"],
        ["elsewhere_count > 0", dbt.concat([
            "'Of those whom it is about, '", customers_text('elsewhere_count'),
            "case when elsewhere_count = 1 then ' is' else ' are' end",
            "' in another experiment, and so not in this one'",
        ])],
        ["is_suppressed", dbt.concat([
            "'The strategy of its segment is suppressed: nobody is contacted, so there is nothing'",
            "' to measure'",
        ])],
        ["treated_count + control_count > 0 and control_rate is null",
            "'How many come back without contact is not known: no date is finished'"],
        ["control_rate is not null and (treated_count = 0 or control_count = 0)",
            "'One arm is empty'"],
        ["control_rate is not null and treated_count > 0 and control_count > 0"
            ~ " and detectable_lift is null", "'Not even a rise to 100 % would be found'"],
        ["not is_large_enough and treated_count + control_count > 0", dbt.concat([
            number_text('control_count'), "' held out and '", number_text('treated_count'),
            "' others are below the minimum of '", number_text('minimum_size'),
        ])],
        ["detectable_lift > expected_lift", dbt.concat([
            "'Finds a lift from '", points_text('detectable_lift'),
            "' points on, and the policy expects '", points_text('expected_lift'),
        ])],
        ["experiment_state = 'running' and assigned_per_day = 0"
            ~ " and (not is_large_enough or detectable_lift > expected_lift)",
            "'Nobody has come since the first day, so waiting does not help'"],
        ["ends_too_soon", dbt.concat([
            "'At this pace it does not have enough by its last day, '",
            'cast(valid_to as ' ~ string ~ ')',
        ])],
    ]) }} as note,
    is_global,
    is_suppressed,
    is_large_enough,
    first_assigned_on,
    valid_from,
    valid_to
from judged
