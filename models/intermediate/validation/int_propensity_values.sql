-- Grain: one row per frequency score: how many orders a year brings for one in the horizon.
-- Measured on the customers of `year_date`, a finished date about a year ago: the orders they
-- placed in the year after it by those they placed in the horizon after it. Each score has its own
-- ratio, drawn to that of all by 100 orders, since a score with few orders says little.
-- The model knows no season: it expects an average quarter, and the horizon after year_date may
-- have been a better or a worse one. Where today's horizon lies in the same season as that one
-- (320 days or more ago), or that one had too few orders to divide by, the ratio of the whole base
-- is therefore by what the formula of today would have expected for it, not by what came.
{%- set double = type_double() %}
{%- set horizon = var('retention_horizon_days') | int %}
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
        order_pace,
        {{ features | join(',\n        ') }}
    from {{ ref('int_propensity_features') }}
    where not is_current

),

order_values as (

    select extra_order_factor
    from {{ ref('int_propensity_order_values') }}
    where fit_code = 'current'

),

{{ propensity_model('coefficients', 'current') }},

{{ propensity_line('line') }},

first_orders as (

    select min(order_date) as order_date
    from {{ ref('int_order_dates') }}

),

-- The finished date whose year is complete and began at most 45 days earlier than a year ago; else
-- the one nearest to a year ago, of those that are half a year ago or more. It lies
-- retention_horizon_days or more after the first order: before that everybody is new, and nobody's
-- habits show.
year_dates as (

    select
        dates.as_of_date,
        least({{ days_ago }}, 365) as year_days,
        row_number() over (
            order by
                case when {{ days_ago }} between 365 and 410 then 0 else 1 end,
                abs({{ days_ago }} - 365),
                dates.as_of_date
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
        finished.future_order_count,
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

year_probabilities as (

    select
        *,
        case
            when log_odds is not null
                then 1 / (
                    1 + exp(
                        -greatest(
                            least(log_odds, cast(20 as {{ double }})), cast(-20 as {{ double }})
                        )
                    )
                )
            else base_rate
        end as probability
    from year_odds
    {{ fence() }}

),

by_score as (

    select
        scores.frequency_score,
        max(year_probabilities.as_of_date) as year_date,
        max(year_probabilities.year_days) as year_days,
        cast(sum(coalesce(year_orders.order_count, 0)) as {{ double }}) as year_order_count,
        cast(sum(year_probabilities.future_order_count) as {{ double }}) as horizon_order_count,
        sum(
            {{ expected_orders(
                'year_probabilities.probability',
                'order_values.extra_order_factor',
                'year_probabilities.order_pace',
            ) }}
        ) as expected_order_count
    from year_probabilities
    inner join {{ ref('int_rfm_scores') }} as scores
        on
            year_probabilities.as_of_date = scores.as_of_date
            and year_probabilities.customer_id = scores.customer_id
    cross join order_values
    left join year_orders
        on year_probabilities.customer_id = year_orders.customer_id
    group by scores.frequency_score

),

totals as (

    select
        max(year_date) as year_date,
        max(year_days) as year_days,
        sum(year_order_count) as year_order_count,
        sum(horizon_order_count) as horizon_order_count,
        -- What the orders of the year are divided by.
        case
            when max(year_days) >= 320 or sum(horizon_order_count) < 100
                then sum(expected_order_count)
            else sum(horizon_order_count)
        end as base_order_count
    from by_score

),

tiles as (

    {% for score in range(1, (var('score_tiles') | int) + 1) %}
    select {{ score }} as frequency_score
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

-- The ratio of the score by that of all, times that of all: written so that it stands without any
-- order in the horizon. Days that are missing in the year are taken at the same pace.
ratios as (

    select
        tiles.frequency_score,
        totals.year_date,
        totals.year_days,
        (
            coalesce(by_score.year_order_count, 0) * totals.horizon_order_count
            + 100 * totals.year_order_count
        )
        / (coalesce(by_score.horizon_order_count, 0) + 100)
        / nullif(totals.base_order_count, 0)
        * 365 / cast(totals.year_days as {{ double }}) as year_order_ratio
    from tiles
    cross join totals
    left join by_score
        on tiles.frequency_score = by_score.frequency_score

)

select
    frequency_score,
    year_date,
    cast(year_days as integer) as year_days,
    {%- if horizon <= 365 %}
    -- A year holds the horizon.
    case when year_order_ratio < 1 then 1 else {{ nine_digits('year_order_ratio') }} end
        as year_order_ratio
    {%- else %}
    {{ nine_digits('year_order_ratio') }} as year_order_ratio
    {%- endif %}
from ratios
