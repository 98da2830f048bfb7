-- Grain: one row per point of the curve: twenty steps from no budget to the cost of all for whom a
-- treatment pays, and the budget that was asked for (the var retention_budget).
{%- set double = type_double() %}
{%- set total = type_unit_money_total() %}
{%- set budget = var('retention_budget') %}
with

ranked as (

    select
        step_number,
        treatment,
        step_cost,
        step_margin,
        return_on_cost,
        cumulative_cost
    from {{ ref('int_budget_steps') }}
    where policy_code = 'current' and plan_rank is not null

),

current_dates as (

    select as_of_date
    from {{ ref('int_as_of_dates') }}
    where is_current

),

full_costs as (

    select coalesce(max(cumulative_cost), 0) as full_cost
    from ranked

),

points as (

    {% for step in range(0, 21) %}
    select
        'step {{ '%02d' % step }}' as curve_point,
        {{ step }} as step_number,
        cast(full_cost * {{ '%.2f' % (step * 0.05) }} as {{ total }}) as budget
    from full_costs
    union all
    {% endfor %}
    select
        'asked' as curve_point,
        21 as step_number,
        cast({{ 'full_cost' if budget is none else budget }} as {{ total }}) as budget
    from full_costs

),

intervals as (

    select
        *,
        lag(budget) over (order by budget, step_number) as lower_budget
    from points

),

-- Every step belongs to the smallest budget that reaches it; the second one adds a person to a
-- customer who is there already.
added as (

    select
        intervals.step_number,
        sum(case when ranked.step_number = 1 then 1 else 0 end) as treated_count,
        sum(case when ranked.treatment = 'high_touch' then 1 else 0 end) as high_touch_count,
        sum(ranked.step_cost) as spend,
        sum(ranked.step_margin) as incremental_margin,
        min(ranked.return_on_cost) as lowest_return,
        max(ranked.return_on_cost) as highest_return
    from intervals
    inner join ranked
        on
            intervals.budget >= ranked.cumulative_cost
            and (
                intervals.lower_budget is null
                or intervals.lower_budget < ranked.cumulative_cost
            )
    group by intervals.step_number

),

accumulated as (

    select
        intervals.curve_point,
        intervals.step_number,
        intervals.budget,
        {% for measure in ['treated_count', 'high_touch_count', 'spend', 'incremental_margin'] %}
        coalesce(
            sum(added.{{ measure }}) over (
                order by intervals.budget, intervals.step_number
                rows between unbounded preceding and current row
            ),
            0
        ) as {{ measure }},
        {% endfor %}
        min(added.lowest_return) over (
            order by intervals.budget, intervals.step_number
            rows between unbounded preceding and current row
        ) as last_treated_return,
        max(added.highest_return) over (
            order by intervals.budget, intervals.step_number
            rows between 1 following and unbounded following
        ) as first_excluded_return
    from intervals
    left join added
        on intervals.step_number = added.step_number

)

select
    accumulated.curve_point,
    current_dates.as_of_date,
    accumulated.budget,
    cast(accumulated.treated_count as integer) as treated_count,
    cast(accumulated.high_touch_count as integer) as high_touch_count,
    cast(accumulated.spend as {{ total }}) as spend,
    cast(accumulated.incremental_margin as {{ total }}) as incremental_margin,
    cast(accumulated.incremental_margin - accumulated.spend as {{ total }}) as expected_return,
    cast(accumulated.last_treated_return as {{ double }}) as last_treated_return,
    cast(accumulated.first_excluded_return as {{ double }}) as first_excluded_return,
    accumulated.curve_point = 'asked' as is_asked
from accumulated
left join current_dates
    on 1 = 1
