-- Grain: one row per (as_of_date, customer_id), every customer who ever ordered before the date.
-- What is odd about a customer, over all history before the date: first as figures, then as flags
-- against behaviour_thresholds.csv. Null = cannot be known; false = known and not so.
{{ config(**sliced()) }}
{%- set recent_days = dbt.datediff(
    'lifecycle.third_last_order_date', 'lifecycle.as_of_date', 'day'
) | trim %}
{%- set earlier_days = dbt.datediff(
    'lifecycle.first_order_date', 'lifecycle.third_last_order_date', 'day'
) | trim %}
{%- set double = type_double() %}
{%- set order_month = 'extract(month from order_dates.order_date)' %}
{%- set order_year = 'extract(year from order_dates.order_date)' %}
with

as_of_dates as (

    {{ due_dates() }}

),

orders as (

    select
        as_of_dates.as_of_date,
        orders.customer_id,
        orders.order_id,
        orders.order_count,
        orders.discounted_order_count,
        orders.sales_amount,
        orders.return_amount,
        orders.discount_amount,
        orders.largest_order_amount,
        orders.is_on_several_days
    from {{ ref('int_orders') }} as orders
    inner join as_of_dates
        on orders.sale_date < as_of_dates.as_of_date

),

-- Of an order over several days all that the date knows is one order, sent back at most once.
whole_orders as (

    select
        as_of_date,
        customer_id,
        order_count,
        discounted_order_count,
        case when return_amount > 0 then 1 else 0 end as returned_order_count,
        sales_amount,
        return_amount,
        discount_amount,
        largest_order_amount
    from orders
    where not is_on_several_days
    union all
    select
        as_of_date,
        customer_id,
        sum(order_count) as order_count,
        case when sum(discount_amount) > 0 then sum(order_count) else 0 end
            as discounted_order_count,
        case when sum(return_amount) > 0 then 1 else 0 end as returned_order_count,
        sum(sales_amount) as sales_amount,
        sum(return_amount) as return_amount,
        sum(discount_amount) as discount_amount,
        sum(sales_amount) as largest_order_amount
    from orders
    where is_on_several_days
    group by as_of_date, customer_id, order_id

),

order_totals as (

    select
        as_of_date,
        customer_id,
        sum(order_count) as order_count,
        sum(sales_amount) as sales_amount,
        sum(return_amount) as return_amount,
        sum(returned_order_count) as returned_order_count,
        {% if sales_have_discounts() %}
        sum(coalesce(discount_amount, 0)) as discount_amount,
        sum(discounted_order_count) as discounted_order_count,
        {% else %}
        cast(null as {{ type_money() }}) as discount_amount,
        cast(null as integer) as discounted_order_count,
        {% endif %}
        max(largest_order_amount) as largest_order_amount
    from whole_orders
    group by as_of_date, customer_id

),

month_counts as (

    select
        as_of_dates.as_of_date,
        {% for month in range(1, 13) %}
        sum(
            case when {{ order_month }} = {{ month }} then 1 else 0 end
        ) as month_{{ month }},
        {% endfor %}
        order_dates.customer_id
    from {{ ref('int_order_dates') }} as order_dates
    inner join as_of_dates
        on order_dates.order_date < as_of_dates.as_of_date
    group by as_of_dates.as_of_date, order_dates.customer_id

),

season_counts as (

    select
        as_of_date,
        {% for month in range(12) %}
        month_{{ month + 1 }}
        + month_{{ (month + 1) % 12 + 1 }}
        + month_{{ (month + 2) % 12 + 1 }} as season_{{ month + 1 }},
        {% endfor %}
        customer_id
    from month_counts

),

-- The season: the three months of the year, next to each other and across New Year too, that hold
-- most order dates; the first of equals.
best_seasons as (

    select
        as_of_date,
        customer_id,
        greatest(
            {% for month in range(1, 13) %}
            season_{{ month }}{{ ',' if not loop.last }}
            {% endfor %}
        ) as season_date_count,
        case greatest(
            {% for month in range(1, 13) %}
            season_{{ month }}{{ ',' if not loop.last }}
            {% endfor %}
        )
            {% for month in range(1, 13) %}
            when season_{{ month }} then {{ month }}
            {% endfor %}
        end as first_month
    from season_counts

),

-- A season that runs across New Year counts by the year in which it began.
seasons as (

    select
        best_seasons.as_of_date,
        best_seasons.customer_id,
        best_seasons.season_date_count,
        count(
            distinct case
                when
                    {{ order_month }} >= best_seasons.first_month
                    and {{ order_month }} <= best_seasons.first_month + 2
                    then {{ order_year }}
                when {{ order_month }} <= best_seasons.first_month - 10
                    then {{ order_year }} - 1
            end
        ) as season_year_count
    from best_seasons
    inner join {{ ref('int_order_dates') }} as order_dates
        on
            best_seasons.customer_id = order_dates.customer_id
            and best_seasons.as_of_date > order_dates.order_date
    group by
        best_seasons.as_of_date, best_seasons.customer_id, best_seasons.season_date_count

),

channels as (

    select
        as_of_dates.as_of_date,
        item_days.customer_id,
        count(distinct item_days.channel) as channel_count
    from {{ ref('int_item_days') }} as item_days
    inner join as_of_dates
        on item_days.sale_date < as_of_dates.as_of_date
    where item_days.channel is not null and item_days.sale_line_count > 0
    group by as_of_dates.as_of_date, item_days.customer_id

),

