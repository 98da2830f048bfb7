-- Grain: one row per (as_of_date, score_group) with scored customers.
-- A group too small for meaningful tiles is scored within the whole base, and so are customers
-- without a group.
{{ config(**sliced()) }}
with

group_sizes as (

    select
        as_of_date,
        score_group,
        count(*) as customer_count
    from {{ ref('int_customer_metrics') }}
    where is_scored {{ only_due('as_of_date', 'and') }}
    group by as_of_date, score_group

)

select
    as_of_date,
    score_group,
    case
        when customer_count >= {{ var('min_group_customers') }} then score_group
        else '{{ whole_base() }}'
    end as scored_within,
    customer_count
from group_sizes
