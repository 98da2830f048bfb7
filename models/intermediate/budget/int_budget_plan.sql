-- Grain: one row per (policy_code, customer_id) of the customers known at the current date: who is
-- treated within the budget and how, by the steps of int_budget_steps. A customer has the treatment
-- of the last step taken; where none is taken, that of the first one is shown, and where none pays,
-- that of the strategy. `full_` is what the customer would get without a limit of the budget.
with

options as (

    select
        policy_code,
        customer_id,
        as_of_date,
        segment_key,
        strategy_code,
        channel,
        low_touch_channel,
        save_rate,
        low_touch_save_rate,
        contact_cost,
        incentive_cost,
        total_cost,
        incremental_margin,
        low_touch_contact_cost,
        low_touch_incentive_cost,
        low_touch_total_cost,
        low_touch_incremental_margin,
        is_high_touch,
        is_capped,
        is_low_touch_capped,
        block_reason
    from {{ ref('int_treatment_options') }}

),

steps as (

    select
        policy_code,
        customer_id,
        min(plan_rank) as plan_rank,
        min(cumulative_cost) as cumulative_cost,
        max(case when step_number = 2 then plan_rank end) as upgrade_rank,
        max(case when step_number = 2 then cumulative_cost end) as upgrade_cumulative_cost,
        sum(case when plan_rank is not null then step_cost end) as full_cost,
        sum(case when plan_rank is not null then step_margin end) as full_incremental_margin,
        sum(case when is_taken then 1 else 0 end) > 0 as is_treated,
        sum(case when is_taken and treatment = 'high_touch' then 1 else 0 end) > 0 as has_person,
        sum(case when treatment = 'low_touch' then 1 else 0 end) > 0 as starts_without_person,
        sum(case when is_beyond_capacity then 1 else 0 end) > 0 as is_beyond_capacity
    from {{ ref('int_budget_steps') }}
    group by policy_code, customer_id

),

with_treatments as (

    select
        options.*,
        steps.plan_rank,
        steps.cumulative_cost,
        steps.upgrade_rank,
        steps.upgrade_cumulative_cost,
        steps.full_cost,
        steps.full_incremental_margin,
        coalesce(steps.is_treated, false) as is_treated,
        coalesce(steps.is_beyond_capacity, false) as is_beyond_capacity,
        case
            when not options.is_high_touch then 'standard'
            when steps.has_person then 'high_touch'
            when steps.starts_without_person then 'low_touch'
            when
                options.low_touch_total_cost is not null
                and (options.total_cost is null or steps.is_beyond_capacity)
                then 'low_touch'
            else 'high_touch'
        end as treatment,
        case
            when options.block_reason is not null then options.block_reason
            when steps.is_treated then null
            when steps.plan_rank is not null then 'over_budget'
            when steps.is_beyond_capacity then 'beyond_capacity'
            when
                (options.is_capped and options.incremental_margin > options.total_cost)
                or (
                    options.is_low_touch_capped
                    and options.low_touch_incremental_margin > options.low_touch_total_cost
                )
                then 'contacted_too_recently'
            else 'unprofitable'
        end as exclusion_reason
    from options
    left join steps
        on
            options.policy_code = steps.policy_code
            and options.customer_id = steps.customer_id

),

treatments as (

    select
        {% for column in [
            'channel', 'save_rate', 'contact_cost', 'incentive_cost', 'total_cost', 'incremental_margin',
        ] -%}
        case when treatment = 'low_touch' then low_touch_{{ column }} else {{ column }} end
            as {{ column }},
        {% endfor -%}
        policy_code,
        customer_id,
        as_of_date,
        segment_key,
        strategy_code,
        treatment,
        full_cost,
        full_incremental_margin,
        plan_rank,
        cumulative_cost,
        upgrade_rank,
        upgrade_cumulative_cost,
        is_high_touch,
        is_beyond_capacity,
        is_treated,
        exclusion_reason
    from with_treatments

)

select
    policy_code,
    customer_id,
    as_of_date,
    segment_key,
    strategy_code,
    treatment,
    channel,
    save_rate,
    contact_cost,
    incentive_cost,
    cast(total_cost as {{ type_unit_money() }}) as total_cost,
    cast(incremental_margin as {{ type_unit_money() }}) as incremental_margin,
    {{ rounded_ratio('incremental_margin', 'total_cost') }} as return_on_cost,
    cast(coalesce(full_cost, total_cost) as {{ type_unit_money() }}) as full_cost,
    cast(coalesce(full_incremental_margin, incremental_margin) as {{ type_unit_money() }})
        as full_incremental_margin,
    plan_rank,
    cast(cumulative_cost as {{ type_unit_money_total() }}) as cumulative_cost,
    upgrade_rank,
    cast(upgrade_cumulative_cost as {{ type_unit_money_total() }}) as upgrade_cumulative_cost,
    is_high_touch,
    is_beyond_capacity,
    is_treated,
    exclusion_reason
from treatments
