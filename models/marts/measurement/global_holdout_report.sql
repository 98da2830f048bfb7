-- Grain: one row per (experiment_code, report_scope, period_start): the global experiment in a
-- quarter (`quarter`), and from its first day to the end of the quarter (`cumulative`). A quarter
-- that is not over has sizes only.
{{ config(
    indexes=[
        {'columns': ['experiment_code', 'report_scope', 'period_start'], 'unique': true},
    ] if target.type == 'postgres' else []
) }}
{%- set double = type_double() %}
{%- set arms = {'treated': 'treated', 'holdout': 'control'} %}
{%- set key = ['experiment_code', 'report_scope', 'period_start'] %}
{%- set using_contacts = is_using('campaign_contacts') | lower %}
with

sums as (

    select
        *,
        is_finished and treated_count > 0 and holdout_count > 0 as is_comparable
    from {{ ref('int_global_holdout_sums') }}

),

plans as (

    select
        experiment_code,
        cast(min(holdout_share) as {{ double }}) as holdout_share
    from {{ ref('holdout_assignments') }}
    where is_global
    group by experiment_code

),

-- To the tests the held out are the control.
counted as (

    select
        {% for arm, side in arms.items() %}
        cast({{ arm }}_count as {{ double }}) as {{ side }}_count,
        cast({{ arm }}_retained_count as {{ double }}) as {{ side }}_retained,
        cast({{ arm }}_deviations as {{ double }}) as {{ side }}_deviations,
        cast({{ arm }}_squares as {{ double }}) as {{ side }}_revenue_scale,
        {% endfor %}
        {{ key | join(', ') }}
    from sums
    where is_comparable

),

squares as (

    select
        {% for side in arms.values() %}
        {{ side }}_count,
        {{ side }}_retained,
        {{ side }}_deviations / {{ side }}_count as {{ side }}_revenue_mean,
        {{ side }}_revenue_scale - {{ side }}_deviations * {{ side }}_deviations / {{ side }}_count
            as {{ side }}_revenue_squares,
        {{ side }}_revenue_scale,
        {% endfor %}
        {{ key | join(', ') }}
    from counted
    {{ fence() }}

),

{{ two_arms('tests', 'squares', ['revenue']) }},

{{ detectable_lift('detectable', 'tests', key) }},

-- How many standard deviations the held out lie off their share.
joined as (

    select
        sums.*,
        tests.has_retention,
        tests.retention_lift,
        tests.retention_lift_low,
        tests.retention_lift_high,
        tests.retention_p_value,
        tests.revenue_lift,
        tests.revenue_lift_low,
        tests.revenue_lift_high,
        tests.revenue_p_value,
        tests.pooled_rate,
        detectable.detectable_lift,
        (
            sums.holdout_count
            - plans.holdout_share * (sums.treated_count + sums.holdout_count)
        ) / nullif(
            sqrt(
                plans.holdout_share * (1 - plans.holdout_share)
                * (sums.treated_count + sums.holdout_count)
            ),
            0
        ) as srm_score
    from sums
    left join plans
        on sums.experiment_code = plans.experiment_code
    left join tests
        on
            {% for column in key %}
            {{ 'and ' if not loop.first }}sums.{{ column }} = tests.{{ column }}
            {% endfor %}
    left join detectable
        on
            {% for column in key %}
            {{ 'and ' if not loop.first }}sums.{{ column }} = detectable.{{ column }}
            {% endfor %}

),

judged as (

    select
        *,
        {{ normal_two_sided('srm_score') }} as srm_p_value,
        coalesce(
            has_retention
            and {{ has_enough_customers(
                'treated_count', 'holdout_count', 'treated_retained_count + holdout_retained_count',
            ) }},
            false
        ) as has_enough_customers,
        {{ using_contacts }}
        and is_finished
        and {{ is_above_limit('holdout_contacted_count', 'holdout_count') }} as is_contaminated
    from joined
    {{ fence() }}

),

mismatched as (

    select
        *,
        {{ is_mismatch('srm_p_value') }} as is_mismatched
    from judged

),

weighed as (

    select
        *,
        has_enough_customers and not is_mismatched and not is_contaminated as is_adequate
    from mismatched

),

decided as (

    select
        *,
        {{ verdict_word('retention_p_value') }} as verdict
    from weighed

)

select
    experiment_code,
    report_scope,
    period_start,
    period_end,
    cast(treated_count as integer) as treated_count,
    cast(holdout_count as integer) as holdout_count,
    {% for arm in arms %}
    case
        when is_finished
            then {{ nine_digits(
                'cast(' ~ arm ~ '_retained_count as ' ~ double ~ ') / nullif(' ~ arm ~ '_count, 0)'
            ) }}
    end as {{ arm }}_retention,
    {% endfor %}
    {% for column in [
        'retention_lift', 'retention_lift_low', 'retention_lift_high', 'retention_p_value',
    ] %}
    {{ nine_digits(column) }} as {{ column }},
    {% endfor %}
    {% for arm in arms %}
    case
        when is_finished
            then {{ nine_digits(
                'cast(' ~ arm ~ '_order_count as ' ~ double ~ ') / nullif(' ~ arm ~ '_count, 0)'
            ) }}
    end as {{ arm }}_orders_per_customer,
    {% endfor %}
    {% for arm in arms %}
    case
        when is_finished
            then {{ money_per(arm ~ '_revenue', arm ~ '_count') }}
    end as {{ arm }}_revenue_per_customer,
    {% endfor %}
    {% for column in ['revenue_lift', 'revenue_lift_low', 'revenue_lift_high', 'revenue_p_value'] %}
    {{ nine_digits(column) }} as {{ column }},
    {% endfor %}
    {% for name, amount in {
        'incremental_revenue': 'revenue_lift',
        'incremental_revenue_low': 'revenue_lift_low',
        'incremental_revenue_high': 'revenue_lift_high',
    }.items() %}
    cast({{ amount }} * treated_count as {{ type_money_total() }}) as {{ name }},
    {% endfor %}
    case
        when is_finished and {{ using_contacts }} then cast(holdout_contacted_count as integer)
    end as holdout_contacted_count,
    case
        when is_finished and {{ using_contacts }}
            then {{ nine_digits(
                'cast(holdout_contacted_count as ' ~ double ~ ') / nullif(holdout_count, 0)'
            ) }}
    end as contamination_share,
    {{ nine_digits('srm_p_value') }} as srm_p_value,
    {{ nine_digits('detectable_lift') }} as detectable_lift,
    verdict,
    {{ notes([
        ["not is_finished", "'The quarter is not over'"],
        ["treated_count = 0 or holdout_count = 0", "'One arm is empty: nothing to compare'"],
        ["is_comparable and pooled_rate = 0", "'Nobody came back'"],
        ["is_comparable and pooled_rate = 1", "'Everybody came back'"],
        ["is_comparable and (treated_count < 2 or holdout_count < 2)",
            "'One customer has no spread: no interval for revenue'"],
        ["is_comparable and treated_count > 1 and holdout_count > 1 and revenue_p_value is null",
            "'Revenue does not vary within the arms: it has no interval'"],
        ["is_finished and not " ~ using_contacts,
            "'Contacts are not known (using_campaign_contacts), so neither is contamination'"],
        ["is_finished and " ~ using_contacts ~ " and holdout_contacted_count > 0", dbt.concat([
            number_text('holdout_contacted_count'),
            "' held-out customers were contacted, which hides a part of the effect'",
            "case when is_contaminated then ', more than 5 %: the lift is not adequate' else '' end",
        ])],
    ] + verdict_sentences()) }} as note,
    is_finished,
    is_adequate
from decided
