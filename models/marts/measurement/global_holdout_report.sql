-- Grain: one row per (experiment_code, report_scope, period_start): the global experiment in a
-- quarter (`quarter`), and from its first day to the end of the quarter (`cumulative`). A quarter
-- that is not over has sizes only.
{{ config(
    indexes=[
        {'columns': ['experiment_code', 'report_scope', 'period_start'], 'unique': true},
    ] if target.type == 'postgres' else []
) }}
{%- set double = type_double() %}
{%- set arms = ['treated', 'holdout'] %}
{%- set key = 'experiment_code, report_scope, period_start' %}
with

sums as (

    select * from {{ ref('int_global_holdout_sums') }}

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
