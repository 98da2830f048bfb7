-- Grain: one row per (as_of_date, customer_id), every customer known at the date.
-- All flags side by side, and those that are true as one text, |flag|flag|, for rules that name a
-- flag.
{%- set flags = behaviour_flags() %}
{%- set all_flags = flags + engagement_flags() %}
{{ config(**sliced()) }}
with

stages as (

    select
        as_of_date,
        customer_id,
        lifecycle_stage
    from {{ ref('int_lifecycle_stages') }}
    {{ only_due('as_of_date') }}

),

{% if is_using('engagement_events') -%}
engagement as (

    select
        engagement.as_of_date,
        engagement.customer_id,
        engagement.days_since_last_engagement <= thresholds.engaged_within_days as is_engaged
    from {{ ref('int_customer_engagement') }} as engagement
    cross join {{ ref('policy_behaviour_thresholds') }} as thresholds
    {{ only_due('engagement.as_of_date') }}

),

{% endif -%}
behaviour as (

    select
        as_of_date,
        customer_id,
        {% for flag in flags %}
        {{ flag }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from {{ ref('int_customer_behaviour') }}
    {{ only_due('as_of_date') }}

),

flagged as (

    select
        stages.as_of_date,
        stages.customer_id,
        {% for flag in flags %}
        behaviour.{{ flag }},
        {% endfor %}
        {% if is_using('engagement_events') -%}
        coalesce(engagement.is_engaged, false)
        and stages.lifecycle_stage in ('prospect', 'lapsing', 'lapsed') as is_engaged_not_buying,
        not coalesce(engagement.is_engaged, false)
        and stages.lifecycle_stage in ('new', 'active', 'reactivated') as is_buying_not_engaged
        {%- else -%}
        cast(null as boolean) as is_engaged_not_buying,
        cast(null as boolean) as is_buying_not_engaged
        {%- endif %}
    from stages
    {% if is_using('engagement_events') -%}
    left join engagement
        on
            stages.as_of_date = engagement.as_of_date
            and stages.customer_id = engagement.customer_id
    {% endif -%}
    left join behaviour
        on
            stages.as_of_date = behaviour.as_of_date
            and stages.customer_id = behaviour.customer_id

)

select
    as_of_date,
    customer_id,
    {% for flag in all_flags %}
    {{ flag }},
    {% endfor %}
    {% set parts = ["'|'"] -%}
    {%- for flag in all_flags -%}
    {%- do parts.append("case when " ~ flag ~ " then '" ~ flag ~ "|' else '' end") -%}
    {%- endfor -%}
    {{ dbt.concat(parts) }} as flag_list
from flagged
