-- Grain: one row per segment of the active scheme: when its strategy is due for review, what has
-- changed since the last time, and what to do with its budget. Nobody logs reviews, so they fall
-- every review_cadence_days from the first order in the data on: the same data give the same days.
-- Those up to the previous grid date count as done; the next is due from its day on, until a grid
-- date has passed, so that no build has to hit the day.
-- What has changed is told from the latest grid date that is not after the last review. Retention
-- is that of the latest finished date, held against a finished date at least as long before it.
-- Money within 5 % of what the plan spends is where it should be: nobody moves a budget for less.
{%- set double = type_double() %}
{%- set string = dbt.type_string() %}
{%- set days_of_data = dbt.datediff(
    'first_orders.order_date', 'done_dates.done_until', 'day'
) | trim %}
{%- set yesterday = dbt.dateadd('day', -1, 'current_dates.as_of_date') | trim %}
{%- set last_review = dbt.dateadd(
    'day', '(cadences.review_number - 1) * cadences.review_cadence_days', 'cadences.order_date'
) | trim %}
{%- set next_review = dbt.dateadd(
    'day', 'cadences.review_number * cadences.review_cadence_days', 'cadences.order_date'
) | trim %}
{%- set days_until_due = dbt.datediff('as_of_date', 'review_due_date', 'day') | trim %}
with

current_dates as (

    select as_of_date
    from {{ ref('int_as_of_dates') }}
    where is_current

),

grid_dates as (

    select as_of_date
    from {{ ref('int_as_of_dates') }}
    where is_grid

),

-- Without a grid date before the current one, those before today count as done.
done_dates as (

    select
        current_dates.as_of_date,
        cast(coalesce(max(grid_dates.as_of_date), {{ yesterday }}) as date) as done_until
    from current_dates
    left join grid_dates
        on current_dates.as_of_date > grid_dates.as_of_date
    group by current_dates.as_of_date

),

first_orders as (

    select min(order_date) as order_date
    from {{ ref('int_order_dates') }}

),

segments as (

    select
        segments.segment_key,
        segments.segment_name,
        segments.action_priority,
        segments.display_order,
        strategies.strategy_code,
        strategies.review_cadence_days,
        strategies.is_suppressed
    from {{ ref('policy_segments') }} as segments
    inner join {{ ref('policy_strategies') }} as strategies
        on segments.segment_key = strategies.segment_key
    where segments.segment_scheme = {{ text_literal(var('segment_scheme')) }}

),

cadences as (

    select
        segments.*,
        done_dates.as_of_date,
        first_orders.order_date,
        cast(
            floor(
                cast(greatest({{ days_of_data }}, 0) as {{ double }})
                / segments.review_cadence_days
            ) as integer
        ) + 1 as review_number
    from segments
    left join done_dates
        on 1 = 1
    left join first_orders
        on 1 = 1

),

reviews as (

    select
        cadences.*,
        cast({{ last_review }} as date) as last_review_date,
        cast({{ next_review }} as date) as review_due_date
    from cadences

),

reference_dates as (

    select
        reviews.segment_key,
        max(grid_dates.as_of_date) as reference_date
    from reviews
    inner join grid_dates
        on
            reviews.last_review_date >= grid_dates.as_of_date
            and reviews.as_of_date > grid_dates.as_of_date
    group by reviews.segment_key

),

sizes as (

    select
        as_of_date,
        segment_key,
        is_current,
        count(*) as customer_count,
        sum(net_revenue) as net_revenue
    from {{ ref('customer_segment_history') }}
    group by as_of_date, segment_key, is_current

),

shares as (

    select
        as_of_date,
        segment_key,
        is_current,
        customer_count,
        cast(net_revenue as {{ double }})
        / nullif(
            cast(sum(net_revenue) over (partition by as_of_date, is_current) as {{ double }}), 0
        ) as net_revenue_share
    from sizes

),

-- Dates that have the segment; on the others it was empty.
finished as (

    select
        as_of_date,
        level as segment_key,
        customer_count,
        retained_count
    from {{ ref('int_validation_levels') }}
    where
        scope <> 'pooled'
        and horizon_code = 'horizon'
        and dimension = 'segment'
        and segment_scheme = {{ text_literal(var('segment_scheme')) }}

),

last_finished as (

    select max(as_of_date) as as_of_date
    from finished

),

