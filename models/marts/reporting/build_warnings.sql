-- Grain: one row per thing that a reader of the marts should know before trusting them
-- (warning_code, subject).
-- Warnings and not failures: each can be right for some company. The build prints them when this
-- model is built.
{{ config(post_hook="{{ print_build_warnings() }}") }}
{%- set string = dbt.type_string() %}
{%- set first_date_text = "cast(first_date as " ~ string ~ ")" %}
{%- set last_date_text = "cast(last_date as " ~ string ~ ")" %}
{%- set days_to_next_date = dbt.datediff('sale_date', 'next_date', 'day') | trim %}
{%- set is_discovered = var('segment_scheme') == 'discovered' %}
with

-- The scheme `discovered` has a rule and a segment for every name that a cluster can have; while
-- there are clusters, a name that none of them has is no mistake. Empty under other schemes.
cluster_names as (

    {% if is_discovered %}
    select distinct segment_code
    from {{ ref('int_discovered_cells') }}
    where segment_code is not null
    {% else %}
    select cast(null as {{ string }}) as segment_code
    where 1 = 0
    {% endif %}

),

small_segments as (

    select
        segment_key,
        segment_name,
        customer_count
    from {{ ref('segment_summary') }}
    where
        customer_share < {{ var('min_segment_share') }}
        and segment_code not in ('prospects', 'dormant')
        and (
            segment_code in (select cluster_names.segment_code from cluster_names)
            or not exists (select 1 from cluster_names)
        )

),

unreachable_rules as (

    select
        segment_scheme,
        match_order
    from {{ ref('segment_rule_coverage') }}
    where
        not is_reachable
        and (segment_scheme <> 'discovered' or not exists (select 1 from cluster_names))

),

current_dates as (

    select as_of_date
    from {{ ref('int_as_of_dates') }}
    where is_current

),

classified_sales as (

    select
        rejection_reason,
        count(*) as sale_count
    from {{ ref('stg_sales_classified') }}
    group by rejection_reason

),

sale_counts as (

    select
        coalesce(sum(sale_count), 0) as sale_count,
        coalesce(
            sum(case when rejection_reason is null then sale_count else 0 end), 0
        ) as accepted_count
    from classified_sales

),

sale_period as (

    select
        current_dates.as_of_date,
        min(orders.sale_date) as first_sale_date,
        max(orders.sale_date) as last_sale_date
    from {{ ref('int_orders') }} as orders
    cross join current_dates
    group by current_dates.as_of_date

),

rejected_rows as (

    select
        'customers' as entity,
        rejection_reason
    from {{ ref('stg_customers_rejected') }}
    union all
    select
        'products' as entity,
        rejection_reason
    from {{ ref('stg_products_rejected') }}
    union all
    select
        'engagement_events' as entity,
        rejection_reason
    from {{ ref('stg_engagement_events_rejected') }}
    union all
    select
        'campaign_contacts' as entity,
        rejection_reason
    from {{ ref('stg_campaign_contacts_rejected') }}
    union all
    select
        'experiment_assignments' as entity,
        rejection_reason
    from {{ ref('stg_experiment_assignments_rejected') }}

),

dated_rows as (

    select
        'engagement_events' as entity,
        customer_id,
        event_date as row_date,
        event_count as row_count
    from {{ ref('int_event_days') }}
    union all
    select
        'campaign_contacts' as entity,
        customer_id,
        contact_date as row_date,
        1 as row_count
    from {{ ref('stg_campaign_contacts') }}
    union all
    select
        'experiment_assignments' as entity,
        customer_id,
        assigned_on as row_date,
        1 as row_count
    from {{ ref('stg_experiment_assignments') }}

),

-- The clock of the build is the sales, so events and contacts can run ahead of it.
rows_ahead as (

    select
        dated_rows.entity,
        current_dates.as_of_date,
        sum(dated_rows.row_count) as row_count,
        max(dated_rows.row_date) as last_date
    from dated_rows
    inner join current_dates
        on dated_rows.row_date >= current_dates.as_of_date
    -- Whoever is assigned ahead has a window that is not over (campaign_lift says so).
    where dated_rows.entity <> 'experiment_assignments'
    group by dated_rows.entity, current_dates.as_of_date

),

