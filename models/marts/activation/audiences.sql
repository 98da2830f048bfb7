-- Grain: one row per audience_code that exists under the active scheme at the current date.
with

candidates as (

    select * from {{ ref('int_audience_candidates') }}

),

current_dates as (

    select as_of_date
    from {{ ref('int_as_of_dates') }}
    where is_current

),

definitions as (

    select
        current_dates.as_of_date,
        definitions.*,
        {{ dbt.concat(['definitions.segment_scheme', "':'", 'definitions.segment_code']) }}
            as segment_key
    from {{ ref('policy_audiences') }} as definitions
    cross join current_dates
    where {{ is_live_audience('definitions', 'current_dates.as_of_date') }}

),

sizes as (

    select
        audience_code,
        count(*) as fitting_count,
        sum(case when suppression_reason is null then 1 else 0 end) as member_count,
        {% for channel in reachable_channels() %}
        sum(case when is_reachable_by_{{ channel }} then 1 else 0 end)
            as reachable_{{ channel }}_count,
        {% endfor %}
        sum(case when suppression_reason is not null then 1 else 0 end) as suppressed_count
    from candidates
    group by audience_code

),

strategies as (

    select
        segment_key,
        strategy_code
    from {{ ref('policy_strategies') }}

)

select
    definitions.audience_code,
    definitions.as_of_date,
    definitions.audience_name,
    definitions.segment_key,
    strategies.strategy_code,
    definitions.lifecycle_stage,
    definitions.flag,
    definitions.category,
    definitions.trigger_code,
    definitions.channel,
    definitions.rationale,
    versions.policy_version,
    definitions.priority,
    cast(coalesce(sizes.fitting_count, 0) as integer) as fitting_count,
    cast(coalesce(sizes.member_count, 0) as integer) as member_count,
    cast(coalesce(sizes.suppressed_count, 0) as integer) as suppressed_count,
    {% for channel in reachable_channels() %}
    cast(coalesce(sizes.reachable_{{ channel }}_count, 0) as integer)
        as reachable_{{ channel }}_count,
    {% endfor %}
    definitions.needs_consent
from definitions
cross join {{ ref('policy_version') }} as versions
left join strategies
    on definitions.segment_key = strategies.segment_key
left join sizes
    on definitions.audience_code = sizes.audience_code