categories as (

    select
        as_of_date,
        customer_id,
        count(*) as category_count,
        max(case when spend_rank = 1 then category end) as top_category,
        max(spend_amount) as top_category_amount
    from {{ ref('int_customer_categories') }}
    {{ only_due('as_of_date') }}
    group by as_of_date, customer_id

),

figures as (

    select
        lifecycle.as_of_date,
        lifecycle.customer_id,
        categories.top_category,
        order_totals.order_count,
        lifecycle.order_date_count,
        order_totals.sales_amount,
        order_totals.return_amount,
        {{ rounded_ratio('order_totals.return_amount', 'order_totals.sales_amount') }}
            as return_rate_by_value,
        order_totals.returned_order_count,
        least(1, {{ rounded_ratio(
            'order_totals.returned_order_count', 'order_totals.order_count'
        ) }}) as return_rate_by_orders,
        channels.channel_count,
        order_totals.discount_amount,
        order_totals.discounted_order_count,
        {{ rounded_ratio('order_totals.discounted_order_count', 'order_totals.order_count') }}
            as discounted_order_share,
        {{ rounded_ratio(
            'order_totals.discount_amount',
            '(order_totals.sales_amount + order_totals.discount_amount)'
        ) }} as discount_depth,
        order_totals.largest_order_amount,
        {{ rounded_ratio('order_totals.largest_order_amount', 'order_totals.sales_amount') }}
            as largest_order_share,
        cast({{ recent_days }} as {{ double }}) / 3 as recent_gap_days,
        cast({{ earlier_days }} as {{ double }})
        / nullif(lifecycle.order_date_count - 3, 0) as earlier_gap_days,
        categories.category_count,
        -- Of all spend, also that in no category: whoever buys mostly what has none is not of one.
        case
            when
                categories.top_category_amount is not null
                and order_totals.sales_amount > order_totals.return_amount
                then least(1, {{ rounded_ratio(
                    'categories.top_category_amount',
                    '(order_totals.sales_amount - order_totals.return_amount)'
                ) }})
        end as top_category_share,
        seasons.season_year_count,
        {{ rounded_ratio('seasons.season_date_count', 'lifecycle.order_date_count') }}
            as season_share
    from {{ ref('int_lifecycle_stages') }} as lifecycle
    inner join order_totals
        on
            lifecycle.as_of_date = order_totals.as_of_date
            and lifecycle.customer_id = order_totals.customer_id
    inner join seasons
        on
            lifecycle.as_of_date = seasons.as_of_date
            and lifecycle.customer_id = seasons.customer_id
    left join channels
        on
            lifecycle.as_of_date = channels.as_of_date
            and lifecycle.customer_id = channels.customer_id
    left join categories
        on
            lifecycle.as_of_date = categories.as_of_date
            and lifecycle.customer_id = categories.customer_id

)

select
    figures.as_of_date,
    figures.customer_id,
    figures.top_category,
    cast(figures.order_count as integer) as order_count,
    cast(figures.returned_order_count as integer) as returned_order_count,
    cast(figures.discounted_order_count as integer) as discounted_order_count,
    cast(figures.channel_count as integer) as channel_count,
    cast(figures.category_count as integer) as category_count,
    cast(figures.season_year_count as integer) as season_year_count,
    cast(figures.sales_amount as {{ type_money() }}) as sales_amount,
    cast(figures.return_amount as {{ type_money() }}) as return_amount,
    cast(figures.discount_amount as {{ type_money() }}) as discount_amount,
    cast(figures.largest_order_amount as {{ type_money() }}) as largest_order_amount,
    {% for ratio in [
        'return_rate_by_value', 'return_rate_by_orders', 'discounted_order_share',
        'discount_depth', 'largest_order_share', 'recent_gap_days', 'earlier_gap_days',
        'top_category_share', 'season_share',
    ] %}
    cast(figures.{{ ratio }} as {{ double }}) as {{ ratio }},
    {% endfor %}
    figures.order_count >= thresholds.return_rate_min_orders
    and figures.return_rate_by_value >= thresholds.high_return_rate_by_value
        as has_high_return_rate_by_value,
    figures.order_count >= thresholds.return_rate_min_orders
    and figures.return_rate_by_orders >= thresholds.high_return_rate_by_orders
        as has_high_return_rate_by_orders,
    case
        when figures.channel_count > 0
            then
                figures.order_count >= thresholds.single_channel_min_orders
                and figures.channel_count = 1
    end as is_single_channel,
    {% if sales_have_discounts() -%}
    figures.order_count >= thresholds.discount_dependent_min_orders
    and figures.discounted_order_share >= thresholds.discount_dependent_order_share
    and figures.discount_depth >= thresholds.discount_dependent_depth as is_discount_dependent,
    {%- else -%}
    cast(null as boolean) as is_discount_dependent,
    {%- endif %}
    figures.order_count = 1 as is_one_time_buyer,
    figures.order_count >= thresholds.one_big_order_min_orders
    and figures.largest_order_share >= thresholds.one_big_order_share as has_one_big_order,
    figures.order_date_count >= thresholds.declining_frequency_min_order_dates
    and {{ rounded_ratio('figures.recent_gap_days', 'figures.earlier_gap_days') }}
    >= thresholds.declining_frequency_ratio as is_frequency_declining,
    case
        when figures.top_category_share is not null
            then
                figures.order_count >= thresholds.single_category_min_orders
                and figures.top_category_share >= thresholds.single_category_share
    end as is_single_category,
    figures.order_date_count >= thresholds.seasonal_min_order_dates
    and figures.season_year_count >= thresholds.seasonal_min_years
    and figures.season_share >= thresholds.seasonal_share as is_seasonal_buyer
from figures
cross join {{ ref('policy_behaviour_thresholds') }} as thresholds
