-- Grain: one row per (policy_code, customer_id) of the customers known at the current date: what
-- treating the customer costs and is expected to bring, and what stands in the way. `current` is
-- strategy_policy.csv; `what_if` the same with the cells of what_if_policy.csv in their place, only
-- where that file names a segment of the active scheme. A treatment is the contacts of one horizon.
-- It goes over the primary channel, or over the secondary one where the first can not be used. An
-- incentive costs its depth of the expected order, from those who order and use it. Who would have
-- come back anyway costs too, and brings nothing.
{%- set double = type_double() %}
{%- set string = dbt.type_string() %}
{%- set scheme = text_literal(var('segment_scheme')) %}
{%- set rest_ends = dbt.dateadd(
    'day', 'treatments.contact_cadence_days', 'treatments.last_contact_date'
) | trim %}
{%- set null_code = 'cast(null as ' ~ string ~ ')' %}
with

customers as (

    select
        as_of_date,
        customer_id,
        segment_key,
        published_segment_key,
        frequency_score,
        order_count,
        net_revenue
    from {{ ref('customer_segments') }}

),

propensities as (

    select
        customer_id,
        cast(purchase_probability as numeric(18, 9)) as purchase_probability,
        cast(expected_orders as {{ double }}) as expected_orders,
        cast(expected_revenue as {{ double }}) as expected_revenue,
        cast(expected_revenue_12m as {{ double }}) as expected_revenue_12m
    from {{ ref('customer_propensity') }}

),

strategies as (

    select
        policy_strategies.segment_key,
        policy_strategies.strategy_code,
        policy_strategies.incentive_depth_pct,
        policy_strategies.primary_channel,
        policy_strategies.secondary_channel,
        policy_strategies.contact_cadence_days,
        policy_strategies.is_high_touch,
        policy_strategies.is_suppressed,
        save_rates.save_rate
    from {{ ref('policy_strategies') }} as policy_strategies
    inner join {{ ref('int_save_rates') }} as save_rates
        on policy_strategies.segment_key = save_rates.segment_key

),

overrides as (

    select *
    from {{ ref('policy_what_if') }}
    where segment_scheme = {{ scheme }}

),

policies as (

    select
        'current' as policy_code,
        segment_key,
        strategy_code,
        incentive_depth_pct,
        primary_channel,
        secondary_channel,
        contact_cadence_days,
        is_high_touch,
        is_suppressed,
        save_rate
    from strategies
    union all
    select
        'what_if' as policy_code,
        strategies.segment_key,
        strategies.strategy_code,
        coalesce(overrides.incentive_depth_pct, strategies.incentive_depth_pct)
            as incentive_depth_pct,
        coalesce(overrides.primary_channel, strategies.primary_channel) as primary_channel,
        strategies.secondary_channel,
        strategies.contact_cadence_days,
        strategies.is_high_touch,
        case
            when overrides.primary_channel = 'none' then true
            when overrides.primary_channel is not null then false
            else strategies.is_suppressed
        end as is_suppressed,
        coalesce(cast(overrides.expected_save_rate as {{ double }}), strategies.save_rate)
            as save_rate
    from strategies
    left join overrides
        on strategies.segment_key = overrides.segment_key
    where exists (select any_override.segment_key from overrides as any_override)

),

costs as (

    select
        channel,
        cast(cost_per_contact * contacts_per_treatment as {{ type_unit_money() }})
            as contact_cost,
        cast(redemption_rate as {{ double }}) as redemption_rate,
        cast(high_touch_extra_cost as {{ type_unit_money() }}) as high_touch_extra_cost,
        cast(low_touch_save_factor as {{ double }}) as low_touch_save_factor
    from {{ ref('policy_channel_costs') }}

),

last_contacts as (

    select
        customer_id,
        max(contact_date) as last_contact_date
    from {{ ref('stg_campaign_contacts') }}
    group by customer_id

),

-- A list of the channel has reached its limit of contacts, and no other list of it would take the
-- customer.
capped as (

    select
        customer_id,
        channel
    from {{ ref('int_audience_candidates') }}
    group by customer_id, channel
    having
        max(case when suppression_reason = 'contacted_too_recently' then 1 else 0 end) = 1
        and max(case when suppression_reason is null then 1 else 0 end) = 0

),

