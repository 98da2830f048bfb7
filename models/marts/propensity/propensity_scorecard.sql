-- Grain: one row per (fit_code, signal): the logistic models behind the purchase probability,
-- readable. `current` is the one that customer_propensity uses. Signals are logarithms where their
-- name says so.
{{ config(
    indexes=[
        {'columns': ['fit_code', 'signal'], 'unique': true},
    ] if target.type == 'postgres' else []
) }}
{%- set double = type_double() %}
select
    fit_code,
    feature as signal,
    case feature
        {% for feature, of_feature in propensity_features().items() %}
        when '{{ feature }}' then '{{ of_feature.words }}'
        {% endfor %}
        else 'what every customer starts from'
    end as signal_words,
    feature_number as signal_number,
    coefficient,
    case when feature_number > 0 then standardised_coefficient end as standardised_coefficient,
    -- Twenty points double the odds, as in credit scoring.
    cast(
        case
            when feature_number > 0
                then
                    cast(
                        standardised_coefficient * 20 / ln(cast(2 as {{ double }}))
                        as numeric(18, 1)
                    )
        end as {{ double }}
    ) as points,
    feature_mean as signal_mean,
    feature_deviation as signal_deviation,
    is_converged,
    row_count,
    retained_count,
    cutoff_date
from {{ ref('int_propensity_models') }}
