-- Grain: one row per (audience_code, customer_id): a customer who fits an audience at the current
-- date, and why not contacted, where so (suppression_reason null = a member).
-- Who is held out is on no list at all, so of these customers none is in another audience either.
with

held_out as (

    select customer_id
    from {{ ref('int_holdout_customers') }}

)

select
    fits.as_of_date,
    fits.audience_code,
    fits.customer_id,
    fits.channel,
    fits.segment_key,
    fits.strategy_code,
    fits.incentive_type,
    fits.incentive_depth_pct,
    fits.email_sha256,
    fits.phone_sha256,
    fits.email_consent,
    fits.sms_consent,
    fits.ads_consent,
    {% for channel in reachable_channels() %}
    fits.is_reachable_by_{{ channel }},
    {% endfor %}
    fits.expires_after_days,
    fits.trigger_date,
    case
        when
            held_out.customer_id is not null
            and (
                fits.suppression_reason is null
                or fits.suppression_reason = 'in_another_audience'
            )
            then 'holdout'
        else fits.suppression_reason
    end as suppression_reason
from {{ ref('int_audience_fits') }} as fits
left join held_out
    on fits.customer_id = held_out.customer_id
