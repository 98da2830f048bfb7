-- Grain: one row per (audience_code, suppression_reason): customers who fit the audience at the
-- current date and are not contacted.
select
    as_of_date,
    audience_code,
    suppression_reason,
    cast(count(*) as integer) as customer_count
from {{ ref('int_audience_candidates') }}
where suppression_reason is not null
group by as_of_date, audience_code, suppression_reason