-- Customers that no accepted sale and no row of the customers source knows. An event makes them
-- known, a contact of ours does not.
strangers as (

    select
        dated_rows.entity,
        dated_rows.customer_id,
        sum(dated_rows.row_count) as row_count
    from dated_rows
    inner join current_dates
        on dated_rows.row_date < current_dates.as_of_date
    group by dated_rows.entity, dated_rows.customer_id

),

buyers as (

    select distinct customer_id
    from {{ ref('int_orders') }}

),

rows_of_strangers as (

    select
        strangers.entity,
        count(*) as customer_count,
        sum(strangers.row_count) as row_count
    from strangers
    left join buyers
        on strangers.customer_id = buyers.customer_id
    left join {{ ref('stg_customers') }} as customers
        on strangers.customer_id = customers.customer_id
    where buyers.customer_id is null and customers.customer_id is null
    group by strangers.entity

),

unmapped_types as (

    select
        event_days.event_type,
        sum(event_days.event_count) as event_count
    from {{ ref('int_event_days') }} as event_days
    inner join current_dates
        on event_days.event_date < current_dates.as_of_date
    where not event_days.is_mapped
    group by event_days.event_type

),

unknown_products as (

    select
        count(distinct item_days.product_id) as product_count,
        sum(item_days.sale_line_count) as sale_count
    from {{ ref('int_item_days') }} as item_days
    left join {{ ref('stg_products') }} as products
        on item_days.product_id = products.product_id
    where
        {{ is_using('products') | lower }}
        and item_days.product_id is not null
        and products.product_id is null

),

odd_margins as (

    select
        count(*) as product_count,
        min(product_id) as product_id
    from {{ ref('stg_products') }}
    where margin_rate < -1 or margin_rate > 1

),

late_slices as (

    select
        count(*) as slice_count,
        min(as_of_date) as first_as_of_date,
        max(late_sale_count) as sale_count,
        max(late_event_count) as event_count
    from {{ ref('history_slices') }}
    where late_sale_count > 0 or late_event_count > 0

),

reopened_periods as (

    select count(*) as period_count
    from {{ ref('int_as_of_dates') }} as dates
    cross join late_slices
    where dates.is_grid and dates.as_of_date >= late_slices.first_as_of_date

),

unused_exclusions as (

    select excluded.category
    from {{ ref('policy_excluded_categories') }} as excluded
    left join {{ ref('stg_products') }} as products
        on excluded.category = {{ lower_text('products.category') }}
    where products.product_id is null and {{ is_using('products') | lower }}

),

-- Days without any sale between the first sale and the as-of date, as ranges. Weekdays are counted
-- from a Monday.
sale_days as (

    select distinct
        current_dates.as_of_date,
        orders.sale_date
    from {{ ref('int_orders') }} as orders
    inner join current_dates
        on orders.sale_date < current_dates.as_of_date

),

day_steps as (

    select
        as_of_date,
        sale_date,
        coalesce(lead(sale_date) over (order by sale_date), as_of_date) as next_date
    from sale_days

),

gaps as (

    select
        cast({{ dbt.dateadd('day', 1, 'sale_date') }} as date) as first_date,
        cast({{ dbt.dateadd('day', -1, 'next_date') }} as date) as last_date,
        cast({{ days_to_next_date }} as integer) - 1 as day_count
    from day_steps
    where {{ days_to_next_date }} > 1

),

numbers as (

    {{ dbt_utils.generate_series(7) }}

),

weekdays as (

    select cast(generated_number as integer) - 1 as weekday_number
    from numbers

),

-- A shop that is closed on Sundays has no gap on Sundays: a day is missed only on the weekdays that
-- usually sell, which is judged by the weeks that sell at all, however long a gap is.
selling_weeks as (

    select count(distinct cast({{ dbt.date_trunc('week', 'sale_date') }} as date)) as week_count
    from sale_days

),

