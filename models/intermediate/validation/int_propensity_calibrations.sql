-- Grain: one row per fit_code of a judged model: the straight line in log-odds that would have set
-- its level right on the date it is judged at (intercept, slope), and whether the line of the date
-- before would have helped there.
-- A line is known once the outcomes of its date are complete, so the model of the next date may use
-- it. `is_helpful`: the line of the date before brought the predictions of this one nearer to what
-- happened (mean log loss, by more than the error of the gain), and the level to within half of
-- what the model was off by, or three standard errors. A line that helps a little and leaves the
-- level far off is not what was wrong: the next one would carry a season into another.
{%- set double = type_double() %}
{%- set known_at = judged_fits() %}
with

predictions as (

    select
        fit_code,
        y,
        log_odds
    from {{ ref('int_propensity_predictions') }}
    where fit_code <> 'current'

),

-- Ten who came back and ten who did not, or a line says nothing.
sizes as (

    select
        fit_code,
        count(*) as customer_count,
        sum(y) as retained_count
    from predictions
    group by fit_code

),

usable as {{ stored() }}(

    select
        predictions.fit_code,
        predictions.y,
        predictions.log_odds as x1
    from predictions
    inner join sizes
        on predictions.fit_code = sizes.fit_code
    where sizes.retained_count >= 10 and sizes.customer_count - sizes.retained_count >= 10

),

{{ logistic_regression('lines', 'usable', ['x1'], ridge='0.000001') }},

rounded_lines as (

    select
        fit_code,
        {{ nine_digits('b0') }} as intercept,
        {{ nine_digits('b1') }} as slope
    from lines
    where step_change < 1e-6 and b1 > 0

),

-- What was known at the date of each fit.
with_line_before as (

    select
        predictions.fit_code,
        predictions.y,
        predictions.log_odds,
        lines_before.intercept as intercept_before,
        lines_before.slope as slope_before,
        lines_before.intercept + lines_before.slope * predictions.log_odds as log_odds_before
    from predictions
    left join rounded_lines as lines_before
        on (
            {% for fit, later in known_at.items() if later != 'current' %}
            {{ 'or ' if not loop.first }}(
                predictions.fit_code = '{{ later }}' and lines_before.fit_code = '{{ fit }}'
            )
            {% endfor %}
        )

),

-- ln(1 + e^x) − y x, written so that e^x stays small.
with_losses as (

    select
        *,
        {% for odds, loss in {'log_odds': 'loss', 'log_odds_before': 'loss_before'}.items() %}
        greatest({{ odds }}, cast(0 as {{ double }}))
        + ln(1 + exp(-abs({{ odds }}))) - y * {{ odds }} as {{ loss }},
        1 / (1 + exp(-greatest(
            least({{ odds }}, cast(30 as {{ double }})), cast(-30 as {{ double }})
        ))) as {{ loss | replace('loss', 'probability') }}
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from with_line_before

),

losses as (

    select
        fit_code,
        max(intercept_before) as intercept_before,
        max(slope_before) as slope_before,
        avg(loss) as loss,
        avg(loss_before) as loss_before,
        stddev_pop(loss - loss_before) / sqrt(count(*)) as gain_error,
        {{ nine_digits('abs(avg(probability - y))') }} as level_error,
        {{ nine_digits('abs(avg(probability_before - y))') }} as level_error_before,
        {{ nine_digits(
            'sqrt(sum(probability_before * (1 - probability_before))) / count(*)'
        ) }} as level_chance
    from with_losses
    group by fit_code

)

select
    losses.fit_code,
    rounded_lines.intercept,
    rounded_lines.slope,
    losses.intercept_before,
    losses.slope_before,
    {{ nine_digits('losses.loss') }} as log_loss,
    {{ nine_digits('losses.loss_before') }} as log_loss_with_line_before,
    {{ nine_digits('losses.gain_error') }} as gain_error,
    coalesce(
        {{ nine_digits('losses.loss - losses.loss_before') }}
        > {{ nine_digits('losses.gain_error') }}
        and losses.level_error_before
        <= greatest(losses.level_error / 2, 3 * losses.level_chance),
        false
    ) as is_helpful
from losses
left join rounded_lines
    on losses.fit_code = rounded_lines.fit_code
