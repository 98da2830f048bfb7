-- Grain: one row per (as_of_date, customer_id) with a score group; none when scores are ungrouped.
-- A group that comes from the sales is that of the latest order before the date; of several orders
-- on that day the one with more revenue, then the group that is first byte by byte.
-- Which branch below is taken needs a database to say, so dbt is told about the other parent here.
-- depends_on: {{ ref('stg_sales') }}
{{ config(**sliced()) }}
{%- set score_group = score_group_column() %}
{%- set at_least = '>=' if var('count_zero_value_orders') else '>' %}
with

as_of_dates as (

    {{ due_dates() }}

),

{%- if score_group is not none and score_group['entity'] == 'sales' %}

sales as (

    select
        as_of_dates.as_of_date,
        sales.customer_id,
        sales.order_id,
        sales.score_group,
        sales.revenue,
        sales.sale_date
    from {{ ref('stg_sales') }} as sales
    inner join as_of_dates
        on sales.sale_date < as_of_dates.as_of_date
    where not sales.is_return and sales.revenue {{ at_least }} 0

),

order_groups as (

    select
        as_of_date,
        customer_id,
        order_id,
        score_group,
        sum(revenue) as group_revenue,
        min(sale_date) as first_sale_date
    from sales
    where order_id is not null
    group by as_of_date, customer_id, order_id, score_group

),

candidates as (

    select
        as_of_date,
        customer_id,
        score_group,
        min(first_sale_date) over (partition by as_of_date, customer_id, order_id) as order_date,
        sum(group_revenue) over (partition by as_of_date, customer_id, order_id) as order_revenue,
        group_revenue
    from order_groups
    union all
    select
        as_of_date,
        customer_id,
        score_group,
        sale_date as order_date,
        revenue as order_revenue,
        revenue as group_revenue
    from sales
    where order_id is null

),

ranked as (

    select
        as_of_date,
        customer_id,
        score_group,
        row_number() over (
            partition by as_of_date, customer_id
            order by
                order_date desc,
                order_revenue desc,
                group_revenue desc,
                {{ bytewise('score_group') }} asc nulls last
        ) as candidate_rank
    from candidates

)

select
    as_of_date,
    customer_id,
    score_group
from ranked
where candidate_rank = 1 and score_group is not null
{%- else %}

customers as (

    select
        customer_id,
        score_group
    from {{ ref('stg_customers') }}
    where score_group is not null

)

select
    as_of_dates.as_of_date,
    customers.customer_id,
    customers.score_group
from as_of_dates
cross join customers
{%- endif %}
