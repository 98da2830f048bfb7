-- Grain: one row per row of the campaign contacts source, with the reason why it cannot be used
-- (null = accepted).
-- A table, since the timeline and the warnings both read it (see stg_sales_classified).
{{ config(
    materialized='table',
    pre_hook="{{ refuse_bad_policy() }}",
    post_hook="{{ analyze_table() }}"
) }}
{%- set earliest = date_literal('1900-01-01') %}
{%- set latest = date_literal(latest_plausible_date()) %}
{%- set costs = ['contact_cost', 'incentive_cost'] %}
with

contacts as (

    select
        *,
        coalesce(
            contact_id is not null
            and campaign_id is not null
            and customer_id is not null
            and contacted_at >= {{ earliest }}
            and contacted_at <= {{ latest }}
            {%- for cost in costs %}
            and (
                {{ cost }} >= 0
                or ({{ cost }} is null and nullif({{ clean_text(cost ~ '_text') }}, '') is null)
            )
            {%- endfor %},
            false
        ) as is_readable
    from {{ ref('base_campaign_contacts') }}

),

numbered_contacts as (

    select
        row_number() over (
            partition by case when is_readable then contact_id end
            order by
                contacted_at asc,
                customer_id asc,
                campaign_id asc
                {%- for column in columns_that_differ('campaign_contacts', [
                    'channel', 'contact_cost', 'incentive_cost', 'contacted_at_text',
                    'contact_cost_text', 'incentive_cost_text',
                ]) %},
                {{ column }} asc nulls last
                {%- endfor %}
        ) as occurrence,
        *
    from contacts

),

judged_contacts as (

    select
        *,
        is_readable and occurrence = 1 as is_accepted
    from numbered_contacts

)

select
    contact_id,
    campaign_id,
    customer_id,
    channel,
    contact_cost,
    incentive_cost,
    contacted_at as contact_date,
    case when not is_accepted then contacted_at_text end as contacted_at_text,
    case when not is_accepted then contact_cost_text end as contact_cost_text,
    case when not is_accepted then incentive_cost_text end as incentive_cost_text,
    case
        when is_accepted then cast(null as {{ dbt.type_string() }})
        when is_readable then 'repeated_contact_id'
        when contact_id is null then 'missing_contact_id'
        when campaign_id is null then 'missing_campaign_id'
        when customer_id is null then 'missing_customer_id'
        when nullif({{ clean_text('contacted_at_text') }}, '') is null then 'missing_contacted_at'
        when contacted_at is null then 'unparsable_contacted_at'
        when contacted_at < {{ earliest }} or contacted_at > {{ latest }}
            then 'implausible_contacted_at'
        when contact_cost < 0 or incentive_cost < 0 then 'negative_cost'
        else 'unusable_cost'
    end as rejection_reason
from judged_contacts
