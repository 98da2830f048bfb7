-- Grain: one row per (fit_code, variant): how well the purchase probability did on a date that the
-- model had not seen; customers are those of that date (100,000 at most, picked by hash).
-- `judged` is the latest finished date; `earlier` and `earliest` are judged on dates further back.
{{ config(
    indexes=[
        {'columns': ['fit_code', 'variant'], 'unique': true},
    ] if target.type == 'postgres' else []
) }}
{%- set double = type_double() %}
{%- set string = dbt.type_string() %}
{%- set z_95 = z_95() %}
{%- set variants = ['model', 'recalibrated', 'in_sample'] %}
with

judged as (

    select * from {{ ref('int_propensity_judged') }}

),

-- The model and, beside it, the composite score on the same customers.
ranked as (

    select
        fit_code,
        'model' as ranked_by,
        log_odds as value,
        y
    from judged
    where variant = 'model'
    union all
    select
        judged.fit_code,
        'rfm_score' as ranked_by,
        cast(cast(scores.rfm_score as numeric(8, 3)) as {{ double }}) as value,
        judged.y
    from judged
    inner join {{ ref('int_rfm_scores') }} as scores
        on
            judged.as_of_date = scores.as_of_date
            and judged.customer_id = scores.customer_id
    where judged.variant = 'model'

),

valued as (

    select
        fit_code,
        ranked_by,
        value,
        sum(y) as retained_count,
        sum(1 - y) as gone_count
    from ranked
    group by fit_code, ranked_by, value

),

placed as (

    select
        *,
        sum(retained_count) over (partition by fit_code, ranked_by) as total_retained,
        sum(gone_count) over (partition by fit_code, ranked_by) as total_gone,
        sum(retained_count) over up_to as retained_up_to,
        -- In brackets: Spark takes `up_to - gone_count` for one name.
        (sum(gone_count) over up_to) - gone_count as gone_below
    from valued
    window
        up_to as (
            partition by fit_code, ranked_by order by value
            rows between unbounded preceding and current row
        )

),

compared as (

    select
        *,
        (gone_below + gone_count / 2) / nullif(total_gone, 0) as gone_below_share,
        (total_retained - retained_up_to + retained_count / 2) / nullif(total_retained, 0)
            as retained_above_share
    from placed

),

areas as (

    select
        fit_code,
        ranked_by,
        sum(retained_count * gone_below_share) / nullif(max(total_retained), 0) as auc
    from compared
    group by fit_code, ranked_by

),

-- DeLong's variance of an AUC.
measured_areas as (

    select
        compared.fit_code,
        compared.ranked_by,
        max(areas.auc) as auc,
        sqrt(
            sum(
                compared.retained_count
                * (compared.gone_below_share - areas.auc)
                * (compared.gone_below_share - areas.auc)
            ) / nullif(max(compared.total_retained) * (max(compared.total_retained) - 1), 0)
            + sum(
                compared.gone_count
                * (compared.retained_above_share - areas.auc)
                * (compared.retained_above_share - areas.auc)
            ) / nullif(max(compared.total_gone) * (max(compared.total_gone) - 1), 0)
        ) as auc_standard_error
    from compared
    inner join areas
        on
            compared.fit_code = areas.fit_code
            and compared.ranked_by = areas.ranked_by
    group by compared.fit_code, compared.ranked_by

),

-- Orders and money by the formula of customer_propensity, with the factors known at that date, and
-- what then came. Six digits of each customer: sums of floating point differ from run to run.
amounts as (

    select
        judged.fit_code,
        judged.variant,
        observed.future_order_count,
        observed.future_net_revenue,
        {{ expected_orders(
            'judged.probability', 'order_values.extra_order_factor', 'observed.order_pace'
        ) }} as expected_orders,
        {{ expected_order_value(
            'observed.net_revenue',
            'observed.order_count',
            'order_values.order_value',
            'order_values.order_value_factor',
        ) }} as expected_order_value
    from judged
    inner join {{ ref('int_propensity_features') }} as observed
        on
            judged.as_of_date = observed.as_of_date
            and judged.customer_id = observed.customer_id
            and not observed.is_current
    inner join {{ ref('int_propensity_order_values') }} as order_values
        on judged.fit_code = order_values.fit_code

),

total_amounts as (

    select
        fit_code,
        variant,
        sum(cast(expected_orders as numeric(18, 6))) as expected_orders,
        sum(future_order_count) as order_count,
        sum(cast(expected_orders * expected_order_value as numeric(24, 6))) as expected_revenue,
        sum(future_net_revenue) as net_revenue
    from amounts
    group by fit_code, variant

),

current_models as (

    select count(*) > 0 as has_model
    from {{ ref('int_propensity_models') }}
    where fit_code = 'current' and is_converged

),

{{ propensity_line('line') }},

-- What customer_propensity uses now: the model as it is or by a line, or none.
used_now as (

    select
        case
            when current_models.has_model and line.slope is not null then 'recalibrated'
            when current_models.has_model then 'model'
            else 'none'
        end as variant
    from current_models
    left join line
        on 1 = 1

),

levels as (

    select
        fit_code,
        variant,
        max(as_of_date) as as_of_date,
        {{ dbt.bool_or('is_used') }} as is_used,
        count(*) as customer_count,
        sum(y) as retained_count,
        avg(probability) as mean_probability,
        avg((probability - y) * (probability - y)) as brier_score,
        avg(
            greatest(log_odds, cast(0 as {{ double }})) + ln(1 + exp(-abs(log_odds))) - y * log_odds
        ) as log_loss
    from judged
    group by fit_code, variant

),

