-- Grain: one row per (policy_code, customer_id, step_number): steps in which money is given out.
-- The first step is the treatment that pays with the most margin per unit of cost, the second adds
-- a person to a treatment without one, for the extra cost and the extra margin. A person has a step
-- only where that adds to the net margin (margin minus cost), and comes with the first one where
-- the treatment without a person has no more margin per cost. So a customer's second step always
-- brings less per cost than the first, and comes after it.
-- The order is margin per unit of cost, then margin, then customer_id; what costs nothing comes
-- first. Taken is every step before the first that does not fit, and none after: a larger budget
-- treats the same customers and more, or adds persons. That loses at most the net margin of the
-- first step left out against the best possible choice (a multiple-choice knapsack).
-- The places with a person go, before the budget is looked at, to those for whom a person adds most
-- to the net margin. Beyond high_touch_capacity the step has no rank.
{%- set budget = var('retention_budget') %}
{%- set capacity = var('high_touch_capacity') %}
{%- set by_return = "partition by policy_code, is_beyond_capacity"
    ~ " order by return_on_cost desc nulls first, step_margin desc, "
    ~ bytewise('customer_id') ~ " asc, step_number asc" %}
with

ways as (

    select
        policy_code,
        customer_id,
        segment_key,
        case when is_capped then null else total_cost end as total_cost,
        incremental_margin,
        case when is_low_touch_capped then null else low_touch_total_cost end
            as low_touch_total_cost,
        low_touch_incremental_margin,
        is_high_touch
    from {{ ref('int_treatment_options') }}
    where block_reason is null

),

gains as (

    select
        *,
        {{ rounded_ratio('incremental_margin', 'total_cost') }} as return_on_cost,
        {{ rounded_ratio('low_touch_incremental_margin', 'low_touch_total_cost') }}
            as low_touch_return_on_cost,
        -- Over the treatment without a person where that pays, else over no treatment.
        incremental_margin - total_cost
        - greatest(coalesce(low_touch_incremental_margin - low_touch_total_cost, 0), 0)
            as net_gain,
        coalesce(low_touch_incremental_margin > low_touch_total_cost, false)
            as is_low_touch_profitable
    from ways

),

with_places as (

    select
        *,
        coalesce(net_gain > 0, false) as is_worth_full,
        row_number() over (
            partition by policy_code, is_high_touch, coalesce(net_gain > 0, false)
            order by net_gain desc, {{ bytewise('customer_id') }} asc
        ) as place
    from gains

),

limited as (

    select
        *,
        {% if capacity is none -%}
        false as is_beyond_capacity
        {%- else -%}
        is_high_touch and is_worth_full and place > {{ capacity }} as is_beyond_capacity
        {%- endif %}
    from with_places

),

with_starts as (

    select
        *,
        is_low_touch_profitable
        and (
            not is_worth_full
            or is_beyond_capacity
            -- No ratio where nothing is to be paid: that is the best one.
            or coalesce(
                low_touch_return_on_cost > return_on_cost,
                low_touch_total_cost = 0 and total_cost > 0
            )
        ) as starts_without_person
    from limited

),

steps as (

    select
        policy_code,
        customer_id,
        1 as step_number,
        segment_key,
        'low_touch' as treatment,
        low_touch_total_cost as step_cost,
        low_touch_incremental_margin as step_margin,
        false as is_beyond_capacity
    from with_starts
    where starts_without_person
    union all
    select
        policy_code,
        customer_id,
        case when starts_without_person then 2 else 1 end as step_number,
        segment_key,
        case when is_high_touch then 'high_touch' else 'standard' end as treatment,
        total_cost - case when starts_without_person then low_touch_total_cost else 0 end
            as step_cost,
        incremental_margin
        - case when starts_without_person then low_touch_incremental_margin else 0 end
            as step_margin,
        is_beyond_capacity
    from with_starts
    where is_worth_full

),

ratios as (

    select
        *,
        {{ rounded_ratio('step_margin', 'step_cost') }} as return_on_cost
    from steps

),

ranked as (

    select
        *,
        case
            when not is_beyond_capacity then row_number() over ({{ by_return }})
        end as plan_rank,
        case
            when not is_beyond_capacity
                then sum(step_cost) over (
                    {{ by_return }} rows between unbounded preceding and current row
                )
        end as cumulative_cost
    from ratios

)

select
    policy_code,
    customer_id,
    step_number,
    segment_key,
    treatment,
    cast(step_cost as {{ type_unit_money() }}) as step_cost,
    cast(step_margin as {{ type_unit_money() }}) as step_margin,
    return_on_cost,
    cast(plan_rank as integer) as plan_rank,
    cast(cumulative_cost as {{ type_unit_money_total() }}) as cumulative_cost,
    is_beyond_capacity,
    coalesce(
        plan_rank is not null
        {%- if budget is not none %}
        and cumulative_cost <= cast({{ budget }} as numeric(28, 9))
        {%- endif %},
        false
    ) as is_taken
from ranked
