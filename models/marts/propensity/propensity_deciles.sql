-- Grain: one row per (fit_code, variant, decile): what was predicted for a tenth of the customers
-- and what they did. Decile 10 has the highest probabilities.
{{ config(
    indexes=[
        {'columns': ['fit_code', 'variant', 'decile'], 'unique': true},
    ] if target.type == 'postgres' else []
) }}
{%- set double = type_double() %}
with

deciles as (

    select
        fit_code,
        variant,
        decile,
        as_of_date,
        is_used,
        count(*) as customer_count,
        sum(y) as retained_count,
        avg(probability) as mean_probability,
        sqrt(sum(probability * (1 - probability))) / count(*) as standard_error
    from {{ ref('int_propensity_judged') }}
    group by fit_code, variant, decile, as_of_date, is_used

),

compared as (

    select
        *,
        retained_count / customer_count as retention_rate,
        lag(retained_count / customer_count) over below as rate_below,
        lag(customer_count) over below as customers_below,
        lag(retained_count) over below as retained_below
    from deciles
    window below as (partition by fit_code, variant order by decile)

),

-- A fall against the error under the rate of both together.
with_errors as (

    select
        *,
        sqrt(
            ((retained_count + retained_below) / (customer_count + customers_below))
            * (1 - (retained_count + retained_below) / (customer_count + customers_below))
            * (1 / cast(customer_count as {{ double }}) + 1 / cast(customers_below as {{ double }}))
        ) as change_standard_error
    from compared

)

select
    fit_code,
    variant,
    decile,
    as_of_date,
    is_used,
    cast(customer_count as integer) as customer_count,
    cast(retained_count as integer) as retained_count,
    {{ nine_digits('retention_rate') }} as retention_rate,
    {{ nine_digits('mean_probability') }} as mean_probability,
    {{ nine_digits('standard_error') }} as standard_error,
    {{ nine_digits('retention_rate - mean_probability') }} as difference,
    abs(retention_rate - mean_probability) > greatest(0.03, 3 * standard_error) as is_off,
    {{ nine_digits('retention_rate - rate_below') }} as change_from_decile_below,
    {{ nine_digits('change_standard_error') }} as change_standard_error,
    coalesce(rate_below - retention_rate > 3 * change_standard_error, false) as is_out_of_order
from with_errors
