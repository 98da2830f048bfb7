-- Grain: one row per row of the sales source, with the reason why it cannot be used
-- (null = accepted).
-- A table where products, events or contacts are in use: then orders, items, the timeline and the
-- warnings all read it, and finding repeated ids among all rows is the dearest thing that a build
-- does. With sales alone one reading is cheaper than writing all rows.
{%- set is_table = is_using('products') or is_using('engagement_events')
    or is_using('campaign_contacts') %}
{{ config(
    materialized='table' if is_table else 'view',
    pre_hook="{{ refuse_bad_policy() }}",
    post_hook="{{ analyze_table() }}" if is_table else []
) }}
{%- set earliest = date_literal('1900-01-01') %}
{%- set latest = date_literal(latest_plausible_date()) %}
with

sales as (

    select
        *,
        coalesce(
            customer_id is not null
            and sale_date >= {{ earliest }}
            and sale_date <= {{ latest }}
            and revenue is not null
            and is_return is not null,
            false
        ) as is_readable
    from {{ ref('base_sales') }}

),

numbered_sales as (

    select
        {% if sales_have_sale_ids() %}
        -- One total order over every column that the source has: rows that tie on all of it are the
        -- same row. Rows that cannot be read are numbered apart, so that they never push a usable
        -- row out.
        row_number() over (
            partition by case when is_readable then sale_id end
            order by
                sale_date asc,
                customer_id asc,
                revenue desc
                {%- for column in columns_that_differ('sales', [
                    'order_id', 'product_id', 'channel', 'score_group', 'quantity',
                    'discount_amount', 'is_return', 'loaded_at', 'sale_date_text', 'revenue_text',
                ]) %},
                {{ column }} asc nulls last
                {%- endfor %}
        ) as occurrence,
        {% else %}
        1 as occurrence,
        {% endif %}
        *
    from sales

),

judged_sales as (

    select
        *,
        is_readable and (sale_id is null or occurrence = 1) as is_accepted
    from numbered_sales

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
    is_accepted,
    sale_date,
    loaded_at,
    case when not is_accepted then sale_date_text end as sale_date_text,
    case when not is_accepted then revenue_text end as revenue_text,
    -- Regular expressions and no lists: DuckDB joins a list to every row, the accepted ones too.
    case
        when is_accepted then cast(null as {{ dbt.type_string() }})
        when is_readable then 'repeated_sale_id'
        when customer_id is null then 'missing_customer_id'
        when nullif({{ clean_text('sale_date_text') }}, '') is null then 'missing_sale_date'
        when sale_date is null then 'unparsable_sale_date'
        when sale_date < {{ earliest }} or sale_date > {{ latest }} then 'implausible_sale_date'
        when revenue is not null then 'unparsable_is_return'
        when nullif({{ clean_text('revenue_text') }}, '') is null then 'missing_revenue'
        when {{ matches('lower(' ~ clean_text('revenue_text') ~ ')', '^[+-]?(nan|inf|infinity)$') }}
            then 'non_finite_revenue'
        when {{ matches(clean_text('revenue_text'), loose_number_pattern()) }} then 'absurd_revenue'
        else 'unparsable_revenue'
    end as rejection_reason
from judged_sales
