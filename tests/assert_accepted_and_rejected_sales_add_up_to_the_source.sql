-- Every source row is either accepted or rejected with a reason, to the row and the cent.
with

source_rows as (

    select count(*) as row_count
    from {{ source('raw', 'sales') }}

),

source_totals as (

    select
        max(source_rows.row_count) as row_count,
        coalesce(sum(base_sales.revenue), 0) as revenue
    from source_rows
    left join {{ ref('base_sales') }} as base_sales
        on 1 = 1

),

staged as (

    select revenue from {{ ref('stg_sales') }}
    union all
    select revenue from {{ ref('stg_sales_rejected') }}

),

staged_totals as (

    select
        count(*) as row_count,
        coalesce(sum(revenue), 0) as revenue
    from staged

)

select
    source_totals.row_count as source_row_count,
    staged_totals.row_count as staged_row_count,
    source_totals.revenue as source_revenue,
    staged_totals.revenue as staged_revenue
from source_totals
cross join staged_totals
where
    source_totals.row_count <> staged_totals.row_count
    or source_totals.revenue <> staged_totals.revenue
