-- Grain: one row per customer with spend on products of which some have a margin rate. Spend on the
-- others counts with the var margin_rate, and so does everything of customers without a row here. A
-- rate below -1 or above 1 (30 for 30 %) is not taken for one; one below 0 sells at a loss.
{%- set double = type_double() %}
with

purchases as (

    select
        customer_id,
        product_id,
        cast(spend_amount as {{ double }}) as spend_amount
    from {{ ref('int_customer_products') }}

),

products as (

    select
        product_id,
        cast(margin_rate as {{ double }}) as margin_rate
    from {{ ref('stg_products') }}
    where margin_rate >= -1 and margin_rate <= 1

)

select
    purchases.customer_id,
    {{ nine_digits(
        'sum(purchases.spend_amount * coalesce(products.margin_rate, ' ~ var('margin_rate') ~ '))'
        ~ ' / sum(purchases.spend_amount)'
    ) }} as margin_rate
from purchases
left join products
    on purchases.product_id = products.product_id
group by purchases.customer_id
having count(products.product_id) > 0
