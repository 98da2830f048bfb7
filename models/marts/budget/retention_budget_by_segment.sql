-- Grain: one row per segment of the active scheme: what the plan spends there and expects of it,
-- next to what current_budget_allocation.csv says is spent today. No list says whom today's money
-- reaches, so it is spread evenly over all who can be treated, as the plan without a limit would
-- treat them; what is more than that costs brings nothing.
{%- set double = type_double() %}
{%- set total = type_unit_money_total() %}
with

segments as (

    select
        segment_key,
        segment_name,
        action_priority,
        display_order
    from {{ ref('policy_segments') }}
    where segment_scheme = {{ text_literal(var('segment_scheme')) }}

),

current_dates as (

    select as_of_date
    from {{ ref('int_as_of_dates') }}
    where is_current

),

plan as (

    select *
    from {{ ref('int_budget_plan') }}
    where policy_code = 'current'

),

treatable as (

    select
        *,
        exclusion_reason in ('unprofitable', 'beyond_capacity', 'over_budget') or is_treated
            as is_treatable
    from plan

),

totals as (

    select
        segment_key,
        count(*) as customer_count,
        sum(case when is_treatable then 1 else 0 end) as treatable_count,
        sum(case when plan_rank is not null then 1 else 0 end) as profitable_count,
        sum(case when is_treated then 1 else 0 end) as treated_count,
        sum(case when is_treated and treatment = 'high_touch' then 1 else 0 end)
            as high_touch_count,
        sum(case when is_treated and treatment = 'low_touch' then 1 else 0 end) as low_touch_count,
        sum(
            case
                when is_treated and treatment = 'low_touch' and upgrade_rank is not null then 1
                else 0
            end
        ) as upgrade_over_budget_count,
        sum(case when plan_rank is not null then full_cost else 0 end) as profitable_cost,
        sum(case when is_treated then total_cost else 0 end) as planned_cost,
        sum(case when is_treated then incremental_margin else 0 end) as planned_incremental_margin,
        sum(case when is_treatable then full_cost end) as treatable_cost,
        sum(case when is_treatable then full_incremental_margin end)
            as treatable_incremental_margin
    from treatable
    group by segment_key

),

returns as (

    select
        segment_key,
        min(case when is_taken then return_on_cost end) as last_treated_return,
        max(case when not is_taken then return_on_cost end) as first_excluded_return
    from {{ ref('int_budget_steps') }}
    where policy_code = 'current' and plan_rank is not null
    group by segment_key

),

allocation as (

    select
        segment_key,
        cast(amount as {{ total }}) as amount
    from {{ ref('policy_budget_allocation') }}

),

joined as (

    select
        segments.*,
        current_dates.as_of_date,
        coalesce(totals.customer_count, 0) as customer_count,
        coalesce(totals.treatable_count, 0) as treatable_count,
        coalesce(totals.profitable_count, 0) as profitable_count,
        coalesce(totals.treated_count, 0) as treated_count,
        coalesce(totals.high_touch_count, 0) as high_touch_count,
        coalesce(totals.low_touch_count, 0) as low_touch_count,
        coalesce(totals.upgrade_over_budget_count, 0) as upgrade_over_budget_count,
        coalesce(totals.profitable_cost, 0) as profitable_cost,
        coalesce(totals.planned_cost, 0) as planned_cost,
        coalesce(totals.planned_incremental_margin, 0) as planned_incremental_margin,
        returns.last_treated_return,
        returns.first_excluded_return,
        allocation.amount as allocated_amount,
        coalesce(totals.treatable_cost, 0) as treatable_cost,
        coalesce(totals.treatable_incremental_margin, 0) as treatable_incremental_margin,
        case
            when allocation.amount is null then null
            when totals.treatable_cost > 0
                then least(
                    cast(allocation.amount as {{ double }})
                    / cast(totals.treatable_cost as {{ double }}),
                    1
                )
            when totals.treatable_count > 0 then 1
            else 0
        end as allocated_share
    from segments
    left join current_dates
        on 1 = 1
    left join totals
        on segments.segment_key = totals.segment_key
    left join returns
        on segments.segment_key = returns.segment_key
    left join allocation
        on segments.segment_key = allocation.segment_key

),

allocated as (

    select
        *,
        cast(
            cast(
                allocated_share * cast(treatable_incremental_margin as {{ double }})
                as numeric(28, 9)
            )
            as {{ total }}
        ) as allocated_incremental_margin
    from joined

)

select
    segment_key,
    as_of_date,
    segment_name,
    action_priority,
    display_order,
    {{ notes([
        ['allocated_amount is not null',
            "case when allocated_amount > 0 and treatable_count = 0"
            ~ " then 'Nobody here can be treated: the money allocated brings nothing'"
            ~ " when allocated_amount > treatable_cost"
            ~ " then 'More is allocated than treating everybody costs'"
            ~ " when allocated_amount > profitable_cost"
            ~ " then 'More is allocated than treating all for whom it pays costs'"
            ~ " when allocated_amount < planned_cost then 'The plan spends more here'"
            ~ " when allocated_amount > planned_cost then 'The plan spends less here' end"],
        ['treated_count > 0 and planned_cost = 0',
            "'The treatment costs nothing (channel_costs.csv), so there is no return on cost'"],
    ]) }} as note,
    cast(customer_count as integer) as customer_count,
    cast(treatable_count as integer) as treatable_count,
    cast(profitable_count as integer) as profitable_count,
    cast(treated_count as integer) as treated_count,
    cast(high_touch_count as integer) as high_touch_count,
    cast(low_touch_count as integer) as low_touch_count,
    cast(upgrade_over_budget_count as integer) as upgrade_over_budget_count,
    cast(profitable_cost as {{ total }}) as profitable_cost,
    cast(planned_cost as {{ total }}) as planned_cost,
    cast(planned_incremental_margin as {{ total }}) as planned_incremental_margin,
    cast(planned_incremental_margin - planned_cost as {{ total }}) as planned_return,
    cast(last_treated_return as {{ double }}) as last_treated_return,
    cast(first_excluded_return as {{ double }}) as first_excluded_return,
    allocated_amount,
    {{ nine_digits('allocated_share') }} as allocated_share,
    allocated_incremental_margin,
    cast(allocated_incremental_margin - allocated_amount as {{ total }}) as allocated_return,
    cast(planned_cost - allocated_amount as {{ total }}) as change_of_amount
from allocated
