-- Grain: one row per (policy_code, customer_id) of the customers known at the current date: who is
-- treated within the budget and how. The order is margin per unit of cost, then margin, then
-- customer_id; what costs nothing comes first. Treated is everybody before the first who does not
-- fit, and nobody after, so that a larger budget treats the same customers and more. How a customer
-- would be treated does not depend on the budget: a person where that pays and high_touch_capacity
-- is not used up by better ones, the treatment without a person where that pays.
{%- set budget = var('retention_budget') %}
{%- set capacity = var('high_touch_capacity') %}
{%- set by_return = "return_on_cost desc nulls first, incremental_margin desc, "
    ~ bytewise('customer_id') ~ " asc" %}
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
        block_reason,
        {{ rounded_ratio('incremental_margin', 'total_cost') }} as return_on_cost,
        coalesce(block_reason is null and incremental_margin > total_cost, false) as is_profitable,
        coalesce(
            block_reason is null and low_touch_incremental_margin > low_touch_total_cost, false
        ) as is_profitable_without_person
    from {{ ref('int_treatment_options') }}

),

high_touch_places as (

    select
        policy_code,
        customer_id,
        row_number() over (partition by policy_code order by {{ by_return }}) as place
    from options
    where is_high_touch and is_profitable

),

with_treatments as (

    select
        options.*,
        case
            when not options.is_high_touch then 'standard'
            {%- if capacity is not none %}
            when high_touch_places.place <= {{ capacity }} then 'high_touch'
            {%- else %}
            when high_touch_places.place is not null then 'high_touch'
            {%- endif %}
            when options.is_profitable_without_person then 'low_touch'
            when options.total_cost is null and options.low_touch_total_cost is not null
                then 'low_touch'
            when high_touch_places.place is not null and options.low_touch_total_cost is not null
                then 'low_touch'
            else 'high_touch'
        end as treatment,
        high_touch_places.place
    from options
    left join high_touch_places
        on
            options.policy_code = high_touch_places.policy_code
            and options.customer_id = high_touch_places.customer_id

),

treatments as (

    select
        policy_code,
        customer_id,
        as_of_date,
        segment_key,
        strategy_code,
        treatment,
        {% for column in [
            'channel', 'save_rate', 'contact_cost', 'incentive_cost', 'total_cost', 'incremental_margin',
        ] -%}
        case when treatment = 'low_touch' then low_touch_{{ column }} else {{ column }} end
            as {{ column }},
        {% endfor -%}
        is_high_touch,
        block_reason,
        case
            when treatment = 'low_touch' then is_profitable_without_person
            {%- if capacity is not none %}
            when treatment = 'high_touch' then coalesce(place <= {{ capacity }}, false)
            {%- endif %}
            else is_profitable
        end as is_profitable,
        {% if capacity is none -%}
        false as is_beyond_capacity
        {%- else -%}
        coalesce(place > {{ capacity }}, false) as is_beyond_capacity
        {%- endif %}
    from with_treatments

),

ratios as (

    select
        *,
        {{ rounded_ratio('incremental_margin', 'total_cost') }} as return_on_cost
    from treatments

),

ranked as (

    select
        policy_code,
        customer_id,
        row_number() over (partition by policy_code order by {{ by_return }}) as plan_rank,
        cast(
            sum(total_cost) over (
                partition by policy_code order by {{ by_return }}
                rows between unbounded preceding and current row
            ) as {{ type_unit_money_total() }}
        ) as cumulative_cost
    from ratios
    where is_profitable

)

select
    ratios.policy_code,
    ratios.customer_id,
    ratios.as_of_date,
    ratios.segment_key,
    ratios.strategy_code,
    ratios.treatment,
    ratios.channel,
    ratios.save_rate,
    ratios.contact_cost,
    ratios.incentive_cost,
    cast(ratios.total_cost as {{ type_unit_money() }}) as total_cost,
    cast(ratios.incremental_margin as {{ type_unit_money() }}) as incremental_margin,
    ratios.return_on_cost,
    ratios.is_high_touch,
    ratios.is_beyond_capacity,
    cast(ranked.plan_rank as integer) as plan_rank,
    ranked.cumulative_cost,
    coalesce(
        ranked.plan_rank is not null
        {%- if budget is not none %}
        and ranked.cumulative_cost <= cast({{ budget }} as numeric(28, 9))
        {%- endif %},
        false
    ) as is_treated,
    case
        when ratios.block_reason is not null then ratios.block_reason
        when ratios.is_beyond_capacity and ranked.plan_rank is null then 'beyond_capacity'
        when ranked.plan_rank is null then 'unprofitable'
        {%- if budget is not none %}
        when ranked.cumulative_cost > cast({{ budget }} as numeric(28, 9)) then 'over_budget'
        {%- endif %}
    end as exclusion_reason
from ratios
left join ranked
    on
        ratios.policy_code = ranked.policy_code
        and ratios.customer_id = ranked.customer_id
