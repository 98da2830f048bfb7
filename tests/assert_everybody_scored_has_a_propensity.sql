-- Whoever is scored at the current date has a row in customer_propensity, and nobody else.
with

propensities as (

    select
        customer_id,
        as_of_date
    from {{ ref('customer_propensity') }}

),

scored as (

    select
        customer_id,
        as_of_date
    from {{ ref('int_rfm_scores') }}
    where {{ at_current_date() }}

)

select
    coalesce(propensities.customer_id, scored.customer_id) as customer_id,
    propensities.as_of_date,
    scored.as_of_date as scored_as_of_date
from propensities
full outer join scored
    on propensities.customer_id = scored.customer_id
where
    propensities.customer_id is null
    or scored.customer_id is null
    or propensities.as_of_date <> scored.as_of_date
