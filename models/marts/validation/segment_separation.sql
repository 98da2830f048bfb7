-- Grain: one row per (horizon_code, segment_scheme, segment_key, other_segment_key), the one of
-- more value first: did the customers of the two come back at different rates? The difference is
-- that within the finished dates, errors clustered by customer; p-values times the number of pairs
-- of the scheme. Two segments that cannot be told apart may still need different treatment, but not
-- because one of them stays longer.
{{ config(
    indexes=[
        {'columns': ['horizon_code', 'segment_scheme', 'segment_key', 'other_segment_key'],
         'unique': true},
    ] if target.type == 'postgres' else []
) }}
with

pairs as (

    select
        horizon_code,
        segment_scheme,
        case when level_rank > other_level_rank then level else other_level end as segment_key,
        case when level_rank > other_level_rank then other_level else level end
            as other_segment_key,
        case when level_rank > other_level_rank then rate_difference else -rate_difference end
            as rate_difference,
        standard_error,
        z_value,
        count(*) over (partition by horizon_code, segment_scheme) as pair_count
    from {{ ref('int_validation_differences') }}
    where scope = 'pooled' and dimension = 'segment'

),

rates as (

    select
        horizon_code,
        segment_scheme,
        level as segment_key,
        customer_count,
        retention_rate,
        revenue_per_customer
    from {{ ref('score_retention_validation') }}
    where scope = 'pooled' and dimension = 'segment'

),

tested as (

    select
        *,
        case
            when z_value is not null
                then least({{ normal_two_sided('z_value') }} * pair_count, 1)
        end as p_value
    from pairs

)

select
    tested.horizon_code,
    tested.segment_scheme,
    tested.segment_key,
    tested.other_segment_key,
    rates.customer_count,
    other_rates.customer_count as other_customer_count,
    rates.retention_rate,
    other_rates.retention_rate as other_retention_rate,
    tested.rate_difference,
    tested.standard_error,
    tested.p_value,
    coalesce(tested.p_value < 0.05, false) as is_told_apart,
    rates.revenue_per_customer,
    other_rates.revenue_per_customer as other_revenue_per_customer
from tested
inner join rates
    on
        tested.horizon_code = rates.horizon_code
        and tested.segment_key = rates.segment_key
inner join rates as other_rates
    on
        tested.horizon_code = other_rates.horizon_code
        and tested.other_segment_key = other_rates.segment_key
