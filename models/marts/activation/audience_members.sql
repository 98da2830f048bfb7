-- Grain: one row per (audience_code, customer_id): who is on the list now, in the shape that
-- sending tools read.
-- The log audience_changes, folded; addresses and consents are those of the customers source, as
-- hashes only.
{{ config(
    indexes=[
        {'columns': ['member_key'], 'unique': true},
        {'columns': ['audience_code']},
        {'columns': ['updated_at']},
    ] if target.type == 'postgres' else []
) }}
with

ranked_changes as (

    select
        *,
        row_number() over (
            partition by audience_code, customer_id
            order by change_number desc
        ) as age
    from {{ ref('audience_changes') }}

)

select
    {{ dbt_utils.generate_surrogate_key([
        'ranked_changes.audience_code', 'ranked_changes.customer_id'
    ]) }} as member_key,
    ranked_changes.audience_code,
    ranked_changes.customer_id,
    ranked_changes.channel,
    ranked_changes.segment_key,
    ranked_changes.strategy_code,
    ranked_changes.incentive_type,
    ranked_changes.incentive_depth_pct,
    addresses.email_sha256,
    addresses.phone_sha256,
    addresses.email_consent,
    addresses.sms_consent,
    addresses.ads_consent,
    ranked_changes.row_hash,
    ranked_changes.policy_version,
    ranked_changes.entered_at,
    ranked_changes.changed_at as updated_at,
    ranked_changes.expires_on
from ranked_changes
left join {{ ref('stg_customers') }} as addresses
    on ranked_changes.customer_id = addresses.customer_id
where ranked_changes.age = 1 and ranked_changes.change_type <> 'remove'
