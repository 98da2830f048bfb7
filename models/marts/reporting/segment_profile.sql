-- Grain: one row per (segment_key, trait_type, trait_value) that a customer of the segment has.
-- Who the people of a segment are against all customers, and which traits go with being overdue
-- inside it: silent for longer than the gap to be expected. It says what goes together today, not
-- what causes it.
{%- set flags = behaviour_flags() + ['is_engaged_not_buying', 'is_buying_not_engaged'] %}
{%- set string = dbt.type_string() %}
{%- set double = type_double() %}
with

customers as (

    select
        *,
        case when silence_ratio is not null then 1 else 0 end as has_rhythm,
        case when silence_ratio > 1 then 1 else 0 end as is_overdue
    from {{ ref('customer_segments') }}

),

channels as (

    select distinct
        item_days.customer_id,
        item_days.channel
    from {{ ref('int_item_days') }} as item_days
    inner join {{ ref('int_as_of_dates') }} as as_of_dates
        on item_days.sale_date < as_of_dates.as_of_date
    where
        item_days.channel is not null
        and item_days.sale_line_count > 0
        and as_of_dates.is_current

),

traits as (

    select
        customer_id,
        'lifecycle_stage' as trait_type,
        lifecycle_stage as trait_value
    from customers
    union all
    select
        customer_id,
        'engagement_score' as trait_type,
        cast(engagement_score as {{ string }}) as trait_value
    from customers
    where engagement_score is not null
    union all
    select
        customer_id,
        'top_category' as trait_type,
        top_category as trait_value
    from customers
    where top_category is not null
    union all
    select
        customer_id,
        'country' as trait_type,
        country as trait_value
    from customers
    where country is not null
    {% for flag in flags %}
    union all
    select
        customer_id,
        'flag' as trait_type,
        '{{ flag }}' as trait_value
    from customers
    where {{ flag }}
    {% endfor %}
    union all
    select
        customer_id,
        'channel' as trait_type,
        channel as trait_value
    from channels

),

base as (

    select count(*) as customer_count
    from customers

),

segments as (

    select
        segment_key,
        count(*) as customer_count,
        sum(has_rhythm) as rhythm_count,
        sum(is_overdue) as overdue_count
    from customers
    group by segment_key

),

base_traits as (

    select
        trait_type,
        trait_value,
        count(*) as customer_count
    from traits
    group by trait_type, trait_value

),

segment_traits as (

    select
        customers.segment_key,
        traits.trait_type,
        traits.trait_value,
        count(*) as customer_count,
        sum(customers.has_rhythm) as rhythm_count,
        sum(customers.is_overdue) as overdue_count
    from traits
    inner join customers
        on traits.customer_id = customers.customer_id
    group by customers.segment_key, traits.trait_type, traits.trait_value

),

compared as (

    select
        segment_traits.segment_key,
        segment_traits.trait_type,
        segment_traits.trait_value,
        segment_traits.customer_count,
        cast(segment_traits.customer_count as {{ double }})
        / segments.customer_count as customer_share,
        cast(base_traits.customer_count as {{ double }}) / base.customer_count as base_share,
        segment_traits.rhythm_count as count_with,
        segments.rhythm_count - segment_traits.rhythm_count as count_without,
        cast(segment_traits.overdue_count as {{ double }})
        / nullif(segment_traits.rhythm_count, 0) as overdue_share,
        cast(segments.overdue_count - segment_traits.overdue_count as {{ double }})
        / nullif(segments.rhythm_count - segment_traits.rhythm_count, 0) as overdue_share_of_others
    from segment_traits
    inner join segments
        on segment_traits.segment_key = segments.segment_key
    inner join base_traits
        on
            segment_traits.trait_type = base_traits.trait_type
            and segment_traits.trait_value = base_traits.trait_value
    cross join base

),

differences as (

    select
        *,
        overdue_share - overdue_share_of_others as overdue_difference,
        sqrt(
            overdue_share * (1 - overdue_share) / nullif(count_with, 0)
            + overdue_share_of_others * (1 - overdue_share_of_others) / nullif(count_without, 0)
        ) as overdue_difference_error
    from compared

)

select
    segment_key,
    trait_type,
    trait_value,
    cast(customer_count as integer) as customer_count,
    customer_share,
    base_share,
    customer_share / base_share as customer_share_index,
    overdue_share,
    overdue_share_of_others,
    overdue_difference,
    overdue_difference_error,
    -- Thirty customers on either side, and further apart than chance would have it.
    coalesce(
        count_with >= 30
        and count_without >= 30
        and {{ rounded_ratio('overdue_difference', '1') }}
        > {{ rounded_ratio('2 * overdue_difference_error', '1') }},
        false
    ) as goes_with_lapsing
from differences
