-- Grain: one row per (experiment_code, report_scope, period_start): the global experiment in a
-- quarter (`quarter`), and from its first day to the end of the quarter (`cumulative`).
-- Of a quarter count the customers assigned at or before its first day, and what they did in it; the
-- first one begins with the first assignment. Cumulative is the sum over the quarters in which a
-- customer counts. A quarter that is not over has sizes only.
{{ config(
    indexes=[
        {'columns': ['experiment_code', 'report_scope', 'period_start'], 'unique': true},
    ] if target.type == 'postgres' else []
) }}
{%- set double = type_double() %}
{%- set arms = ['treated', 'holdout'] %}
{%- set quarter_start = dbt.date_trunc('quarter', 'spans.first_date') %}
{%- set key = 'experiment_code, report_scope, period_start' %}
with

current_dates as (

    select as_of_date
    from {{ ref('int_as_of_dates') }}
    where is_current

),

members as (

    select
        experiment_code,
        customer_id,
        is_control,
        assigned_on
    from {{ ref('holdout_assignments') }}
    where is_global

),

-- A global experiment is over on the day after its last one.
spans as (

    select
        members.experiment_code,
        min(members.assigned_on) as first_date,
        min(
            case
                when experiments.valid_to < current_dates.as_of_date
                    then cast({{ dbt.dateadd('day', 1, 'experiments.valid_to') | trim }} as date)
            end
        ) as end_date,
        min(current_dates.as_of_date) as as_of_date
    from members
    cross join current_dates
    left join {{ ref('policy_holdouts') }} as experiments
        on members.experiment_code = experiments.experiment_code
    group by members.experiment_code

),

