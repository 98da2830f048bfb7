-- Grain: one row per row of the sales source, with the reason why it cannot be used (null = accepted).
-- Repeated ids are found by counting first: ranking every row to find the few repeats sorts the whole table.
with

sales as (

    select
        *,
        customer_id is not null
        and sale_date >= {{ date_literal('1900-01-01') }}
        and sale_date <= {{ date_literal(latest_plausible_date()) }}
        and revenue is not null as is_readable
    from {{ ref('base_sales') }}

),

repeated_sale_ids as (

    select sale_id
    from sales
    where is_readable and sale_id is not null
    group by sale_id
    having count(*) > 1

),

repeated_sales as (

    select
        sales.*,
        -- One total order over every column: rows that tie on all of it are the same row.
        row_number() over (
            partition by sales.sale_id
            order by
                sales.sale_date,
                {{ bytewise('sales.customer_id') }},
                sales.revenue desc,
                {{ bytewise('sales.order_id') }} nulls last,
                {{ bytewise('sales.product_id') }} nulls last,
                {{ bytewise('sales.channel') }} nulls last,
                {{ bytewise('sales.score_group') }} nulls last,
                sales.quantity nulls last,
                sales.discount_amount nulls last,
                sales.is_return,
                {{ bytewise('sales.sale_date_text') }},
                {{ bytewise('sales.revenue_text') }}
        ) as occurrence
    from sales
    inner join repeated_sale_ids
        on sales.sale_id = repeated_sale_ids.sale_id
    where sales.is_readable

),

all_sales as (

    select
        sales.*,
        1 as occurrence
    from sales
    left join repeated_sale_ids
        on sales.sale_id = repeated_sale_ids.sale_id
    where not sales.is_readable or repeated_sale_ids.sale_id is null
    union all
    select * from repeated_sales

)

select
    sale_id,
    order_id,
    customer_id,
    product_id,
    channel,
    score_group,
    quantity,
    revenue,
    discount_amount,
    is_return,
    sale_date,
    sale_date_text,
    revenue_text,
    case
        when is_readable and occurrence = 1 then cast(null as {{ dbt.type_string() }})
        when is_readable then 'repeated_sale_id'
        when customer_id is null then 'missing_customer_id'
        when nullif(trim(sale_date_text), '') is null then 'missing_sale_date'
        when sale_date is null then 'unparsable_sale_date'
        when sale_date < {{ date_literal('1900-01-01') }}
            or sale_date > {{ date_literal(latest_plausible_date()) }}
            then 'implausible_sale_date'
        when nullif(trim(revenue_text), '') is null then 'missing_revenue'
        when lower(trim(revenue_text)) in ({{ non_finite_words() }}) then 'non_finite_revenue'
        when {{ matches('trim(revenue_text)', '^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?$') }}
            then 'absurd_revenue'
        else 'unparsable_revenue'
    end as rejection_reason
from all_sales
