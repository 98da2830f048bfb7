-- Grain: one row per frequency score: what turns a purchase probability into orders and money, from
-- the finished dates.
-- Whoever comes back orders once, and beyond that `extra_order_factor` times as often as his pace so
-- far says; an order is worth the customer's own value so far, drawn to the mean of all, times
-- `order_value_factor`. A year has `year_order_factor` times the orders of the horizon.
{%- set double = type_double() %}
{%- set horizon = var('retention_horizon_days') %}
with

outcomes as (

    select
        as_of_date,
        future_order_count,
        future_net_revenue,
        order_pace,
        order_count,
        net_revenue
    from {{ ref('int_propensity_features') }}
    where not is_current and future_order_count > 0

),

base_values as (

    select
        cast(sum(future_net_revenue) as {{ double }}) / sum(future_order_count) as order_value,
        cast(sum(future_order_count - 1) as {{ double }})
        / nullif(cast(sum(order_pace) as {{ double }}), 0) as extra_order_factor
    from outcomes

),

value_factors as (

    select
        base_values.order_value,
        base_values.extra_order_factor,
        greatest(
            cast(sum(outcomes.future_net_revenue) as {{ double }})
            / nullif(
                sum(
                    outcomes.future_order_count
                    * {{ own_order_value(
                        'outcomes.net_revenue', 'outcomes.order_count', 'base_values.order_value'
                    ) }}
                ),
                0
            ),
            cast(0 as {{ double }})
        ) as order_value_factor
    from base_values
    inner join outcomes
        on 1 = 1
    group by base_values.order_value, base_values.extra_order_factor

),

-- The latest date with a whole year behind it, else the oldest date with half a year.
year_dates as (

    select
        dates.as_of_date,
        current_dates.as_of_date as current_as_of_date,
        row_number() over (
            order by
                case
                    when {{ dbt.datediff('dates.as_of_date', 'current_dates.as_of_date', 'day') }}
                        >= 365
                        then 0
                    else 1
                end,
                abs(
                    {{ dbt.datediff('dates.as_of_date', 'current_dates.as_of_date', 'day') }} - 365
                )
        ) as preference
    from {{ ref('int_as_of_dates') }} as dates
    inner join {{ ref('int_as_of_dates') }} as current_dates
        on current_dates.is_current
    where
        dates.is_grid
        and {{ dbt.datediff('dates.as_of_date', 'current_dates.as_of_date', 'day') }}
            >= greatest(180, {{ horizon }})

),

year_date as (

    select
        as_of_date,
        least(
            {{ dbt.datediff('as_of_date', 'current_as_of_date', 'day') }}, 365
        ) as year_days
    from year_dates
    where preference = 1

),

year_orders as (

    select
        scores.frequency_score,
        max(year_date.as_of_date) as year_date,
        max(year_date.year_days) as year_days,
        sum(
            case
                when {{ dbt.datediff('year_date.as_of_date', 'orders.sale_date', 'day') }}
                    < {{ horizon }}
                    then orders.order_count
                else 0
            end
        ) as horizon_order_count,
        sum(orders.order_count) as year_order_count
    from year_date
    inner join {{ ref('int_rfm_scores') }} as scores
        on year_date.as_of_date = scores.as_of_date
    inner join {{ ref('int_orders') }} as orders
        on
            scores.customer_id = orders.customer_id
            and scores.as_of_date <= orders.sale_date
    where
        {{ dbt.datediff('year_date.as_of_date', 'orders.sale_date', 'day') }} < year_date.year_days
    group by scores.frequency_score

),

tiles as (

    {% for score in range(1, var('score_tiles') + 1) %}
    select {{ score }} as frequency_score
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

-- A score with few orders in the horizon takes the factor of the whole base.
year_factors as (

    select
        tiles.frequency_score,
        max(year_orders.year_date) over () as year_date,
        max(year_orders.year_days) over () as year_days,
        case
            when year_orders.horizon_order_count >= 100
                then
                    cast(year_orders.year_order_count as {{ double }})
                    / year_orders.horizon_order_count
            else
                cast(sum(year_orders.year_order_count) over () as {{ double }})
                / nullif(sum(year_orders.horizon_order_count) over (), 0)
        end as order_factor
    from tiles
    left join year_orders
        on tiles.frequency_score = year_orders.frequency_score

)

select
    year_factors.frequency_score,
    {% for value in ['order_value', 'extra_order_factor', 'order_value_factor'] %}
    cast(cast(value_factors.{{ value }} as numeric(28, 9)) as {{ double }}) as {{ value }},
    {% endfor %}
    year_factors.year_date,
    cast(year_factors.year_days as integer) as year_days,
    -- Orders until the end of what is known, and the days that are missing at the same pace.
    cast(
        cast(
            year_factors.order_factor * 365 / cast(year_factors.year_days as {{ double }})
            as numeric(28, 9)
        ) as {{ double }}
    ) as year_order_factor
from year_factors
left join value_factors
    on 1 = 1
