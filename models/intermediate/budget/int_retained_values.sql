-- Grain: one row per frequency score: what of a retained customer's expected twelve months is owed
-- to coming back within the horizon. Expected revenue of twelve months divided by the purchase
-- probability counts what those buy later who lapse now as if the retained had bought it: by half
-- too much for customers with few orders on CDNOW. `year_share` takes that off, as seen at the date
-- about a year ago: revenue of a retained customer minus that of one who was not, in parts of all
-- revenue per retained customer. A score with fewer than 50 customers of either kind takes the
-- share of the whole base, and 1 if that has too few: then the value is too high, nearly
-- twice on CDNOW, and `is_measured` says so.
{%- set double = type_double() %}
{%- set days_after = dbt.datediff('year_dates.as_of_date', 'orders.sale_date', 'day') | trim %}
with

year_dates as (

    select
        factors.year_date as as_of_date,
        windows.end_date,
        max(factors.year_days) as year_days
    from {{ ref('int_propensity_values') }} as factors
    inner join {{ ref('int_validation_windows') }} as windows
        on
            factors.year_date = windows.as_of_date
            and windows.horizon_code = 'horizon'
    group by factors.year_date, windows.end_date

),

customers as (

    select
        year_dates.as_of_date as year_date,
        scores.customer_id,
        scores.frequency_score
    from year_dates
    inner join {{ ref('int_rfm_scores') }} as scores
        on year_dates.as_of_date = scores.as_of_date

),

later_orders as (

    select
        orders.customer_id,
        sum(
            case when orders.sale_date < year_dates.end_date then orders.order_count else 0 end
        ) as horizon_order_count,
        sum(orders.net_revenue) as net_revenue
    from year_dates
    inner join {{ ref('int_orders') }} as orders
        on year_dates.as_of_date <= orders.sale_date
    where {{ days_after }} < year_dates.year_days
    group by orders.customer_id

),

outcomes as (

    select
        customers.year_date,
        customers.frequency_score,
        coalesce(later_orders.horizon_order_count > 0, false) as is_retained,
        coalesce(later_orders.net_revenue, 0) as net_revenue
    from customers
    left join later_orders
        on customers.customer_id = later_orders.customer_id

),

totals as (

    {% for score in range(1, (var('score_tiles') | int) + 1) %}
    select
        {{ score }} as frequency_score,
        max(year_date) as year_date,
        {%- for condition in ['frequency_score = ' ~ score, '1 = 1'] %}
        {%- set scope = 'score' if loop.first else 'base' %}
        {%- for kind in ['retained', 'lapsed'] %}
        {%- set these = condition ~ ' and ' ~ {'retained': '', 'lapsed': 'not '}[kind]
            ~ 'is_retained' %}
        sum(case when {{ these }} then 1 else 0 end) as {{ scope }}_{{ kind }}_count,
        sum(case when {{ these }} then net_revenue else 0 end) as {{ scope }}_{{ kind }}_revenue
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from outcomes
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

-- Too few of either kind in the score: the base; too few there: nothing is taken off.
chosen as (

    select
        {% for kind in ['retained', 'lapsed'] %}
        {% for measure in ['count', 'revenue'] %}
        cast(
            case
                when score_retained_count >= 50 and score_lapsed_count >= 50
                    then score_{{ kind }}_{{ measure }}
                when base_retained_count >= 50 and base_lapsed_count >= 50
                    then base_{{ kind }}_{{ measure }}
            end
            as {{ double }}
        ) as {{ kind }}_{{ measure }},
        {% endfor %}
        {% endfor %}
        frequency_score,
        year_date
    from totals

)

select
    frequency_score,
    year_date,
    cast(retained_count as bigint) as retained_count,
    cast(lapsed_count as bigint) as lapsed_count,
    -- greatest() leaves nulls out, so they are asked for first.
    case
        when retained_revenue + lapsed_revenue > 0
            then {{ nine_digits(
                'least(greatest((retained_revenue / retained_count'
                ~ ' - lapsed_revenue / lapsed_count)'
                ~ ' / ((retained_revenue + lapsed_revenue) / retained_count), 0), 1)'
            ) }}
        else 1
    end as year_share,
    coalesce(retained_revenue + lapsed_revenue > 0, false) as is_measured
from chosen
