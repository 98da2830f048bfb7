-- Grain: one row per thing that a reader of the triggers, audiences and experiments should know
-- (warning_code, subject). Printed when this model is built, like build_warnings.
{{ config(post_hook="{{ print_build_warnings() }}") }}
{%- set string = dbt.type_string() %}
{#- Why an audience fits nobody, where a source that is not in use explains it. #}
{%- set reasons = [] %}
{%- if not is_using('products') %}
{%- do reasons.append(
    "when category is not null then ': categories need the products source (using_products)'"
) %}
{%- endif %}
{%- if not is_using('engagement_events') %}
{%- do reasons.append(
    "when flag in ('" ~ engagement_flags() | join("', '") ~ "') then " ~ dbt.concat([
        "': the flag '", 'flag', "' needs the events source (using_engagement_events)'"
    ])
) %}
{%- endif %}
{%- set missing_source = 'case ' ~ reasons | join(' ') ~ " else '' end" if reasons else "''" %}
{%- set scheme = text_literal(var('segment_scheme')) %}
{%- set history_days = dbt.datediff('min(as_of_date)', 'max(as_of_date)', 'day') | trim %}
with

current_dates as (

    select as_of_date
    from {{ ref('int_as_of_dates') }}
    where is_current

),

audiences as (

    select
        audience_code,
        category,
        flag,
        fitting_count,
        member_count
    from {{ ref('audiences') }}

),

ranked_reasons as (

    select
        audience_code,
        suppression_reason,
        customer_count,
        row_number() over (
            partition by audience_code
            order by customer_count desc, suppression_reason asc
        ) as place
    from {{ ref('audience_suppressions') }}

),

history_lengths as (

    select
        count(*) as date_count,
        cast(coalesce({{ history_days }}, 0) as integer) as day_count
    from {{ ref('int_as_of_dates') }}
    where is_grid

),

rules as (

    select
        trigger_code,
        max(reentry_wait_days) as reentry_wait_days,
        max(minimum_days_before) as minimum_days_before
    from {{ ref('policy_trigger_rules') }}
    where
        segment_scheme is null
        or segment_scheme = {{ scheme }}
    group by trigger_code

),

definitions as (

    select
        audience_code,
        segment_scheme,
        segment_code,
        trigger_days
    from {{ ref('policy_audiences') }}

),

running_experiments as (

    select
        experiment_code,
        scope,
        holdout_count,
        treatment_count,
        elsewhere_count,
        minimum_size,
        days_to_minimum_size,
        is_large_enough,
        is_suppressed
    from {{ ref('experiment_power') }}
    where segment_key = '(total)' and experiment_state = 'running'

),

logged as (

    select max(as_of_date) as last_logged_date
    from {{ ref('audience_changes') }}

)

select
    'date_before_audience_log' as warning_code,
    cast(current_dates.as_of_date as {{ string }}) as subject,
    {{ dbt.concat([
        "'The audiences were logged up to '", 'cast(logged.last_logged_date as ' ~ string ~ ')',
        "'; for the earlier date '", 'cast(current_dates.as_of_date as ' ~ string ~ ')',
        "' no list changes, but those who must not be contacted any more are taken off'",
    ]) }} as message
from current_dates
inner join logged
    on current_dates.as_of_date < logged.last_logged_date
union all
select
    'date_beyond_audience_log' as warning_code,
    cast(as_of_date as {{ string }}) as subject,
    {{ dbt.concat([
        "'The as-of date '", 'cast(as_of_date as ' ~ string ~ ')', "' cannot be yet (after '",
        'cast(' ~ latest_plausible_as_of_date() ~ ' as ' ~ string ~ ')',
        "'): no list changes, but those who must not be contacted any more are taken off'",
    ]) }} as message
from current_dates
where as_of_date > {{ latest_plausible_as_of_date() }}
{%- if not is_using('customers') %}
union all
select
    'no_customers_source' as warning_code,
    'customers' as subject,
    {{ text_literal(
        'Consents, addresses and internal customers are unknown without a customers source'
        ~ ' (using_customers): audiences that ask for consent stay empty, the others name customers'
        ~ ' by id alone, reachable or not'
    ) }} as message
from current_dates
{%- endif %}
union all
select
    'scheme_without_audiences' as warning_code,
    {{ scheme }} as subject,
    {{ dbt.concat([
        "'No audience of audience_definitions.csv names a segment of the active scheme '", scheme
    ]) }} as message
from current_dates
where
    not exists (
        select definitions.audience_code
        from definitions
        where definitions.segment_scheme = {{ scheme }} and definitions.segment_code is not null
    )
union all
select
    'empty_audience' as warning_code,
    audience_code as subject,
    {{ dbt.concat(["'The audience '", 'audience_code', "' fits nobody'", missing_source]) }}
        as message
from audiences
where fitting_count = 0
union all
select
    'audience_without_members' as warning_code,
    audiences.audience_code as subject,
    {{ dbt.concat([
        "'The audience '", 'audiences.audience_code', "' fits '",
        customers_text('audiences.fitting_count'), "' and has no members. Most are left out for: '",
        'ranked_reasons.suppression_reason',
    ]) }} as message
from audiences
inner join ranked_reasons
    on
        audiences.audience_code = ranked_reasons.audience_code
        and ranked_reasons.place = 1
where audiences.member_count = 0
union all
select
    'history_shorter_than_trigger' as warning_code,
    rules.trigger_code as subject,
    {{ dbt.concat([
        "'The trigger '", 'rules.trigger_code', "' looks back '",
        number_text('greatest(rules.reentry_wait_days, rules.minimum_days_before)'),
        "' days and the history holds '", number_text('history_lengths.day_count'),
        "': it can fire again too early or not at all. Raise the var history_periods'",
    ]) }} as message
from rules
cross join history_lengths
where
    history_lengths.date_count > 0
    and greatest(rules.reentry_wait_days, rules.minimum_days_before) > history_lengths.day_count
union all
select
    'history_shorter_than_trigger' as warning_code,
    definitions.audience_code as subject,
    {{ dbt.concat([
        "'The audience '", 'definitions.audience_code', "' asks for triggers of the last '",
        number_text('definitions.trigger_days'), "' days and the history holds '",
        number_text('history_lengths.day_count'),
        "': earlier ones are not seen. Raise the var history_periods'",
    ]) }} as message
from definitions
cross join history_lengths
where
    history_lengths.date_count > 0
    and definitions.trigger_days > history_lengths.day_count
    and (definitions.segment_scheme is null or definitions.segment_scheme = {{ scheme }})
union all
select
    'holdout_too_small' as warning_code,
    experiment_code as subject,
    {{ dbt.concat([
        "'The experiment '", 'experiment_code', "' has '", number_text('holdout_count'),
        "' held-out and '", number_text('treatment_count'),
        "' other customers, fewer than its minimum_size '", number_text('minimum_size'),
        "case when days_to_minimum_size is null then '' else "
        ~ dbt.concat(["'; at its present pace there is something to read in '",
            number_text('days_to_minimum_size'), "' days'"]) ~ " end",
    ]) }} as message
from running_experiments
where not is_large_enough
union all
select
    'holdout_customers_elsewhere' as warning_code,
    experiment_code as subject,
    {{ dbt.concat([
        "'Of those whom the experiment '", 'experiment_code', "' is about, '",
        customers_text('elsewhere_count'),
        "case when elsewhere_count = 1 then ' is' else ' are' end",
        "' in another experiment, and so not in this one'",
    ]) }} as message
from running_experiments
where elsewhere_count > 0
union all
select
    'holdout_in_suppressed_segment' as warning_code,
    experiment_code as subject,
    {{ dbt.concat([
        "'The experiment '", 'experiment_code', "' ('", 'scope',
        "') has nothing to measure: the strategy of the segment is suppressed'",
    ]) }} as message
from running_experiments
where is_suppressed
union all
select
    'experiment_code_taken' as warning_code,
    experiments.experiment_code as subject,
    {{ dbt.concat([
        number_text('count(*)'), "' rows of the experiment assignments are left out: '",
        'experiments.experiment_code',
        "' is an experiment of holdout_policy.csv. Give the other one a code of its own'",
    ]) }} as message
from {{ ref('stg_experiment_assignments') }} as assignments
inner join {{ ref('experiment_power') }} as experiments
    on assignments.experiment_code = experiments.experiment_code
where experiments.segment_key = '(total)'
group by experiments.experiment_code
