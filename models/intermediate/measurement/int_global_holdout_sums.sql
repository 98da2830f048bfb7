-- Grain: one row per (experiment_code, report_scope, period_start): customers, orders, revenue and
-- contacts of both arms of the global experiment in a quarter (`quarter`), and from its first day
-- to the end of the quarter (`cumulative`).
-- Of a quarter count the customers assigned at or before its first day, and what they did in it;
-- the first one begins with the first assignment. Cumulative is the sum over the quarters in which
-- a customer counts. Zeros where the quarter is not over.
-- Squares are of deviations from the mean to the cent: exact, and no digits are lost.
{%- set arms = ['treated', 'holdout'] %}
{%- set quarter_start = dbt.date_trunc('quarter', 'spans.first_date') %}
{%- set key = 'experiment_code, report_scope, period_start' %}
with

current_dates as (

    select as_of_date
    from {{ ref('int_as_of_dates') }}
    where is_current

),

members as (

    select
        experiment_code,
        customer_id,
        is_control,
        assigned_on
    from {{ ref('holdout_assignments') }}
    where is_global

),

-- A global experiment is over on the day after its last one.
spans as (

    select
        members.experiment_code,
        min(members.assigned_on) as first_date,
        min(
            case
                when experiments.valid_to < current_dates.as_of_date
                    then cast({{ dbt.dateadd('day', 1, 'experiments.valid_to') | trim }} as date)
            end
        ) as end_date,
        min(current_dates.as_of_date) as as_of_date
    from members
    cross join current_dates
    left join {{ ref('policy_holdouts') }} as experiments
        on members.experiment_code = experiments.experiment_code
    group by members.experiment_code

),

digits as (

    {% for digit in range(10) %}
    select {{ digit }} as digit
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

-- A hundred quarters.
numbers as (

    select 10 * tens.digit + ones.digit as quarter_number
    from digits as tens
    cross join digits as ones

),

quarters as (

    select
        spans.experiment_code,
        spans.first_date,
        spans.end_date,
        spans.as_of_date,
        cast({{ dbt.dateadd('month', '3 * numbers.quarter_number', quarter_start) | trim }} as date)
            as quarter_start,
        cast(
            {{ dbt.dateadd('month', '3 * numbers.quarter_number + 3', quarter_start) | trim }}
            as date
        ) as quarter_end
    from spans
    cross join numbers

),

periods as (

    select
        experiment_code,
        as_of_date,
        greatest(quarter_start, first_date) as period_start,
        least(quarter_end, coalesce(end_date, quarter_end)) as period_end
    from quarters
    where
        quarter_start < as_of_date
        and (end_date is null or quarter_start < end_date)

),

counting as (

    select
        periods.experiment_code,
        periods.period_start,
        periods.period_end,
        periods.period_end <= periods.as_of_date as is_finished,
        members.customer_id,
        members.is_control
    from periods
    inner join members
        on
            periods.experiment_code = members.experiment_code
            and periods.period_start >= members.assigned_on

),

order_sums as (

    select
        counting.experiment_code,
        counting.period_start,
        counting.customer_id,
        sum(orders.order_count) as order_count,
        sum(orders.net_revenue) as revenue
    from counting
    inner join {{ ref('int_orders') }} as orders
        on
            counting.customer_id = orders.customer_id
            and counting.period_start <= orders.sale_date
            and counting.period_end > orders.sale_date
    where counting.is_finished
    group by counting.experiment_code, counting.period_start, counting.customer_id

),

contact_sums as (

    select
        counting.experiment_code,
        counting.period_start,
        counting.customer_id,
        count(*) as contact_count
    from counting
    inner join {{ ref('stg_campaign_contacts') }} as contacts
        on
            counting.customer_id = contacts.customer_id
            and counting.period_start <= contacts.contact_date
            and counting.period_end > contacts.contact_date
    where counting.is_finished
    group by counting.experiment_code, counting.period_start, counting.customer_id

),

by_quarter as (

    select
        counting.experiment_code,
        counting.period_start,
        counting.period_end,
        counting.is_finished,
        counting.customer_id,
        counting.is_control,
        coalesce(order_sums.order_count, 0) as order_count,
        cast(coalesce(order_sums.revenue, 0) as {{ type_money_total() }}) as revenue,
        coalesce(contact_sums.contact_count, 0) as contact_count
    from counting
    left join order_sums
        on
            counting.experiment_code = order_sums.experiment_code
            and counting.period_start = order_sums.period_start
            and counting.customer_id = order_sums.customer_id
    left join contact_sums
        on
            counting.experiment_code = contact_sums.experiment_code
            and counting.period_start = contact_sums.period_start
            and counting.customer_id = contact_sums.customer_id

),

customers as (

    select
        'quarter' as report_scope,
        *
    from by_quarter
    union all
    select
        'cumulative' as report_scope,
        experiment_code,
        period_start,
        period_end,
        is_finished,
        customer_id,
        is_control,
        sum(order_count) over up_to_quarter as order_count,
        cast(sum(revenue) over up_to_quarter as {{ type_money_total() }}) as revenue,
        sum(contact_count) over up_to_quarter as contact_count
    from by_quarter
    window up_to_quarter as (
        partition by experiment_code, customer_id order by period_start
        rows between unbounded preceding and current row
    )

),

means as (

    select
        {{ key }},
        {{ money_per('sum(revenue)', 'count(*)') }} as mean_revenue
    from customers
    group by {{ key }}

),

deviations as (

    select
        customers.*,
        cast(customers.revenue - means.mean_revenue as numeric(18, 2)) as deviation
    from customers
    inner join means
        on
            customers.experiment_code = means.experiment_code
            and customers.report_scope = means.report_scope
            and customers.period_start = means.period_start

)

select
    {% for arm in arms %}
    {%- set own = 'is_control' if arm == 'holdout' else 'not is_control' %}
    count(case when {{ own }} then 1 end) as {{ arm }}_count,
    count(case when {{ own }} and order_count > 0 then 1 end) as {{ arm }}_retained_count,
    count(case when {{ own }} and contact_count > 0 then 1 end) as {{ arm }}_contacted_count,
    cast(coalesce(sum(case when {{ own }} then order_count end), 0) as bigint)
        as {{ arm }}_order_count,
    cast(coalesce(sum(case when {{ own }} then revenue end), 0) as {{ type_money_total() }})
        as {{ arm }}_revenue,
    cast(coalesce(sum(case when {{ own }} then deviation end), 0) as {{ type_money_total() }})
        as {{ arm }}_deviations,
    cast(coalesce(sum(case when {{ own }} then deviation * deviation end), 0) as numeric(38, 4))
        as {{ arm }}_squares,
    {% endfor %}
    {{ key }},
    period_end,
    is_finished
from deviations
group by {{ key }}, period_end, is_finished