earlier_finished as (

    select
        reference_dates.segment_key,
        max(finished.as_of_date) as as_of_date
    from reference_dates
    inner join reviews
        on reference_dates.segment_key = reviews.segment_key
    cross join last_finished
    inner join finished
        on
            {{ dbt.datediff('finished.as_of_date', 'last_finished.as_of_date', 'day') | trim }}
            >= {{ dbt.datediff(
                'reference_dates.reference_date', 'reviews.as_of_date', 'day'
            ) | trim }}
    group by reference_dates.segment_key

),

upside as (

    select
        segment_key,
        customer_count,
        reachable_count,
        cost_unknown_count,
        expected_return,
        save_rate_source,
        assumed_save_rate,
        measured_save_rate,
        measured_standard_error,
        save_rate
    from {{ ref('segment_upside') }}

),

budgets as (

    select
        segment_key,
        treatable_count,
        profitable_count,
        treated_count,
        high_touch_count,
        low_touch_count,
        upgrade_over_budget_count,
        profitable_cost,
        planned_cost,
        first_excluded_return,
        allocated_amount
    from {{ ref('retention_budget_by_segment') }}

),

joined as (

    select
        reviews.*,
        reference_dates.reference_date,
        upside.customer_count,
        upside.reachable_count,
        upside.cost_unknown_count,
        upside.expected_return,
        upside.save_rate_source,
        upside.assumed_save_rate,
        upside.measured_save_rate,
        upside.measured_save_rate
        - {{ z_95() }} * upside.measured_standard_error as measured_save_rate_low,
        upside.measured_save_rate
        + {{ z_95() }} * upside.measured_standard_error as measured_save_rate_high,
        upside.save_rate,
        budgets.treatable_count,
        budgets.profitable_count,
        budgets.treated_count,
        budgets.high_touch_count,
        budgets.low_touch_count,
        budgets.upgrade_over_budget_count,
        budgets.profitable_cost,
        budgets.planned_cost,
        budgets.first_excluded_return,
        budgets.allocated_amount,
        case
            when reference_dates.reference_date is not null
                then coalesce(reference_shares.customer_count, 0)
        end as customer_count_before,
        coalesce(current_shares.net_revenue_share, 0) as net_revenue_share,
        case
            when reference_dates.reference_date is not null
                then coalesce(reference_shares.net_revenue_share, 0)
        end as net_revenue_share_before,
        last_finished.as_of_date as retention_date,
        cast(last_levels.retained_count as {{ double }}) / last_levels.customer_count
            as retention_rate,
        earlier_finished.as_of_date as retention_date_before,
        cast(earlier_levels.retained_count as {{ double }}) / earlier_levels.customer_count
            as retention_rate_before
    from reviews
    inner join upside
        on reviews.segment_key = upside.segment_key
    inner join budgets
        on reviews.segment_key = budgets.segment_key
    left join reference_dates
        on reviews.segment_key = reference_dates.segment_key
    left join shares as current_shares
        on
            reviews.segment_key = current_shares.segment_key
            and current_shares.is_current
    left join shares as reference_shares
        on
            reviews.segment_key = reference_shares.segment_key
            and reference_dates.reference_date = reference_shares.as_of_date
            and not reference_shares.is_current
    left join last_finished
        on 1 = 1
    left join finished as last_levels
        on
            reviews.segment_key = last_levels.segment_key
            and last_finished.as_of_date = last_levels.as_of_date
    left join earlier_finished
        on reviews.segment_key = earlier_finished.segment_key
    left join finished as earlier_levels
        on
            reviews.segment_key = earlier_levels.segment_key
            and earlier_finished.as_of_date = earlier_levels.as_of_date

),

measured as (

    select
        *,
        coalesce(20 * (profitable_cost - planned_cost) > profitable_cost, false) as is_short
    from joined

),

judged as (

    select
        *,
        case
            when is_suppressed then 'suppressed'
            when customer_count = 0 then 'empty'
            when measured_save_rate_high <= 0 then 'harmful'
            when treatable_count = 0 and cost_unknown_count > 0 then 'cost_unknown'
            when treatable_count = 0 then 'nobody'
            when profitable_count = 0 then 'never_pays'
            when 20 * (allocated_amount - profitable_cost) > profitable_cost then 'too_much'
            when allocated_amount is null and expected_return < 0 and low_touch_count > 0
                then 'pays_without_person'
            when allocated_amount is null and expected_return < 0 then 'pays_for_some'
            when 20 * (planned_cost - allocated_amount) > planned_cost then 'too_little'
            when not is_short then 'fits'
            when 20 * (allocated_amount - planned_cost) > planned_cost then 'earns_more_elsewhere'
            when treated_count < profitable_count then 'budget_ends'
            else 'budget_ends_before_person'
        end as finding
    from measured

),

