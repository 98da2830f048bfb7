-- Grain: one row per (fit_code, customer_id): what the models say of customers whom they have not
-- seen. `current`: every scored customer of the current date. The others: the customers of the date
-- at which the model is judged (cutoff_date), with what they then did.
{%- set double = type_double() %}
{%- set features = propensity_features() %}
with

models as (

    select
        fit_code,
        {% for feature in features %}
        max(case when feature = '{{ feature }}' then coefficient end) as {{ feature }},
        {% endfor %}
        max(case when feature = '(intercept)' then coefficient end) as intercept,
        max(cutoff_date) as cutoff_date
    from {{ ref('int_propensity_models') }}
    where is_converged
    group by fit_code

),

predicted as (

    select
        models.fit_code,
        features.*,
        models.intercept
        {%- for feature in features %}
        + models.{{ feature }} * features.{{ feature }}
        {%- endfor %} as log_odds
    from models
    inner join {{ ref('int_propensity_features') }} as features
        on
            models.cutoff_date = features.as_of_date
            and (models.fit_code = 'current') = features.is_current
    {{ fence() }}

),

-- Nine digits: customers are ranked on them.
rounded as (

    select
        fit_code,
        as_of_date,
        customer_id,
        y,
        cast(
            cast(
                greatest(least(log_odds, cast(20 as {{ double }})), cast(-20 as {{ double }}))
                as numeric(18, 9)
            ) as {{ double }}
        ) as log_odds
    from predicted
    {{ fence() }}

)

select
    fit_code,
    as_of_date,
    customer_id,
    case when fit_code <> 'current' then y end as y,
    log_odds,
    cast(
        cast(1 / (1 + exp(-log_odds)) as numeric(18, 9)) as {{ double }}
    ) as probability
from rounded