selling_weekdays as (

    select weekdays.weekday_number
    from weekdays
    cross join selling_weeks
    inner join sale_days
        on weekdays.weekday_number = {{ weekday_of('sale_days.sale_date') }}
    group by weekdays.weekday_number, selling_weeks.week_count
    having 3 * count(*) >= 2 * selling_weeks.week_count

),

placed_gaps as (

    select
        first_date,
        last_date,
        day_count,
        {{ weekday_of('first_date') }} as first_weekday
    from gaps

),

missed_days as (

    select
        gaps.first_date,
        gaps.last_date,
        sum({{ weekday_count(
            'selling_weekdays.weekday_number', 'gaps.first_weekday', 'gaps.day_count'
        ) }}) as missed_count
    from placed_gaps as gaps
    cross join selling_weekdays
    group by gaps.first_date, gaps.last_date

),

warnings as (

    select
        'no_sales' as warning_code,
        'sales' as subject,
        case
            when sale_count = 0
                then {{ text_literal(
                    'The sales source is empty: the marts have their shape and no customers'
                ) }}
            else {{ text_literal(
                'No row of the sales source can be used: the marts have their shape and no scored'
                ~ ' customers'
            ) }}
        end as message
    from sale_counts
    where accepted_count = 0
    union all
    select
        'as_of_date_outside_sales' as warning_code,
        cast(sale_period.as_of_date as {{ string }}) as subject,
        {{ dbt.concat([
            "'The as-of date '", "cast(sale_period.as_of_date as " ~ string ~ ")",
            "' lies outside of the sales, which run from '",
            "cast(sale_period.first_sale_date as " ~ string ~ ")", "' to '",
            "cast(sale_period.last_sale_date as " ~ string ~ ")"
        ]) }} as message
    from sale_period
    where
        sale_period.as_of_date <= sale_period.first_sale_date
        or sale_period.as_of_date > {{ dbt.dateadd('day', 31, 'sale_period.last_sale_date') }}
    union all
    select
        'rejected_sales' as warning_code,
        classified_sales.rejection_reason as subject,
        {{ dbt.concat([
            number_text('classified_sales.sale_count'), "' of '",
            number_text('sale_counts.sale_count'), "' sale rows are not used: '",
            'classified_sales.rejection_reason', "'. See stg_sales_rejected'",
        ]) }} as message
    from classified_sales
    cross join sale_counts
    where classified_sales.rejection_reason is not null
    union all
    select
        {{ dbt.concat(["'rejected_'", 'entity']) }} as warning_code,
        rejection_reason as subject,
        {{ dbt.concat([
            number_text('count(*)'), "' '", 'entity', "' rows are not used: '", 'rejection_reason',
            "'. See stg_'", 'entity', "'_rejected'"
        ]) }} as message
    from rejected_rows
    group by entity, rejection_reason
    union all
    select
        {{ dbt.concat(["'unknown_customers_in_'", 'entity']) }} as warning_code,
        entity as subject,
        {{ dbt.concat([
            number_text('row_count'), "' '", 'entity', "' rows name '",
            customers_text('customer_count'), "' that neither sales nor customers have'",
            "case entity when 'engagement_events' then '; they are prospects now'"
            ~ " when 'campaign_contacts' then '; they are in customer_activity only'"
            ~ " else '; they count as assigned and not retained' end",
        ]) }} as message
    from rows_of_strangers
    union all
    select
        {{ dbt.concat(["'later_'", 'entity']) }} as warning_code,
        entity as subject,
        {{ dbt.concat([
            number_text('row_count'), "' '", 'entity', "' rows up to '", last_date_text,
            "' are not before the as-of date '", "cast(as_of_date as " ~ string ~ ")",
            "' and count only against contacting'",
        ]) }} as message
    from rows_ahead
    union all
    select
        'unmapped_event_type' as warning_code,
        event_type as subject,
        {{ dbt.concat([
            number_text('event_count'), "' events have the type '", 'event_type',
            "', which engagement_event_types.csv does not list: counted as unmapped, not scored'",
        ]) }} as message
    from unmapped_types
    union all
    select
        'unknown_products_in_sales' as warning_code,
        'sales' as subject,
        {{ dbt.concat([
            number_text('sale_count'), "' sales name '", number_text('product_count'),
            "' products that the products source lacks: they have no category'",
        ]) }} as message
    from unknown_products
    where product_count > 0
    union all
    select
        'margin_rate_out_of_range' as warning_code,
        'products' as subject,
        {{ dbt.concat([
            number_text('product_count'), "' products have a margin_rate below -1 or above 1 ('",
            'product_id', "' is the first): it is a share (0.3 = 30 %). They count with the var'",
            "' margin_rate'",
        ]) }} as message
    from odd_margins
    where product_count > 0
    union all
    select
        'late_rows' as warning_code,
        'history' as subject,
        {{ dbt.concat([
            number_text('coalesce(late_slices.sale_count, 0)'), "' sales and '",
            number_text('coalesce(late_slices.event_count, 0)'),
            "' events came in after finished slices of the history that they belong to: '",
            number_text('late_slices.slice_count'), "' slices would differ (history_slices).'",
            "' One run with the var reopen_periods: '",
            number_text('reopened_periods.period_count'), "' takes them in'",
        ]) }} as message
    from late_slices
    cross join reopened_periods
    where late_slices.slice_count > 0
    union all
    select
        {{ dbt.concat(['override_status', "'_override'"]) }} as warning_code,
        {{ dbt.concat(["'row '", number_text('csv_row')]) }} as subject,
        {{ dbt.concat([
            "'segment_overrides.csv, row '", number_text('csv_row'), "': the customer '",
            'customer_id',
            "case when override_status = 'expired' then ' is under the rules again, the override has"
            ~ " run out' else ' is not known' end",
        ]) }} as message
    from {{ ref('segment_override_status') }}
    where override_status in ('expired', 'unknown_customer')
    union all
    select
        'unused_excluded_category' as warning_code,
        category as subject,
        {{ dbt.concat([
            "'excluded_categories.csv names '", 'category', "', and no product has that category'",
        ]) }} as message
    from unused_exclusions
    union all
    select
        'missing_days' as warning_code,
        cast(first_date as {{ string }}) as subject,
        case
            when first_date = last_date
                then {{ dbt.concat([
                    "'No sales on '", first_date_text, "': was a load missed?'"
                ]) }}
            else {{ dbt.concat([
                "'No sales from '", first_date_text, "' to '", last_date_text,
                "': was a load missed?'",
            ]) }}
        end as message
    from missed_days
    where missed_count > 0
    union all
    select
        'small_segment' as warning_code,
        segment_key as subject,
        {{ dbt.concat([
            'segment_name', "' has '", customers_text('customer_count'),
            "', a smaller share than {0} (the var min_segment_share)'".format(
                var('min_segment_share')
            ),
        ]) }} as message
    from small_segments
    union all
    select
        'small_score_group' as warning_code,
        score_groups.score_group as subject,
        {{ dbt.concat([
            "'The score group '", 'score_groups.score_group', "' has '",
            number_text('score_groups.customer_count'),
            "' scored customers and is scored within the whole base'",
            "' (the var min_group_customers is {0})'".format(var('min_group_customers')),
        ]) }} as message
    from {{ ref('int_score_groups') }} as score_groups
    inner join current_dates
        on score_groups.as_of_date = current_dates.as_of_date
    where score_groups.scored_within <> score_groups.score_group
    union all
    select
        'unreachable_rule' as warning_code,
        {{ dbt.concat(['segment_scheme', "' rule '", number_text('match_order')]) }} as subject,
        {{ dbt.concat([
            "'Rule '", number_text('match_order'), "' of the scheme '", 'segment_scheme',
            "' decides about nobody: earlier rules take all of its scores'"
        ]) }} as message
    from unreachable_rules

)

select
    warning_code,
    subject,
    message
from warnings
