-- Grain: one row per customer known at the current date: treated within the budget or not, how,
-- what it costs and is expected to bring, and why not.
{{ config(
    indexes=[
        {'columns': ['customer_id'], 'unique': true},
        {'columns': ['segment_key']},
    ] if target.type == 'postgres' else []
) }}
{%- set total = type_unit_money_total() %}
{%- set string = dbt.type_string() %}
with

plan as (

    select *
    from {{ ref('int_budget_plan') }}
    where policy_code = 'current'

),

options as (

    select
        customer_id,
        purchase_probability,
        margin_rate,
        value_12m,
        value_given_retention,
        is_value_12m_in_full
    from {{ ref('int_treatment_options') }}
    where policy_code = 'current'

)

select
    plan.customer_id,
    plan.as_of_date,
    plan.segment_key,
    plan.strategy_code,
    plan.treatment,
    plan.channel,
    plan.exclusion_reason,
    case coalesce(plan.exclusion_reason, 'treated')
        when 'treated'
            then {{ dbt.concat([
                "'Treated: '", "cast(cast(plan.incremental_margin as " ~ type_money() ~ ") as "
                ~ string ~ ")", "' of margin expected for '",
                "cast(cast(plan.total_cost as " ~ type_money() ~ ") as " ~ string ~ ")",
                "case when plan.treatment = 'low_touch' and plan.is_beyond_capacity"
                ~ " then '; the places with a person are taken'"
                ~ " when plan.treatment = 'low_touch' and plan.upgrade_rank is not null"
                ~ " then '; a person would pay, but the budget ends before' else '' end",
            ]) }}
        when 'internal_customer' then 'Internal customer'
        when 'suppressed_segment' then 'The strategy of the segment is to make no contact'
        when 'opted_out' then 'Consent refused'
        when 'bounced_or_unsubscribed' then 'Unsubscribed, or messages do not arrive'
        when 'no_consent' then 'Consent is asked for and was not given'
        when 'no_address' then 'No address for the channel'
        when 'no_channel' then 'The strategy names no channel'
        when 'contacted_too_recently' then 'Contacted so recently that the limit is reached'
        when 'holdout' then 'Held out of contacts to measure what they bring'
        when 'no_probability' then 'No purchase probability is known'
        when 'value_unknown' then 'No expected revenue is known'
        when 'cost_unknown' then 'The cost of the channel is not known (channel_costs.csv)'
        when 'beyond_capacity'
            then 'The places with a person are taken, and without one it does not pay'
        when 'unprofitable'
            then {{ dbt.concat([
                "'The margin expected ('",
                "cast(cast(plan.incremental_margin as " ~ type_money() ~ ") as " ~ string ~ ")",
                "') does not exceed the cost ('",
                "cast(cast(plan.total_cost as " ~ type_money() ~ ") as " ~ string ~ ")", "')'",
            ]) }}
        when 'over_budget' then 'The budget ends before'
    end as explanation,
    {%- if var('retention_value_window') == 'year' %}
    case
        when options.value_given_retention is null then cast(null as {{ string }})
        when options.value_12m is null then 'Twelve months can not be told yet: the horizon counts'
        when options.is_value_12m_in_full
            then 'What lapsers buy later anyway is not taken off: may be nearly twice too high'
    end as value_note,
    {%- else %}
    cast(null as {{ string }}) as value_note,
    {%- endif %}
    options.purchase_probability,
    plan.save_rate,
    cast(options.margin_rate as {{ type_double() }}) as margin_rate,
    options.value_given_retention,
    cast(plan.contact_cost as {{ type_unit_money() }}) as contact_cost,
    cast(plan.incentive_cost as {{ type_unit_money() }}) as incentive_cost,
    plan.total_cost as expected_cost,
    plan.incremental_margin as expected_incremental_margin,
    cast(plan.incremental_margin - plan.total_cost as {{ type_unit_money() }}) as expected_return,
    cast(plan.return_on_cost as {{ type_double() }}) as return_on_cost,
    plan.plan_rank,
    plan.cumulative_cost,
    plan.upgrade_rank,
    plan.upgrade_cumulative_cost,
    plan.is_high_touch,
    plan.is_beyond_capacity,
    plan.is_treated
from plan
inner join options
    on plan.customer_id = options.customer_id
