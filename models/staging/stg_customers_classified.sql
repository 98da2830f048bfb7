-- Grain: one row per row of the customers source, with the reason why it cannot be used
-- (null = accepted).
-- Addresses are hashed here and are plain nowhere behind this model.
with

customers as (

    select
        customer_id,
        created_at as created_date,
        country,
        score_group,
        {{ normalised_email('email') }} as email,
        {{ e164_phone('phone') }} as phone,
        coalesce(is_internal, true) as is_internal,
        email_consent,
        sms_consent,
        ads_consent
    from {{ ref('base_customers') }}

),

numbered_customers as (

    select
        *,
        row_number() over (
            partition by customer_id
            order by
                created_date nulls last,
                country nulls last,
                score_group nulls last,
                email nulls last,
                phone nulls last,
                is_internal,
                email_consent nulls last,
                sms_consent nulls last,
                ads_consent nulls last
        ) as occurrence
    from customers

)

select
    customer_id,
    country,
    score_group,
    {{ sha256_hex('email') }} as email_sha256,
    {{ sha256_hex('phone') }} as phone_sha256,
    is_internal,
    email_consent,
    sms_consent,
    ads_consent,
    created_date,
    case
        when customer_id is null then 'missing_customer_id'
        when occurrence > 1 then 'repeated_customer_id'
    end as rejection_reason
from numbered_customers
