-- Grain: one row per segment of the active scheme, empty ones too, at the current as-of date: what
-- retention is worth there, and what treating everybody who can be reached would cost and bring.
-- All sums are over customers (int_treatment_options); means are over those expected to lapse, so
-- that lapses x value x save rate is the upside of the segment, but for who can not be reached.
{%- set double = type_double() %}
{%- set total = type_unit_money_total() %}
with

segments as (

    select
        segment_key,
        segment_scheme,
        segment_code,
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

strategies as (

    select
        segment_key,
        strategy_code,
        is_suppressed
    from {{ ref('policy_strategies') }}

),

options as (

    select *
    from {{ ref('int_treatment_options') }}
    where policy_code = 'current'

),

totals as (

    select
        segment_key,
        count(*) as customer_count,
        sum(case when purchase_probability is not null then 1 else 0 end) as scored_count,
        sum(lapse_probability) as expected_lapse_count,
        {% for window in ['horizon', '12m'] %}
        sum(cast(lapse_probability as {{ double }}) * cast(value_{{ window }} as {{ double }}))
        / nullif(
            sum(
                case
                    when value_{{ window }} is not null
                        then cast(lapse_probability as {{ double }})
                end
            ),
            0
        ) as value_per_saved_{{ window }},
        sum(case when is_reachable then incremental_margin_{{ window }} end) as upside_{{ window }},
        {% endfor %}
        sum(case when is_reachable then 1 else 0 end) as reachable_count,
        sum(case when is_reachable and total_cost is null then 1 else 0 end) as cost_unknown_count,
        sum(case when is_value_12m_in_full then 1 else 0 end) as value_in_full_count,
        sum(case when is_reachable then incremental_margin end) as upside,
        sum(case when is_reachable then total_cost end) as treatment_cost
    from options
    group by segment_key

),

joined as (

    select
        segments.*,
        current_dates.as_of_date,
        strategies.strategy_code,
        strategies.is_suppressed,
        save_rates.assumed_save_rate,
        save_rates.measured_save_rate,
        save_rates.measured_standard_error,
        save_rates.measured_weight,
        save_rates.experiment_count,
        save_rates.save_rate,
        save_rates.save_rate_source,
        coalesce(totals.customer_count, 0) as customer_count,
        coalesce(totals.scored_count, 0) as scored_count,
        totals.expected_lapse_count,
        totals.value_per_saved_horizon,
        totals.value_per_saved_12m,
        coalesce(totals.reachable_count, 0) as reachable_count,
        coalesce(totals.cost_unknown_count, 0) as cost_unknown_count,
        coalesce(totals.value_in_full_count, 0) as value_in_full_count,
        totals.upside_horizon,
        totals.upside_12m,
        totals.upside,
        case when coalesce(totals.cost_unknown_count, 0) = 0 then totals.treatment_cost end
            as treatment_cost
    from segments
    inner join strategies
        on segments.segment_key = strategies.segment_key
    inner join {{ ref('int_save_rates') }} as save_rates
        on segments.segment_key = save_rates.segment_key
    left join current_dates
        on 1 = 1
    left join totals
        on segments.segment_key = totals.segment_key

)

select
    segment_key,
    strategy_code,
    as_of_date,
    segment_scheme,
    segment_code,
    segment_name,
    action_priority,
    display_order,
    {{ var('retention_horizon_days') }} as horizon_days,
    save_rate_source,
    case
        when is_suppressed then 'No contact by policy, so there is nothing to gain'
        when customer_count = 0 then 'Nobody is in the segment'
        when scored_count = 0 then 'No purchase probability is known'
        when reachable_count = 0 then 'Nobody can be reached'
        when upside is null then 'No expected revenue is known'
        else {{ notes([
            ['cost_unknown_count > 0', dbt.concat([
                "'The cost of '", customers_text('cost_unknown_count'),
                "' is not known (channel_costs.csv), so there is no return'",
            ])],
            ['cost_unknown_count = 0 and treatment_cost = 0',
                "'The treatment costs nothing (channel_costs.csv), so there is no return on cost'"],
            ["upside_12m is null and '" ~ var('retention_value_window') ~ "' = 'year'",
                "'Twelve months can not be told yet: a saved customer counts with the horizon'"],
            ['value_in_full_count > 0',
                "'What lapsers buy later anyway is not taken off the value of twelve months, which'"
                ~ " || ' may be nearly twice too high: it takes 50 customers who came back about a'"
                ~ " || ' year ago and 50 who did not'"],
            ['not ' ~ ('true' if is_using('customers') else 'false'),
                "'No customers source: all count as reachable who have not unsubscribed'"],
        ]) }}
    end as note,
    cast(customer_count as integer) as customer_count,
    cast(scored_count as integer) as scored_count,
    cast(coalesce(expected_lapse_count, 0) as {{ double }}) as expected_lapse_count,
    cast(expected_lapse_count as {{ double }}) / nullif(scored_count, 0) as expected_lapse_share,
    {{ unit_money('value_per_saved_horizon') }} as value_per_saved_horizon,
    {{ unit_money('value_per_saved_12m') }} as value_per_saved_12m,
    assumed_save_rate,
    measured_save_rate,
    measured_standard_error,
    measured_weight,
    experiment_count,
    save_rate,
    cast(reachable_count as integer) as reachable_count,
    cast(reachable_count as {{ double }}) / nullif(customer_count, 0) as reachable_share,
    cast(cost_unknown_count as integer) as cost_unknown_count,
    {% for column in ['upside_horizon', 'upside_12m', 'upside', 'treatment_cost'] %}
    cast({{ column }} as {{ total }}) as {{ column }},
    {% endfor %}
    cast(upside - treatment_cost as {{ total }}) as expected_return,
    cast({{ rounded_ratio('upside', 'treatment_cost') }} as {{ double }}) as return_on_cost,
    {% for column in ['upside', 'return'] %}
    {%- set amount = {'upside': 'upside', 'return': 'upside - treatment_cost'}[column] %}
    case
        when {{ amount }} is not null and not is_suppressed
            then cast(
                row_number() over (
                    partition by is_suppressed
                    order by {{ amount }} desc nulls last, action_priority, segment_key
                ) as integer
            )
    end as {{ column }}_rank,
    {% endfor %}
    is_suppressed
from joined
