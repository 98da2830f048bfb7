-- Grain: one row per row of the customers source, with the reason why it cannot be used
-- (null = accepted).
-- Of rows with one id the earliest is kept, but a word against contacting in any of them counts: a
-- consent refused, an internal customer.
-- Addresses are hashed here and are plain nowhere behind this model.
{%- set consent_channels = ['email', 'sms', 'ads'] %}
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
                email_consent nulls last,
                sms_consent nulls last,
                ads_consent nulls last
        ) as occurrence,
        {% for channel in consent_channels %}
        max(case when not {{ channel }}_consent then 1 else 0 end) over ids = 1
            as {{ channel }}_refused,
        {% endfor %}
        max(case when is_internal then 1 else 0 end) over ids = 1 as is_internal_anywhere
    from customers
    window ids as (partition by customer_id)

)

select
    customer_id,
    country,
    score_group,
    {{ sha256_hex('email') }} as email_sha256,
    {{ sha256_hex('phone') }} as phone_sha256,
    is_internal_anywhere as is_internal,
    {% for channel in consent_channels %}
    case when {{ channel }}_refused then false else {{ channel }}_consent end
        as {{ channel }}_consent,
    {% endfor %}
    created_date,
    case
        when customer_id is null then 'missing_customer_id'
        when occurrence > 1 then 'repeated_customer_id'
    end as rejection_reason
from numbered_customers