digits as (

    {% for digit in range(10) %}
    select {{ digit }} as digit
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

-- A hundred quarters.
numbers as (

    select 10 * tens.digit + ones.digit as quarter_number
    from digits as tens
    cross join digits as ones

),

quarters as (

    select
        spans.experiment_code,
        spans.first_date,
        spans.end_date,
        spans.as_of_date,
        cast({{ dbt.dateadd('month', '3 * numbers.quarter_number', quarter_start) | trim }} as date)
            as quarter_start,
        cast(
            {{ dbt.dateadd('month', '3 * numbers.quarter_number + 3', quarter_start) | trim }}
            as date
        ) as quarter_end
    from spans
    cross join numbers

),

periods as (

    select
        experiment_code,
        as_of_date,
        greatest(quarter_start, first_date) as period_start,
        least(quarter_end, coalesce(end_date, quarter_end)) as period_end
    from quarters
    where
        quarter_start < as_of_date
        and (end_date is null or quarter_start < end_date)

),

counting as (

    select
        periods.experiment_code,
        periods.period_start,
        periods.period_end,
        periods.period_end <= periods.as_of_date as is_finished,
        members.customer_id,
        members.is_control
    from periods
    inner join members
        on
            periods.experiment_code = members.experiment_code
            and periods.period_start >= members.assigned_on

),

order_sums as (

    select
        counting.experiment_code,
        counting.period_start,
        counting.customer_id,
        sum(orders.order_count) as order_count,
        sum(orders.net_revenue) as revenue
    from counting
    inner join {{ ref('int_orders') }} as orders
        on
            counting.customer_id = orders.customer_id
            and counting.period_start <= orders.sale_date
            and counting.period_end > orders.sale_date
    where counting.is_finished
    group by counting.experiment_code, counting.period_start, counting.customer_id

),

contact_sums as (

    select
        counting.experiment_code,
        counting.period_start,
        counting.customer_id,
        count(*) as contact_count
    from counting
    inner join {{ ref('stg_campaign_contacts') }} as contacts
        on
            counting.customer_id = contacts.customer_id
            and counting.period_start <= contacts.contact_date
            and counting.period_end > contacts.contact_date
    where counting.is_finished
    group by counting.experiment_code, counting.period_start, counting.customer_id

),

by_quarter as (

    select
        counting.experiment_code,
        counting.period_start,
        counting.period_end,
        counting.is_finished,
        counting.customer_id,
        counting.is_control,
        coalesce(order_sums.order_count, 0) as order_count,
        cast(coalesce(order_sums.revenue, 0) as {{ type_money_total() }}) as revenue,
        coalesce(contact_sums.contact_count, 0) as contact_count
    from counting
    left join order_sums
        on
            counting.experiment_code = order_sums.experiment_code
            and counting.period_start = order_sums.period_start
            and counting.customer_id = order_sums.customer_id
    left join contact_sums
        on
            counting.experiment_code = contact_sums.experiment_code
            and counting.period_start = contact_sums.period_start
            and counting.customer_id = contact_sums.customer_id

),

customers as (

    select
        'quarter' as report_scope,
        *
    from by_quarter
    union all
    select
        'cumulative' as report_scope,
        experiment_code,
        period_start,
        period_end,
        is_finished,
        customer_id,
        is_control,
        sum(order_count) over up_to_quarter as order_count,
        cast(sum(revenue) over up_to_quarter as {{ type_money_total() }}) as revenue,
        sum(contact_count) over up_to_quarter as contact_count
    from by_quarter
    window up_to_quarter as (
        partition by experiment_code, customer_id order by period_start
        rows between unbounded preceding and current row
    )

),

means as (

    select
        {{ key }},
        {{ money_per('sum(revenue)', 'count(*)') }} as mean_revenue
    from customers
    group by {{ key }}

),

-- Squares are of deviations from the mean to the cent: exact, and no digits are lost.
deviations as (

    select
        customers.*,
        cast(customers.revenue - means.mean_revenue as numeric(18, 2)) as deviation
    from customers
    inner join means
        on
            customers.experiment_code = means.experiment_code
            and customers.report_scope = means.report_scope
            and customers.period_start = means.period_start

),

sums as (

    select
        {{ key }},
        period_end,
        is_finished,
        {% for arm in arms %}
        {%- set own = 'is_control' if arm == 'holdout' else 'not is_control' %}
        count(case when {{ own }} then 1 end) as {{ arm }}_count,
        count(case when {{ own }} and order_count > 0 then 1 end) as {{ arm }}_retained_count,
        count(case when {{ own }} and contact_count > 0 then 1 end) as {{ arm }}_contacted_count,
        coalesce(sum(case when {{ own }} then order_count end), 0) as {{ arm }}_order_count,
        coalesce(sum(case when {{ own }} then revenue end), 0) as {{ arm }}_revenue,
        coalesce(sum(case when {{ own }} then deviation end), 0) as {{ arm }}_deviations,
        coalesce(sum(case when {{ own }} then deviation * deviation end), 0)
            as {{ arm }}_squares{{ ',' if not loop.last }}
        {% endfor %}
    from deviations
    group by {{ key }}, period_end, is_finished

),

sized as (

    select
        {{ key }},
        period_end,
        is_finished,
        {% for arm in arms %}
        {{ arm }}_count,
        {{ arm }}_contacted_count,
        {{ arm }}_revenue,
        {{ arm }}_order_count,
        nullif(cast({{ arm }}_count as {{ double }}), 0) as {{ arm }}_size,
        cast({{ arm }}_retained_count as {{ double }}) as {{ arm }}_retained,
        cast({{ arm }}_deviations as {{ double }}) as {{ arm }}_deviations,
        cast({{ arm }}_squares as {{ double }}) as {{ arm }}_squares,
        {% endfor %}
        is_finished and treated_count > 0 and holdout_count > 0 as is_comparable
    from sums

),

rates as (

    select
        *,
        {% for arm in arms %}
        {{ arm }}_retained / {{ arm }}_size as {{ arm }}_rate,
        {{ arm }}_deviations / {{ arm }}_size as {{ arm }}_mean,
        case
            when {{ arm }}_count > 1
                then greatest(
                    {{ arm }}_squares - {{ arm }}_deviations * {{ arm }}_deviations / {{ arm }}_size, 0
                ) / (({{ arm }}_size - 1) * {{ arm }}_size)
        end as {{ arm }}_variance,
        {% endfor %}
        (treated_retained + holdout_retained) / (treated_size + holdout_size) as pooled_rate
    from sized

),

errors as (

    select
        *,
        treated_mean - holdout_mean as mean_difference,
        sqrt(treated_variance + holdout_variance) as revenue_error,
        power(treated_variance + holdout_variance, 2)
        / nullif(
            power(treated_variance, 2) / nullif(treated_size - 1, 0)
            + power(holdout_variance, 2) / nullif(holdout_size - 1, 0),
            0
        ) as revenue_df,
        is_comparable and pooled_rate > 0 and pooled_rate < 1 as has_retention,
        sqrt(
            greatest(pooled_rate * (1 - pooled_rate), 0) * (1 / treated_size + 1 / holdout_size)
        ) as retention_error
    from rates

),

scores as (

    select
        *,
        case when has_retention then treated_rate - holdout_rate end as retention_difference,
        case
            when has_retention then (treated_rate - holdout_rate) / retention_error
        end as retention_score,
        case when is_comparable then mean_difference end as revenue_difference,
        case
            when is_comparable and revenue_error > 0 then mean_difference / revenue_error
        end as revenue_score
    from errors

),

tested as (

    select
        *,
        case
            when revenue_score is not null
                then revenue_error * {{ student_975('revenue_df') }}
        end as revenue_margin_of_error,
        case
            when revenue_score is not null
                then {{ student_two_sided('revenue_score', 'revenue_df') }}
        end as revenue_p_value,
        case
            when has_retention then {{ normal_two_sided('retention_score') }}
        end as retention_p_value
    from scores
    {{ fence() }}

)

select
    experiment_code,
    report_scope,
    period_start,
    period_end,
    cast(treated_count as integer) as treated_count,
    cast(holdout_count as integer) as holdout_count,
    {% for arm in arms %}
    case when is_finished then {{ nine_digits(arm ~ '_rate') }} end as {{ arm }}_retention,
    {% endfor %}
    {{ nine_digits('retention_difference') }} as retention_lift,
    {% for side in ['low', 'high'] %}
    case
        when has_retention
            then {{ nine_digits(newcombe_bound(
                'treated_rate', 'treated_size', 'holdout_rate', 'holdout_size', side
            )) }}
    end as retention_lift_{{ side }},
    {% endfor %}
    {{ nine_digits('retention_p_value') }} as retention_p_value,
    {% for arm in arms %}
    case
        when is_finished
            then {{ nine_digits('cast(' ~ arm ~ '_order_count as ' ~ double ~ ') / ' ~ arm ~ '_size') }}
    end as {{ arm }}_orders_per_customer,
    {% endfor %}
    {% for arm in arms %}
    case
        when is_finished
            then {{ money_per(arm ~ '_revenue', arm ~ '_count') }}
    end as {{ arm }}_revenue_per_customer,
    {% endfor %}
    {{ nine_digits('revenue_difference') }} as revenue_lift,
    {{ nine_digits('revenue_difference - revenue_margin_of_error') }} as revenue_lift_low,
    {{ nine_digits('revenue_difference + revenue_margin_of_error') }} as revenue_lift_high,
    {{ nine_digits('revenue_p_value') }} as revenue_p_value,
    {% for name, amount in {
        'incremental_revenue': 'revenue_difference',
        'incremental_revenue_low': 'revenue_difference - revenue_margin_of_error',
        'incremental_revenue_high': 'revenue_difference + revenue_margin_of_error',
    }.items() %}
    cast(({{ amount }}) * treated_size as {{ type_money_total() }}) as {{ name }},
    {% endfor %}
    case
        when is_finished and {{ is_using('campaign_contacts') | lower }}
            then cast(holdout_contacted_count as integer)
    end as holdout_contacted_count,
    case
        when is_finished and {{ is_using('campaign_contacts') | lower }}
            then {{ nine_digits('holdout_contacted_count / holdout_size') }}
    end as contamination_share,
    {{ notes([
        ["not is_finished", "'The quarter is not over'"],
        ["treated_count = 0 or holdout_count = 0", "'One arm is empty: nothing to compare'"],
        ["is_comparable and pooled_rate = 0", "'Nobody came back'"],
        ["is_comparable and pooled_rate = 1", "'Everybody came back'"],
        ["is_comparable and (treated_count < 2 or holdout_count < 2)",
            "'One customer has no spread: no interval for revenue'"],
        ["is_finished and not " ~ (is_using('campaign_contacts') | lower),
            "'Contacts are not known (using_campaign_contacts), so neither is contamination'"],
        ["is_finished and " ~ (is_using('campaign_contacts') | lower) ~ " and holdout_contacted_count > 0",
            dbt.concat([number_text('holdout_contacted_count'),
                "' held-out customers were contacted, which hides a part of the effect'"])],
    ]) }} as note,
    is_finished
from tested
