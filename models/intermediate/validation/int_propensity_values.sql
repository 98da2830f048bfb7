-- Grain: one row per frequency score: what turns a purchase probability into orders and money, from
-- the finished dates.
-- Whoever comes back orders once, and beyond that `extra_order_factor` times as often as his pace
-- so far says; an order is worth the customer's own value so far, drawn to the mean of all, times
-- `order_value_factor`, which also carries what those returned who did not order again.
-- `year_order_factor`: what the customers of `year_date` really ordered within a year, by what the
-- same formula would have expected of them for the horizon at that date. A date about a year ago
-- has the season of today, so that neither the level nor the season of the last weeks is drawn out
-- over the year.
{%- set double = type_double() %}
{%- set horizon = var('retention_horizon_days') %}
{%- set features = propensity_features() %}
{%- set days_ago = dbt.datediff('dates.as_of_date', 'current_dates.as_of_date', 'day') | trim %}
{%- set days_of_history = dbt.datediff(
    'first_orders.order_date', 'dates.as_of_date', 'day'
) | trim %}
with

finished as (

    select
        as_of_date,
        customer_id,
        y,
        future_order_count,
        future_net_revenue,
        order_pace,
        order_count,
        net_revenue,
        {{ features | join(',\n        ') }}
    from {{ ref('int_propensity_features') }}
    where not is_current

),

base_values as (

    select
        cast(
            sum(case when future_order_count > 0 then future_net_revenue else 0 end) as {{ double }}
        ) / nullif(sum(future_order_count), 0) as order_value,
        cast(
            sum(case when future_order_count > 0 then future_order_count - 1 else 0 end)
            as {{ double }}
        ) / nullif(
            cast(
                sum(case when future_order_count > 0 then order_pace else 0 end) as {{ double }}
            ),
            0
        ) as extra_order_factor
    from finished

),

value_factors as (

    select
        base_values.order_value,
        base_values.extra_order_factor,
        greatest(
            cast(sum(finished.future_net_revenue) as {{ double }})
            / nullif(
                sum(
                    finished.future_order_count
                    * {{ own_order_value(
                        'finished.net_revenue', 'finished.order_count', 'base_values.order_value'
                    ) }}
                ),
                0
            ),
            cast(0 as {{ double }})
        ) as order_value_factor
    from base_values
    inner join finished
        on base_values.order_value is not null
    group by base_values.order_value, base_values.extra_order_factor

),

{{ propensity_model('coefficients', 'current') }},

{{ propensity_line('line') }},

first_orders as (

    select min(order_date) as order_date
    from {{ ref('int_order_dates') }}

),

-- The finished date that is nearest to a year ago, of those that are half a year ago or more and
-- lie retention_horizon_days or more after the first order: before that everybody is new, and
-- nobody's habits show.
year_dates as (

    select
        dates.as_of_date,
        least({{ days_ago }}, 365) as year_days,
        row_number() over (
            order by abs({{ days_ago }} - 365), dates.as_of_date
        ) as preference
    from {{ ref('int_validation_windows') }} as dates
    inner join {{ ref('int_as_of_dates') }} as current_dates
        on current_dates.is_current
    cross join first_orders
    where
        dates.horizon_code = 'horizon'
        and {{ days_ago }} >= 180
        and {{ days_of_history }} >= {{ horizon }}

),

year_orders as (

    select
        finished.customer_id,
        sum(orders.order_count) as order_count
    from year_dates
    inner join finished
        on year_dates.as_of_date = finished.as_of_date
    inner join {{ ref('int_orders') }} as orders
        on
            finished.customer_id = orders.customer_id
            and finished.as_of_date <= orders.sale_date
    where
        year_dates.preference = 1
        and {{ dbt.datediff('finished.as_of_date', 'orders.sale_date', 'day') }}
        < year_dates.year_days
    group by finished.customer_id

),

-- Where there is no model, the rate of all.
year_odds as (

    select
        finished.as_of_date,
        finished.customer_id,
        finished.order_pace,
        year_dates.year_days,
        cast(avg(finished.y) over () as {{ double }}) as base_rate,
        coalesce(line.intercept, 0) + coalesce(line.slope, 1) * (
            coefficients.intercept
            {%- for feature in features %}
            + coefficients.{{ feature }} * finished.{{ feature }}
            {%- endfor %}
        ) as log_odds
    from year_dates
    inner join finished
        on year_dates.as_of_date = finished.as_of_date
    left join coefficients
        on 1 = 1
    left join line
        on 1 = 1
    where year_dates.preference = 1
    {{ fence() }}

),

year_customers as (

    select
        scores.frequency_score,
        max(year_odds.as_of_date) as year_date,
        max(year_odds.year_days) as year_days,
        sum(coalesce(year_orders.order_count, 0)) as order_count,
        sum(
            coalesce(
                1 / (
                    1 + exp(
                        -greatest(
                            least(year_odds.log_odds, cast(20 as {{ double }})),
                            cast(-20 as {{ double }})
                        )
                    )
                ),
                year_odds.base_rate
            ) * (
                1 + coalesce(value_factors.extra_order_factor, 0)
                * cast(year_odds.order_pace as {{ double }})
            )
        ) as expected_order_count
    from year_odds
    inner join {{ ref('int_rfm_scores') }} as scores
        on
            year_odds.as_of_date = scores.as_of_date
            and year_odds.customer_id = scores.customer_id
    left join value_factors
        on 1 = 1
    left join year_orders
        on year_odds.customer_id = year_orders.customer_id
    group by scores.frequency_score

),

tiles as (

    {% for score in range(1, (var('score_tiles') | int) + 1) %}
    select {{ score }} as frequency_score
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

-- A score with few orders in that year takes the factor of the whole base.
year_factors as (

    select
        tiles.frequency_score,
        max(year_customers.year_date) over () as year_date,
        max(year_customers.year_days) over () as year_days,
        case
            when year_customers.order_count >= 100
                then
                    cast(year_customers.order_count as {{ double }})
                    / nullif(year_customers.expected_order_count, 0)
            else
                cast(sum(year_customers.order_count) over () as {{ double }})
                / nullif(sum(year_customers.expected_order_count) over (), 0)
        end as order_factor
    from tiles
    left join year_customers
        on tiles.frequency_score = year_customers.frequency_score

)

select
    year_factors.frequency_score,
    {% for value in ['order_value', 'extra_order_factor', 'order_value_factor'] %}
    {{ nine_digits('value_factors.' ~ value) }} as {{ value }},
    {% endfor %}
    year_factors.year_date,
    cast(year_factors.year_days as integer) as year_days,
    -- Orders until the end of what is known, and the days that are missing at the same pace.
    {{ nine_digits(
        'year_factors.order_factor * 365 / cast(year_factors.year_days as ' ~ double ~ ')'
    ) }} as year_order_factor
from year_factors
left join value_factors
    on 1 = 1
