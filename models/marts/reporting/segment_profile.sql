-- Grain: one row per (segment_key, trait_type, trait_value) that a customer of the segment has.
-- Who the people of a segment are against all customers, and which traits go with slipping inside
-- it: silent for more expected gaps than half of the segment. It says what goes together today, not
-- what causes it. Traits that are made of silence themselves are not compared.
{%- set flags = behaviour_flags() + engagement_flags() %}
{%- set made_of_silence = [
    'is_frequency_declining', 'is_engaged_not_buying', 'is_buying_not_engaged'
] %}
{%- set string = dbt.type_string() %}
{%- set double = type_double() %}
with

segment_medians as (

    select
        segment_key,
        percentile_cont(0.5) within group (order by silence_ratio) as median_silence_ratio
    from {{ ref('customer_segments') }}
    where silence_ratio is not null
    group by segment_key

),

customers as (

    select
        customers.*,
        case when customers.silence_ratio is not null then 1 else 0 end as has_rhythm,
        case
            when
                {{ rounded_ratio('customers.silence_ratio', '1') }}
                > {{ rounded_ratio('segment_medians.median_silence_ratio', '1') }}
                then 1
            else 0
        end as is_slipping
    from {{ ref('customer_segments') }} as customers
    left join segment_medians
        on customers.segment_key = segment_medians.segment_key

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

-- One row per customer and trait that is known of them, whether they have it or not.
known_traits as (

    {% for trait in ['lifecycle_stage', 'engagement_score', 'top_category', 'country'] %}
    select
        customer_id,
        '{{ trait }}' as trait_type,
        '{{ trait }}' as known_as,
        cast({{ trait }} as {{ string }}) as trait_value,
        {{ 'false' if trait == 'lifecycle_stage' else 'true' }} as is_compared
    from customers
    where {{ trait }} is not null
    union all
    {% endfor %}
    {% for flag in flags %}
    select
        customer_id,
        'flag' as trait_type,
        '{{ flag }}' as known_as,
        case when {{ flag }} then '{{ flag }}' end as trait_value,
        {{ 'false' if flag in made_of_silence else 'true' }} as is_compared
    from customers
    where {{ flag }} is not null
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

-- A customer can have several channels and nothing else several times.
traits as (

    select *
    from known_traits
    where trait_value is not null
    union all
    select
        customer_id,
        'channel' as trait_type,
        'channel' as known_as,
        channel as trait_value,
        true as is_compared
    from channels

),

-- What a share is a share of: the customers of whom the trait is known.
known_customers as (

    select
        customer_id,
        trait_type,
        known_as
    from known_traits
    union all
    select distinct
        customer_id,
        'channel' as trait_type,
        'channel' as known_as
    from channels

),

segment_bases as (

    select
        customers.segment_key,
        known_customers.trait_type,
        known_customers.known_as,
        count(*) as customer_count,
        sum(customers.has_rhythm) as rhythm_count,
        sum(customers.is_slipping) as slipping_count
    from known_customers
    inner join customers
        on known_customers.customer_id = customers.customer_id
    group by customers.segment_key, known_customers.trait_type, known_customers.known_as

),

bases as (

    select
        trait_type,
        known_as,
        sum(customer_count) as customer_count
    from segment_bases
    group by trait_type, known_as

),

segment_traits as (

    select
        customers.segment_key,
        traits.trait_type,
        traits.known_as,
        traits.trait_value,
        traits.is_compared,
        count(*) as customer_count,
        sum(customers.has_rhythm) as rhythm_count,
        sum(customers.is_slipping) as slipping_count
    from traits
    inner join customers
        on traits.customer_id = customers.customer_id
    group by
        customers.segment_key,
        traits.trait_type,
        traits.known_as,
        traits.trait_value,
        traits.is_compared

),

base_traits as (

    select
        trait_type,
        trait_value,
        sum(customer_count) as customer_count
    from segment_traits
    group by trait_type, trait_value

),

compared as (

    select
        segment_traits.segment_key,
        segment_traits.trait_type,
        segment_traits.trait_value,
        segment_traits.customer_count,
        cast(segment_traits.customer_count as {{ double }})
        / segment_bases.customer_count as customer_share,
        cast(base_traits.customer_count as {{ double }}) / bases.customer_count as base_share,
        segment_traits.rhythm_count as count_with,
        segment_bases.rhythm_count - segment_traits.rhythm_count as count_without,
        case
            when segment_traits.is_compared
                then
                    cast(segment_traits.slipping_count as {{ double }})
                    / nullif(segment_traits.rhythm_count, 0)
        end as slipping_share,
        case
            when segment_traits.is_compared
                then
                    cast(
                        segment_bases.slipping_count - segment_traits.slipping_count as {{ double }}
                    )
                    / nullif(segment_bases.rhythm_count - segment_traits.rhythm_count, 0)
        end as slipping_share_of_others
    from segment_traits
    inner join segment_bases
        on
            segment_traits.segment_key = segment_bases.segment_key
            and segment_traits.trait_type = segment_bases.trait_type
            and segment_traits.known_as = segment_bases.known_as
    inner join bases
        on
            segment_traits.trait_type = bases.trait_type
            and segment_traits.known_as = bases.known_as
    inner join base_traits
        on
            segment_traits.trait_type = base_traits.trait_type
            and segment_traits.trait_value = base_traits.trait_value

),

differences as (

    select
        *,
        slipping_share - slipping_share_of_others as slipping_difference,
        sqrt(
            slipping_share * (1 - slipping_share) / nullif(count_with, 0)
            + slipping_share_of_others * (1 - slipping_share_of_others) / nullif(count_without, 0)
        ) as slipping_difference_error
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
    slipping_share,
    slipping_share_of_others,
    slipping_difference,
    slipping_difference_error,
    -- Thirty customers on either side and three standard errors: of hundreds of traits hardly one
    -- gets there by chance.
    coalesce(
        count_with >= 30
        and count_without >= 30
        and {{ rounded_ratio('slipping_difference', '1') }}
        > {{ rounded_ratio('3 * slipping_difference_error', '1') }},
        false
    ) as goes_with_slipping
from differences
