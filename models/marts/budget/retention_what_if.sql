-- Grain: one row per (policy_code, segment_key) of the active scheme: strategy_policy.csv
-- (`current`) and, where what_if_policy.csv names a segment of the scheme, the same with its cells
-- (`what_if`), both within the same budget.
{%- set double = type_double() %}
{%- set total = type_unit_money_total() %}
{%- set measures = [
    'reachable_count', 'treatable_count', 'treated_count', 'planned_cost',
    'planned_incremental_margin',
] %}
with

segments as (

    select
        segment_key,
        segment_name,
        display_order
    from {{ ref('policy_segments') }}
    where segment_scheme = {{ text_literal(var('segment_scheme')) }}

),

policies as (

    select distinct policy_code
    from {{ ref('int_treatment_options') }}

),

strategies as (

    select
        segment_key,
        incentive_depth_pct,
        primary_channel
    from {{ ref('policy_strategies') }}

),

save_rates as (

    select
        segment_key,
        save_rate
    from {{ ref('int_save_rates') }}

),

overrides as (

    select *
    from {{ ref('policy_what_if') }}

),

options as (

    select
        policy_code,
        customer_id,
        is_reachable
    from {{ ref('int_treatment_options') }}

),

totals as (

    select
        plan.policy_code,
        plan.segment_key,
        sum(case when options.is_reachable then 1 else 0 end) as reachable_count,
        sum(
            case
                when
                    plan.exclusion_reason in ('unprofitable', 'beyond_capacity', 'over_budget')
                    or plan.is_treated
                    then 1
                else 0
            end
        ) as treatable_count,
        sum(case when plan.is_treated then 1 else 0 end) as treated_count,
        sum(case when plan.is_treated then plan.total_cost else 0 end) as planned_cost,
        sum(case when plan.is_treated then plan.incremental_margin else 0 end)
            as planned_incremental_margin
    from {{ ref('int_budget_plan') }} as plan
    inner join options
        on
            plan.policy_code = options.policy_code
            and plan.customer_id = options.customer_id
    group by plan.policy_code, plan.segment_key

),

joined as (

    select
        policies.policy_code,
        segments.segment_key,
        segments.segment_name,
        segments.display_order,
        coalesce(overrides.primary_channel, strategies.primary_channel) as primary_channel,
        coalesce(overrides.incentive_depth_pct, strategies.incentive_depth_pct)
            as incentive_depth_pct,
        coalesce(cast(overrides.expected_save_rate as {{ double }}), save_rates.save_rate)
            as save_rate,
        {% for measure in measures %}
        coalesce(totals.{{ measure }}, 0) as {{ measure }},
        {% endfor %}
        overrides.segment_key is not null as is_changed
    from policies
    cross join segments
    inner join strategies
        on segments.segment_key = strategies.segment_key
    inner join save_rates
        on segments.segment_key = save_rates.segment_key
    left join overrides
        on
            segments.segment_key = overrides.segment_key
            and policies.policy_code = 'what_if'
    left join totals
        on
            policies.policy_code = totals.policy_code
            and segments.segment_key = totals.segment_key

)

select
    joined.policy_code,
    joined.segment_key,
    joined.segment_name,
    joined.display_order,
    joined.primary_channel,
    cast(joined.incentive_depth_pct as numeric(5, 2)) as incentive_depth_pct,
    joined.save_rate,
    {% for measure in measures %}
    cast(joined.{{ measure }} as {{ 'integer' if measure.endswith('count') else total }})
        as {{ measure }},
    {% endfor %}
    cast(joined.planned_incremental_margin - joined.planned_cost as {{ total }})
        as planned_return,
    cast(joined.treated_count - current_policy.treated_count as integer)
        as treated_count_difference,
    cast(joined.planned_cost - current_policy.planned_cost as {{ total }})
        as planned_cost_difference,
    cast(
        joined.planned_incremental_margin - joined.planned_cost
        - current_policy.planned_incremental_margin + current_policy.planned_cost as {{ total }}
    ) as planned_return_difference,
    joined.is_changed
from joined
inner join joined as current_policy
    on
        joined.segment_key = current_policy.segment_key
        and current_policy.policy_code = 'current'
