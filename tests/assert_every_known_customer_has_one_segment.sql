-- Nobody is lost on the way to a segment and nobody is in two.
with

known_customers as (

    select metrics.customer_id
    from {{ ref('int_customer_metrics') }} as metrics
    inner join {{ ref('int_as_of_dates') }} as as_of_dates
        on metrics.as_of_date = as_of_dates.as_of_date
    where as_of_dates.is_current

),

segmented as (

    select
        customer_id,
        count(*) as segment_count
    from {{ ref('customer_segments') }}
    group by customer_id

)

select
    coalesce(known_customers.customer_id, segmented.customer_id) as customer_id,
    coalesce(segmented.segment_count, 0) as segment_count
from known_customers
full outer join segmented
    on known_customers.customer_id = segmented.customer_id
where known_customers.customer_id is null or coalesce(segmented.segment_count, 0) <> 1