joined as (

    select
        {% for side in ['primary', 'secondary'] %}
        {%- set channel = 'policies.' ~ side ~ '_channel' %}
        case
            when {{ channel }} is null or {{ channel }} = 'none' then 'no_channel'
            {%- if is_using('customers') %}
            else {{ contact_block_reason(
                'reach', channel, channel ~ " in ('email', 'sms', 'ads')"
            ) }}
            {%- else %}
            when {{ has_flag("coalesce(reach.stopped_channels, '|')", channel) }}
                then 'bounced_or_unsubscribed'
            {%- endif %}
        end as {{ side }}_block_reason,
        {% endfor %}
        policies.policy_code,
        customers.as_of_date,
        customers.customer_id,
        customers.segment_key,
        policies.strategy_code,
        policies.incentive_depth_pct,
        policies.primary_channel,
        policies.secondary_channel,
        policies.contact_cadence_days,
        policies.is_high_touch,
        policies.save_rate,
        policies.is_suppressed or published_policies.is_suppressed as is_suppressed,
        coalesce(reach.is_internal, false) as is_internal,
        holdouts.customer_id is not null as is_held_out,
        last_contacts.last_contact_date,
        propensities.purchase_probability,
        1 - propensities.purchase_probability as lapse_probability,
        propensities.expected_revenue,
        propensities.expected_revenue_12m,
        -- Below one in a thousand cents of the expected revenue would be multiplied.
        greatest(cast(propensities.purchase_probability as {{ double }}), 0.001) as divisor,
        case
            when propensities.expected_orders >= 0.01
                then propensities.expected_revenue / propensities.expected_orders
            when customers.order_count > 0
                then greatest(
                    cast(customers.net_revenue as {{ double }}) / customers.order_count, 0
                )
        end as expected_basket,
        coalesce(margins.margin_rate, cast({{ var('margin_rate') }} as {{ double }}))
            as margin_rate,
        retained_values.year_share,
        coalesce(retained_values.is_measured, false) as is_year_share_measured
    from customers
    inner join policies
        on customers.segment_key = policies.segment_key
    inner join policies as published_policies
        on
            customers.published_segment_key = published_policies.segment_key
            and policies.policy_code = published_policies.policy_code
    left join propensities
        on customers.customer_id = propensities.customer_id
    left join {{ ref('int_customer_margins') }} as margins
        on customers.customer_id = margins.customer_id
    left join {{ ref('int_retained_values') }} as retained_values
        on customers.frequency_score = retained_values.frequency_score
    left join {{ ref('int_customer_reach') }} as reach
        on customers.customer_id = reach.customer_id
    left join {{ ref('int_holdout_customers') }} as holdouts
        on customers.customer_id = holdouts.customer_id
    left join last_contacts
        on customers.customer_id = last_contacts.customer_id

),

-- Without a person the first channel that can do without one.
with_channels as (

    select
        joined.*,
        case
            when joined.primary_block_reason is null then joined.primary_channel
            when joined.secondary_block_reason is null then joined.secondary_channel
        end as channel,
        case
            when not joined.is_high_touch then {{ null_code }}
            when
                joined.primary_block_reason is null
                and primary_costs.low_touch_save_factor is not null
                then joined.primary_channel
            when
                joined.secondary_block_reason is null
                and secondary_costs.low_touch_save_factor is not null
                then joined.secondary_channel
        end as low_touch_channel
    from joined
    left join costs as primary_costs
        on joined.primary_channel = primary_costs.channel
    left join costs as secondary_costs
        on joined.secondary_channel = secondary_costs.channel

),

treatments as (

    select
        with_channels.*,
        capped.customer_id is not null as is_capped,
        low_touch_capped.customer_id is not null as is_low_touch_capped,
        {{ unit_money('with_channels.expected_basket') }} as basket_amount,
        {{ unit_money(
            'with_channels.margin_rate * with_channels.expected_revenue / with_channels.divisor'
        ) }} as value_horizon,
        {{ unit_money(
            'with_channels.margin_rate * with_channels.expected_revenue_12m'
            ~ ' * with_channels.year_share / with_channels.divisor'
        ) }} as value_12m,
        costs.contact_cost
        + case when with_channels.is_high_touch then costs.high_touch_extra_cost else 0 end
            as contact_cost,
        costs.redemption_rate,
        low_touch_costs.contact_cost as low_touch_contact_cost,
        low_touch_costs.redemption_rate as low_touch_redemption_rate,
        {{ nine_digits('with_channels.save_rate * low_touch_costs.low_touch_save_factor') }}
            as low_touch_save_rate
    from with_channels
    left join costs
        on with_channels.channel = costs.channel
    left join costs as low_touch_costs
        on with_channels.low_touch_channel = low_touch_costs.channel
    left join capped
        on
            with_channels.customer_id = capped.customer_id
            and with_channels.channel = capped.channel
    left join capped as low_touch_capped
        on
            with_channels.customer_id = low_touch_capped.customer_id
            and with_channels.low_touch_channel = low_touch_capped.channel

),

