-- Grain: one row per (as_of_date, score_group) with customers who ordered on two or more dates, and
-- one for the whole base.
{{ config(**sliced()) }}
with

gaps as (

    select
        as_of_date,
        score_group,
        order_date_count,
        own_gap_days
    from {{ ref('int_customer_gaps') }}
    where own_gap_days is not null {{ only_due('as_of_date', 'and') }}

),

bases as (

    select
        as_of_date,
        '{{ whole_base() }}' as score_group,
        order_date_count,
        own_gap_days
    from gaps
    {% if score_group_column() is not none %}
    union all
    select
        as_of_date,
        score_group,
        order_date_count,
        own_gap_days
    from gaps
    where score_group <> '{{ whole_base() }}'
    {% endif %}

)

select
    as_of_date,
    score_group,
    {% for name, share in {'q1': 0.25, 'median': 0.5, 'q3': 0.75, 'p90': 0.9}.items() %}
    percentile_cont({{ share }}) within group (order by own_gap_days) as gap_days_{{ name }},
    {% endfor %}
    cast(sum(order_date_count) as bigint) as order_date_count,
    cast(count(*) as integer) as customer_count
from bases
group by as_of_date, score_group
