-- Who fits an audience is a member or is counted under one reason.
with

suppressed as (

    select
        audience_code,
        sum(customer_count) as customer_count
    from {{ ref('audience_suppressions') }}
    group by audience_code

)

select
    audiences.audience_code,
    audiences.fitting_count,
    audiences.member_count,
    audiences.suppressed_count,
    suppressed.customer_count as counted_by_reason
from {{ ref('audiences') }} as audiences
left join suppressed
    on audiences.audience_code = suppressed.audience_code
where
    audiences.fitting_count <> audiences.member_count + audiences.suppressed_count
    or audiences.suppressed_count <> coalesce(suppressed.customer_count, 0)
