-- Grain: one row per (as_of_date, score_group, dimension): how far the values have moved from where
-- they lay at the reference date: the first date of the history on which the base has scores and
-- that lies retention_horizon_days or more after the first order (before that everybody is new).
-- Values are sorted into the ranges that the scores had at the reference date; the population
-- stability index adds up (share − share then) × ln(share / share then). An empty range counts as
-- half a customer. `index_by_chance`: what two random samples of one base would have on average. No
-- rows where no date is that late.
{%- set scores = range(1, 11) %}
{%- set double = type_double() %}
with

value_tiles as (

    select
        as_of_date,
        scored_within as score_group,
        dimension,
        value,
        lowest_score,
        customer_count
    from {{ ref('int_score_tiles') }}
    where dimension not like 'sales%'

),

first_orders as (

    select min(order_date) as order_date
    from {{ ref('int_order_dates') }}

),

reference_dates as (

    select
        value_tiles.score_group,
        min(value_tiles.as_of_date) as reference_date
    from value_tiles
    cross join first_orders
    where
        {{ dbt.datediff('first_orders.order_date', 'value_tiles.as_of_date', 'day') }}
        >= {{ var('retention_horizon_days') }}
    group by value_tiles.score_group

),

-- Where each score began at the reference date.
edges as (

    select
        value_tiles.score_group,
        value_tiles.dimension,
        {% for score in scores %}
        min(case when value_tiles.lowest_score = {{ score }} then value_tiles.value end)
            as edge_{{ score }},
        {% endfor %}
        max(reference_dates.reference_date) as reference_date
    from value_tiles
    inner join reference_dates
        on
            value_tiles.score_group = reference_dates.score_group
            and value_tiles.as_of_date = reference_dates.reference_date
    group by value_tiles.score_group, value_tiles.dimension

),

binned as (

    select
        value_tiles.as_of_date,
        value_tiles.score_group,
        value_tiles.dimension,
        edges.reference_date,
        value_tiles.customer_count,
        greatest(
            {% for score in scores %}
            case when value_tiles.value >= edges.edge_{{ score }} then 1 else 0 end
            {% if not loop.last %}+ {% endif %}
            {% endfor %},
            1
        ) as bin
    from value_tiles
    inner join edges
        on
            value_tiles.score_group = edges.score_group
            and value_tiles.dimension = edges.dimension

),

counted as (

    select
        as_of_date,
        score_group,
        dimension,
        reference_date,
        bin,
        cast(sum(customer_count) as {{ double }}) as customer_count
    from binned
    group by as_of_date, score_group, dimension, reference_date, bin

),

reference_counts as (

    select
        score_group,
        dimension,
        bin,
        customer_count,
        sum(customer_count) over (partition by score_group, dimension) as total_count
    from counted
    where as_of_date = reference_date

),

totals as (

    select
        as_of_date,
        score_group,
        dimension,
        reference_date,
        sum(customer_count) as total_count
    from counted
    group by as_of_date, score_group, dimension, reference_date

),

compared as (

    select
        totals.as_of_date,
        totals.score_group,
        totals.dimension,
        totals.reference_date,
        reference_counts.customer_count / reference_counts.total_count as reference_share,
        coalesce(counted.customer_count, 0.5) / totals.total_count as customer_share,
        1 / totals.total_count + 1 / reference_counts.total_count as noise
    from totals
    inner join reference_counts
        on
            totals.score_group = reference_counts.score_group
            and totals.dimension = reference_counts.dimension
    left join counted
        on
            totals.as_of_date = counted.as_of_date
            and totals.score_group = counted.score_group
            and totals.dimension = counted.dimension
            and reference_counts.bin = counted.bin

)

select
    as_of_date,
    score_group,
    dimension,
    reference_date,
    {{ nine_digits(
        'sum((customer_share - reference_share) * ln(customer_share / reference_share))'
    ) }} as population_stability_index,
    {{ nine_digits('(count(*) - 1) * max(noise)') }} as index_by_chance
from compared
group by as_of_date, score_group, dimension, reference_date
