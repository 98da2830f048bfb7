-- Grain: one row per (fit_code, variant, customer_id): the predictions for the customers of the
-- date at which a model is judged, and whether they came back.
-- Variant: `model` as fitted; `recalibrated` with the line that was known at that date; `in_sample`
-- with the line fitted to these very outcomes, which flatters. `is_used`: what the procedure would
-- have published at that date.
-- Decile 10 has the highest probabilities; equal ones are cut by customer_id.
{%- set double = type_double() %}
{%- set known_at = judged_fits() %}
with

predictions as (

    select
        fit_code,
        as_of_date,
        customer_id,
        y,
        log_odds
    from {{ ref('int_propensity_predictions') }}
    where fit_code <> 'current'

),

calibrations as (

    select * from {{ ref('int_propensity_calibrations') }}

),

-- A line was used where the one before it had helped, as was known at that date.
used as (

    select
        calibrations.fit_code,
        coalesce(older.is_helpful and calibrations.slope_before is not null, false)
            as is_recalibrated
    from calibrations
    left join calibrations as older
        on (
            {% for fit, later in known_at.items() if later != 'current' %}
            {{ 'or ' if not loop.first }}(
                calibrations.fit_code = '{{ later }}' and older.fit_code = '{{ fit }}'
            )
            {% endfor %}
        )

),

variants as (

    select
        predictions.fit_code,
        'model' as variant,
        predictions.as_of_date,
        predictions.customer_id,
        predictions.y,
        predictions.log_odds,
        not used.is_recalibrated as is_used
    from predictions
    inner join used
        on predictions.fit_code = used.fit_code
    {% for variant, line in {'recalibrated': '_before', 'in_sample': ''}.items() %}
    union all
    select
        predictions.fit_code,
        '{{ variant }}' as variant,
        predictions.as_of_date,
        predictions.customer_id,
        predictions.y,
        calibrations.intercept{{ line }} + calibrations.slope{{ line }} * predictions.log_odds
            as log_odds,
        {{ 'used.is_recalibrated' if variant == 'recalibrated' else 'false' }} as is_used
    from predictions
    inner join calibrations
        on predictions.fit_code = calibrations.fit_code
    inner join used
        on predictions.fit_code = used.fit_code
    where calibrations.slope{{ line }} is not null
    {% endfor %}

),

rounded as (

    select
        fit_code,
        variant,
        as_of_date,
        customer_id,
        y,
        is_used,
        {{ nine_digits('log_odds') }} as log_odds
    from variants
    {{ fence() }}

)

select
    fit_code,
    variant,
    as_of_date,
    customer_id,
    y,
    is_used,
    log_odds,
    {{ nine_digits('1 / (1 + exp(-log_odds))') }} as probability,
    cast(
        ntile(10) over (
            partition by fit_code, variant
            order by log_odds, {{ bytewise('customer_id') }}
        ) as integer
    ) as decile
from rounded
