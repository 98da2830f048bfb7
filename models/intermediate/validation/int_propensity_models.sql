-- Grain: one row per (fit_code, feature): the coefficients of the logistic models; feature
-- `(intercept)` too.
-- `current`: fitted on every finished date. `judged`: fitted on what was complete at the latest
-- finished date, to be judged there. `earlier`, `earliest`: the same, each at the latest date whose
-- outcome was complete at the date of the one before. A model needs 100 different
-- customers who came back and 100 who did not; what is missing here had fewer.
{%- set double = type_double() %}
{%- set features = propensity_features().keys() | list %}
{%- set numbers, ridges = [], [] %}
{%- for feature in propensity_features().values() %}
{%- do numbers.append('x' ~ loop.index) %}
{%- do ridges.append(feature.get('ridge', 3)) %}
{%- endfor %}
with

training as (

    select * from {{ ref('int_propensity_features') }}
    where not is_current

),

windows as (

    select distinct
        as_of_date,
        end_date
    from training

),

{{ propensity_cutoffs() }},

usable as (

    select
        cutoffs.fit_code,
        max(cutoffs.cutoff_date) as cutoff_date
    from cutoffs
    inner join training
        on cutoffs.cutoff_date >= training.end_date
    group by cutoffs.fit_code
    having
        count(distinct case when training.y = 1 then training.customer_id end) >= 100
        and count(distinct case when training.y = 0 then training.customer_id end) >= 100

),

scales as {{ stored() }}(

    select
        usable.fit_code,
        max(usable.cutoff_date) as cutoff_date,
        {% for feature in features %}
        avg(training.{{ feature }}) as {{ feature }}_mean,
        -- Signals have nine digits: less is the rounding error of a constant.
        case
            when stddev_pop(training.{{ feature }}) > 1e-8 then stddev_pop(training.{{ feature }})
            else 1
        end as {{ feature }}_deviation
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from usable
    inner join training
        on usable.cutoff_date >= training.end_date
    group by usable.fit_code

),

standardised as {{ stored() }}(

    select
        scales.fit_code,
        {% for feature in features %}
        (training.{{ feature }} - scales.{{ feature }}_mean)
        / scales.{{ feature }}_deviation as x{{ loop.index }},
        {% endfor %}
        training.y
    from scales
    inner join training
        on scales.cutoff_date >= training.end_date

),

{{ logistic_regression('fits', 'standardised', numbers, ridges) }},

sizes as (

    select
        fit_code,
        count(*) as row_count,
        sum(y) as retained_count
    from standardised
    group by fit_code

),

coefficients as (

    {% for feature in features %}
    select
        fits.fit_code,
        {{ loop.index }} as feature_number,
        '{{ feature }}' as feature,
        fits.b{{ loop.index }} as standardised_coefficient,
        fits.b{{ loop.index }} / scales.{{ feature }}_deviation as coefficient,
        scales.{{ feature }}_mean as feature_mean,
        scales.{{ feature }}_deviation as feature_deviation,
        fits.step_change
    from fits
    inner join scales
        on fits.fit_code = scales.fit_code
    union all
    {% endfor %}
    select
        fits.fit_code,
        0 as feature_number,
        '(intercept)' as feature,
        fits.b0 as standardised_coefficient,
        fits.b0
        {%- for feature in features %}
        - fits.b{{ loop.index }} * scales.{{ feature }}_mean / scales.{{ feature }}_deviation
        {%- endfor %} as coefficient,
        cast(null as {{ double }}) as feature_mean,
        cast(null as {{ double }}) as feature_deviation,
        fits.step_change
    from fits
    inner join scales
        on fits.fit_code = scales.fit_code

)

-- Nine digits: sums of floating-point numbers differ behind them from run to run.
select
    coefficients.fit_code,
    coefficients.feature,
    cast(coefficients.feature_number as integer) as feature_number,
    {{ nine_digits('coefficients.coefficient') }} as coefficient,
    {{ nine_digits('coefficients.standardised_coefficient') }} as standardised_coefficient,
    {{ nine_digits('coefficients.feature_mean') }} as feature_mean,
    {{ nine_digits('coefficients.feature_deviation') }} as feature_deviation,
    coefficients.step_change < 1e-6 as is_converged,
    cast(sizes.row_count as bigint) as row_count,
    cast(sizes.retained_count as bigint) as retained_count,
    usable.cutoff_date
from coefficients
inner join sizes
    on coefficients.fit_code = sizes.fit_code
inner join usable
    on coefficients.fit_code = usable.fit_code
