-- Grain: one row per (as_of_date, score_group) with customers who ordered on two or more dates, and
-- one for the whole base.
select
    as_of_date,
    score_group,
    customer_count,
    order_date_count,
    gap_days_q1,
    gap_days_median,
    gap_days_q3,
    gap_days_p90
from {{ ref('int_group_gaps') }}