worst_deciles as (

    select
        fit_code,
        variant,
        max(abs(difference)) as largest_decile_difference,
        sum(case when is_off then 1 else 0 end) as deciles_off,
        sum(case when is_out_of_order then 1 else 0 end) as deciles_out_of_order
    from {{ ref('propensity_deciles') }}
    group by fit_code, variant

),

fits as (

    select
        fit_code,
        {{ dbt.bool_or('is_converged') }} as is_converged
    from {{ ref('int_propensity_models') }}
    group by fit_code

),

windows as (

    select max(horizon_days) as horizon_days
    from {{ ref('int_validation_windows') }}
    where horizon_code = 'horizon'

),

-- A shape that does not change with the data: all fits and variants, with a reason where there is
-- nothing to say.
wanted as (

    {% for fit in judged_fits() %}
    {% set last_fit = loop.last %}
    {% for variant in variants %}
    select
        '{{ fit }}' as fit_code,
        '{{ variant }}' as variant
    {% if not (last_fit and loop.last) %}union all{% endif %}
    {% endfor %}
    {% endfor %}

)

select
    wanted.fit_code,
    wanted.variant,
    levels.as_of_date,
    cast(windows.horizon_days as integer) as horizon_days,
    levels.is_used,
    wanted.variant = used_now.variant as is_used_now,
    wanted.variant = 'in_sample' as is_in_sample,
    cast(levels.customer_count as integer) as customer_count,
    cast(levels.retained_count as integer) as retained_count,
    {{ nine_digits('levels.retained_count / levels.customer_count') }} as retention_rate,
    {{ nine_digits('levels.mean_probability') }} as mean_probability,
    {{ nine_digits('of_model.auc') }} as auc,
    {{ nine_digits('of_model.auc_standard_error') }} as auc_standard_error,
    case
        when of_model.auc_standard_error is not null
            then {{ nine_digits(
                'greatest(of_model.auc - ' ~ z_95 ~ ' * of_model.auc_standard_error, 0)'
            ) }}
    end as auc_low,
    case
        when of_model.auc_standard_error is not null
            then {{ nine_digits(
                'least(of_model.auc + ' ~ z_95 ~ ' * of_model.auc_standard_error, 1)'
            ) }}
    end as auc_high,
    {{ nine_digits('of_scores.auc') }} as auc_of_rfm_score,
    -- A line after a line is a line.
    case wanted.variant
        when 'model' then calibrations.intercept
        when 'recalibrated'
            then
                calibrations.intercept
                - calibrations.slope * calibrations.intercept_before / calibrations.slope_before
        when 'in_sample' then case when calibrations.slope is not null then 0 end
    end as calibration_intercept,
    case wanted.variant
        when 'model' then calibrations.slope
        when 'recalibrated' then calibrations.slope / calibrations.slope_before
        when 'in_sample' then case when calibrations.slope is not null then 1 end
    end as calibration_slope,
    {{ nine_digits('levels.brier_score') }} as brier_score,
    {{ nine_digits('levels.log_loss') }} as log_loss,
    cast(total_amounts.expected_orders as {{ double }}) as expected_orders,
    cast(total_amounts.order_count as integer) as order_count,
    cast(total_amounts.expected_revenue as {{ type_money() }}) as expected_revenue,
    cast(total_amounts.net_revenue as {{ type_money() }}) as net_revenue,
    worst_deciles.largest_decile_difference,
    cast(worst_deciles.deciles_off as integer) as deciles_off,
    cast(worst_deciles.deciles_out_of_order as integer) as deciles_out_of_order,
    case
        when levels.fit_code is null and fits.is_converged
            then
                'No recalibration was known: too few finished dates, fewer than ten customers who'
                || ' came back or did not, or an upside-down line'
        when
            levels.fit_code is null
            and known.retained_customer_count + known.gone_customer_count = 0
            then 'Too few finished dates: at the date of this model none was complete'
        when levels.fit_code is null
            then {{ propensity_no_model(
                'known.retained_customer_count',
                'known.gone_customer_count',
                'fits.fit_code is not null',
            ) }}
        when levels.retained_count = 0 then 'Nobody came back after this date'
        when of_model.auc is null then 'Everybody came back after this date'
        when wanted.variant = 'in_sample'
            then
                'Fitted to these very outcomes: shows what is left when the level is right, not how'
                || ' well it is met'
        else {{ dbt.concat([
            "'Promised is the rank: of two customers, the one who came back had the higher"
            ~ " probability in '", percent_text('of_model.auc'),
            "' % of pairs. The level is met only where the next season resembles the last: here '",
            percent_text('levels.mean_probability'), "' % were predicted and '",
            percent_text('levels.retained_count / levels.customer_count'), "' % came back'",
        ]) }}
    end as what_is_promised
from wanted
cross join windows
cross join used_now
inner join {{ ref('int_propensity_order_values') }} as known
    on wanted.fit_code = known.fit_code
left join levels
    on
        wanted.fit_code = levels.fit_code
        and wanted.variant = levels.variant
left join fits
    on wanted.fit_code = fits.fit_code
left join measured_areas as of_model
    on
        levels.fit_code = of_model.fit_code
        and of_model.ranked_by = 'model'
left join measured_areas as of_scores
    on
        levels.fit_code = of_scores.fit_code
        and of_scores.ranked_by = 'rfm_score'
left join {{ ref('int_propensity_calibrations') }} as calibrations
    on levels.fit_code = calibrations.fit_code
left join total_amounts
    on
        wanted.fit_code = total_amounts.fit_code
        and wanted.variant = total_amounts.variant
left join worst_deciles
    on
        wanted.fit_code = worst_deciles.fit_code
        and wanted.variant = worst_deciles.variant
