-- The plan never spends more than the budget or uses more places with a person than there are,
-- nobody blocked is treated, and segments, plan and curve tell the same sums.
{%- set budget = var('retention_budget') %}
{%- set capacity = var('high_touch_capacity') %}
{%- set no_limit = '1e30' %}
with

plan as (

    select
        coalesce(sum(case when is_treated then expected_cost else 0 end), 0) as spend,
        coalesce(sum(case when is_treated then expected_return else 0 end), 0) as expected_return,
        sum(case when is_treated then 1 else 0 end) as treated_count,
        sum(case when is_treated and treatment = 'high_touch' then 1 else 0 end)
            as high_touch_count,
        sum(case when is_treated = (exclusion_reason is not null) then 1 else 0 end)
            as contradiction_count
    from {{ ref('retention_budget_plan') }}

),

segments as (

    select
        coalesce(sum(planned_cost), 0) as spend,
        coalesce(sum(planned_return), 0) as expected_return,
        sum(treated_count) as treated_count
    from {{ ref('retention_budget_by_segment') }}

),

asked as (

    select
        spend,
        expected_return,
        treated_count
    from {{ ref('retention_budget_curve') }}
    where is_asked

)

select
    plan.*,
    segments.spend as segment_spend,
    asked.spend as curve_spend
from plan
cross join segments
cross join asked
where
    plan.spend <> segments.spend
    or plan.spend <> asked.spend
    or plan.expected_return <> segments.expected_return
    or plan.expected_return <> asked.expected_return
    or plan.treated_count <> segments.treated_count
    or plan.treated_count <> asked.treated_count
    or plan.contradiction_count > 0
    or plan.spend > cast({{ no_limit if budget is none else budget }} as {{ type_double() }})
    or plan.high_touch_count > {{ no_limit if capacity is none else capacity }}