worded as (

    select
        *,
        case finding
            when 'suppressed' then 'No contact by policy'
            when 'empty' then 'Nobody is in the segment'
            when 'harmful'
                then 'Measured: the strategy saves nobody, even at the upper end of the interval'
            when 'cost_unknown' then 'The cost is not known (channel_costs.csv)'
            when 'nobody' then 'Nobody can be treated now: see exclusion_reason in the plan'
            when 'never_pays'
                then {{ dbt.concat([
                    "'Nobody of '", number_text('treatable_count'),
                    "' is expected to earn what the treatment costs'",
                ]) }}
            when 'too_much'
                then {{ dbt.concat([
                    "'More is allocated than it costs to treat the '",
                    number_text('profitable_count'), "' for whom it pays'",
                ]) }}
            when 'pays_without_person'
                then {{ dbt.concat([
                    "'A person for everybody loses money; the plan treats '",
                    number_text('high_touch_count'), "' with one and '",
                    number_text('low_touch_count'), "' of '", number_text('treatable_count'),
                    "' without'",
                ]) }}
            when 'pays_for_some'
                then {{ dbt.concat([
                    "'Treating everybody loses money; it pays for '",
                    number_text('profitable_count'), "' of '", number_text('treatable_count'),
                ]) }}
            when 'budget_ends'
                then {{ dbt.concat([
                    "'The budget ends before '",
                    customers_text('profitable_count - treated_count'),
                    "' for whom it pays'",
                ]) }}
            when 'budget_ends_before_person'
                then {{ dbt.concat([
                    "'The budget ends before a person for '",
                    customers_text('upgrade_over_budget_count'),
                    "' for whom one pays'",
                ]) }}
            when 'too_little' then 'Less is allocated than the plan spends here'
            when 'earns_more_elsewhere'
                then 'More is allocated than the plan spends here: it earns more elsewhere'
            else
                case
                    when profitable_cost > planned_cost
                        then 'Nearly all that it pays for is treated'
                    else 'What it pays for is treated'
                end
        end as finding_words,
        case
            when finding in ('suppressed', 'empty', 'harmful', 'cost_unknown', 'nobody') then ''
            when save_rate_source = 'measured' then ' (save rate measured)'
            else ' (save rate assumed: measure it with a holdout)'
        end as source_words
    from judged

)

select
    segment_key,
    strategy_code,
    as_of_date,
    segment_name,
    action_priority,
    display_order,
    case
        when finding in ('harmful', 'never_pays') then 'stop'
        when
            finding in (
                'too_much', 'pays_without_person', 'pays_for_some', 'earns_more_elsewhere'
            )
            then 'cut'
        when finding in ('budget_ends', 'budget_ends_before_person', 'too_little') then 'raise'
        else 'hold'
    end as proposal,
    {{ dbt.concat(['finding_words', 'source_words']) }} as proposal_reason,
    save_rate_source,
    review_cadence_days,
    cast(customer_count as integer) as customer_count,
    cast(customer_count_before as integer) as customer_count_before,
    cast(customer_count - customer_count_before as integer) as customer_count_change,
    {{ nine_digits('net_revenue_share') }} as net_revenue_share,
    {{ nine_digits('net_revenue_share_before') }} as net_revenue_share_before,
    {{ nine_digits('net_revenue_share - net_revenue_share_before') }} as net_revenue_share_change,
    {{ nine_digits('retention_rate') }} as retention_rate,
    {{ nine_digits('retention_rate_before') }} as retention_rate_before,
    {{ nine_digits('retention_rate - retention_rate_before') }} as retention_rate_change,
    assumed_save_rate,
    measured_save_rate,
    {{ nine_digits('measured_save_rate_low') }} as measured_save_rate_low,
    {{ nine_digits('measured_save_rate_high') }} as measured_save_rate_high,
    save_rate,
    cast({{ days_until_due }} as integer) as days_until_due,
    coalesce(as_of_date >= review_due_date, false) as is_due,
    last_review_date,
    review_due_date,
    reference_date,
    retention_date,
    retention_date_before
from worded