valued as (

    select
        {% for prefix in ['', 'low_touch_'] %}
        case
            when treatments.incentive_depth_pct = 0 then cast(0 as {{ type_unit_money() }})
            else {{ unit_money(
                "cast(treatments.incentive_depth_pct as " ~ double ~ ") / 100"
                ~ " * cast(treatments.basket_amount as " ~ double ~ ")"
                ~ " * treatments." ~ prefix ~ "redemption_rate"
                ~ " * (cast(treatments.purchase_probability as " ~ double ~ ")"
                ~ " + cast(treatments.lapse_probability as " ~ double ~ ")"
                ~ " * treatments." ~ prefix ~ "save_rate)"
            ) }}
        end as {{ prefix }}incentive_cost,
        {% endfor %}
        treatments.*,
        {% if var('retention_value_window') == 'year' -%}
        coalesce(treatments.value_12m, treatments.value_horizon) as value_given_retention,
        {%- else -%}
        treatments.value_horizon as value_given_retention,
        {%- endif %}
        case
            when
                treatments.contact_cadence_days is not null
                and treatments.as_of_date < {{ rest_ends }}
                then true
            when treatments.low_touch_channel is null then treatments.is_capped
            else treatments.is_capped and treatments.is_low_touch_capped
        end as is_contacted_too_recently
    from treatments

),

measured as (

    select
        {% for name, value, save_rate in [
            ('incremental_margin', 'value_given_retention', 'save_rate'),
            ('incremental_margin_horizon', 'value_horizon', 'save_rate'),
            ('incremental_margin_12m', 'value_12m', 'save_rate'),
            ('low_touch_incremental_margin', 'value_given_retention', 'low_touch_save_rate'),
        ] %}
        {{ unit_money(
            "cast(lapse_probability as " ~ double ~ ") * " ~ save_rate
            ~ " * cast(" ~ value ~ " as " ~ double ~ ")"
        ) }} as {{ name }},
        {% endfor %}
        *,
        contact_cost + incentive_cost as total_cost,
        low_touch_contact_cost + low_touch_incentive_cost as low_touch_total_cost
    from valued

)

select
    policy_code,
    customer_id,
    as_of_date,
    segment_key,
    strategy_code,
    channel,
    low_touch_channel,
    cast(purchase_probability as {{ double }}) as purchase_probability,
    cast(lapse_probability as numeric(18, 9)) as lapse_probability,
    margin_rate,
    save_rate,
    low_touch_save_rate,
    basket_amount,
    value_horizon,
    value_12m,
    value_given_retention,
    cast(contact_cost as {{ type_unit_money() }}) as contact_cost,
    cast(incentive_cost as {{ type_unit_money() }}) as incentive_cost,
    cast(total_cost as {{ type_unit_money() }}) as total_cost,
    incremental_margin,
    incremental_margin_horizon,
    incremental_margin_12m,
    cast(low_touch_contact_cost as {{ type_unit_money() }}) as low_touch_contact_cost,
    cast(low_touch_incentive_cost as {{ type_unit_money() }}) as low_touch_incentive_cost,
    cast(low_touch_total_cost as {{ type_unit_money() }}) as low_touch_total_cost,
    low_touch_incremental_margin,
    is_high_touch,
    is_suppressed,
    is_capped,
    is_low_touch_capped,
    value_12m is not null and not is_year_share_measured as is_value_12m_in_full,
    not is_internal and not is_suppressed and channel is not null as is_reachable,
    case
        when is_internal then 'internal_customer'
        when is_suppressed then 'suppressed_segment'
        when channel is null then primary_block_reason
        when is_held_out then 'holdout'
        when is_contacted_too_recently then 'contacted_too_recently'
        when purchase_probability is null then 'no_probability'
        when value_given_retention is null then 'value_unknown'
        when
            (total_cost is null or is_capped)
            and (low_touch_total_cost is null or is_low_touch_capped)
            then 'cost_unknown'
    end as block_reason
from measured
