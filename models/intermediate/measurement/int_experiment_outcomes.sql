-- Grain: one row per (experiment_code, customer_id): what a member did within the window
-- [assigned_on, assigned_on + the var retention_horizon_days), and whether that is over.
-- Zeros where the member did nothing; only finished windows count in the figures (is_finished).
-- Contacts within the window are those of the campaign that has the experiment's code: null where
-- the contacts source is not in use or has none of that campaign. Of our own experiments those of
-- every campaign count: the held out are to get none.
-- Revenue before is as given where all members of an experiment (windows over) have it, else from
-- the sales for all: two definitions of it in one slope would move the lift.
-- Margin is by product where products with a margin_rate (−1 to 1) are in use, else by the var
-- margin_rate.
{%- set horizon = var('retention_horizon_days') | int %}
{%- set margin_rate = "cast({0} as numeric(9, 6))".format(var('margin_rate')) %}
{%- set days_to_sales = dbt.datediff(
    'members.assigned_on', 'sales.first_sale_date', 'day'
) | trim %}
with

members as (

    select
        members.experiment_code,
        members.customer_id,
        members.assignment_origin,
        members.arm,
        members.segment_key,
        members.given_pre_period_revenue,
        members.is_control,
        members.is_before_history,
        members.assigned_on,
        cast({{ dbt.dateadd('day', -horizon, 'members.assigned_on') }} as date) as before_date,
        cast({{ dbt.dateadd('day', horizon, 'members.assigned_on') }} as date) as end_date,
        current_dates.as_of_date
    from {{ ref('int_experiment_members') }} as members
    left join {{ ref('int_as_of_dates') }} as current_dates
        on current_dates.is_current

),

sales as (

    select min(sale_date) as first_sale_date
    from {{ ref('int_orders') }}

),

-- Experiments whose members all have a given revenue before.
with_given_revenue as (

    select experiment_code
    from members
    where end_date <= as_of_date
    group by experiment_code
    having count(*) = count(given_pre_period_revenue)

),

order_sums as (

    select
        members.experiment_code,
        members.customer_id,
        sum(case when orders.sale_date >= members.assigned_on then orders.order_count else 0 end)
            as order_count,
        sum(case when orders.sale_date >= members.assigned_on then orders.net_revenue else 0 end)
            as revenue,
        sum(case when orders.sale_date >= members.assigned_on then orders.return_amount else 0 end)
            as return_amount,
        sum(case when orders.sale_date < members.assigned_on then orders.net_revenue else 0 end)
            as pre_period_revenue
    from members
    inner join {{ ref('int_orders') }} as orders
        on
            members.customer_id = orders.customer_id
            and members.before_date <= orders.sale_date
            and members.end_date > orders.sale_date
    where members.end_date <= members.as_of_date
    group by members.experiment_code, members.customer_id

),

product_margins as (

    select
        product_id,
        margin_rate - {{ margin_rate }} as rate_difference
    from {{ ref('stg_products') }}
    where margin_rate >= -1 and margin_rate <= 1

),

margin_differences as (

    select
        members.experiment_code,
        members.customer_id,
        sum(item_days.net_revenue * product_margins.rate_difference) as margin_difference
    from members
    inner join {{ ref('int_item_days') }} as item_days
        on
            members.customer_id = item_days.customer_id
            and members.assigned_on <= item_days.sale_date
            and members.end_date > item_days.sale_date
    inner join product_margins
        on item_days.product_id = product_margins.product_id
    where {{ is_using('products') | lower }} and members.end_date <= members.as_of_date
    group by members.experiment_code, members.customer_id

),

contacts as (

    select
        contacts.campaign_id,
        contacts.customer_id,
        contacts.contact_cost,
        contacts.incentive_cost,
        contacts.contact_date
    from {{ ref('stg_campaign_contacts') }} as contacts
    inner join {{ ref('int_as_of_dates') }} as current_dates
        on contacts.contact_date < current_dates.as_of_date and current_dates.is_current

),

contacted_campaigns as (

    select distinct campaign_id
    from contacts

),

experiments as (

    select distinct
        experiment_code,
        assignment_origin
    from members

),

-- Experiments of which contacts are known.
with_contacts as (

    select distinct experiments.experiment_code
    from experiments
    inner join contacted_campaigns
        on
            experiments.experiment_code = contacted_campaigns.campaign_id
            or experiments.assignment_origin = 'holdout_log'

),

contacts_of_members as (

    select
        members.experiment_code,
        members.customer_id,
        contacts.contact_cost,
        contacts.incentive_cost
    from members
    inner join contacts
        on
            members.experiment_code = contacts.campaign_id
            and members.customer_id = contacts.customer_id
            and members.assigned_on <= contacts.contact_date
            and members.end_date > contacts.contact_date
    where members.assignment_origin <> 'holdout_log'
    union all
    select
        members.experiment_code,
        members.customer_id,
        contacts.contact_cost,
        contacts.incentive_cost
    from members
    inner join contacts
        on
            members.customer_id = contacts.customer_id
            and members.assigned_on <= contacts.contact_date
            and members.end_date > contacts.contact_date
    where members.assignment_origin = 'holdout_log'

),

contact_sums as (

    select
        experiment_code,
        customer_id,
        count(*) as contact_count,
        count(case when contact_cost is null and incentive_cost is null then 1 end)
            as costless_contact_count,
        count(case when contact_cost is null or incentive_cost is null then 1 end)
            as partly_costed_contact_count,
        sum(coalesce(contact_cost, 0) + coalesce(incentive_cost, 0)) as contact_costs
    from contacts_of_members
    group by experiment_code, customer_id

),

-- Customers who are in another experiment within the same days; campaigns without assignments are
-- no experiments. The contacted arm of the global one is everybody else: being in it is nothing
-- that happens to a customer.
overlapping as (

    select distinct
        members.experiment_code,
        members.customer_id
    from members
    inner join {{ ref('int_experiment_members') }} as other_members
        on
            members.customer_id = other_members.customer_id
            and members.before_date < other_members.assigned_on
            and members.end_date > other_members.assigned_on
            and members.experiment_code <> other_members.experiment_code
    left join {{ ref('policy_holdouts') }} as own_experiments
        on members.experiment_code = own_experiments.experiment_code
    left join {{ ref('policy_holdouts') }} as other_experiments
        on other_members.experiment_code = other_experiments.experiment_code
    where
        other_members.assignment_origin <> 'campaign_contacts'
        and not coalesce(own_experiments.is_global, false)
        and (
            not coalesce(other_experiments.is_global, false)
            or (other_members.is_control and members.assignment_origin = 'holdout_log')
        )

)

select
    members.experiment_code,
    members.customer_id,
    members.arm,
    members.segment_key,
    coalesce(members.end_date <= members.as_of_date, false) as is_finished,
    coalesce(order_sums.order_count > 0, false) as is_retained,
    case
        when with_contacts.experiment_code is not null then contact_sums.contact_count is not null
    end as is_contacted,
    overlapping.customer_id is not null as is_in_other_experiment,
    members.is_before_history,
    members.given_pre_period_revenue is not null as has_given_revenue,
    cast(coalesce(order_sums.order_count, 0) as integer) as order_count,
    cast(coalesce(order_sums.revenue, 0) as {{ type_money() }}) as revenue,
    cast(coalesce(order_sums.return_amount, 0) as {{ type_money() }}) as return_amount,
    cast(
        coalesce(order_sums.revenue, 0) * {{ margin_rate }}
        + coalesce(margin_differences.margin_difference, 0) as {{ type_money() }}
    ) as margin,
    cast(
        coalesce(
            case
                when with_given_revenue.experiment_code is not null
                    then members.given_pre_period_revenue
                else order_sums.pre_period_revenue
            end,
            0
        ) as {{ type_money() }}
    ) as pre_period_revenue,
    cast(coalesce(contact_sums.contact_count, 0) as integer) as contact_count,
    cast(coalesce(contact_sums.costless_contact_count, 0) as integer) as costless_contact_count,
    cast(coalesce(contact_sums.partly_costed_contact_count, 0) as integer)
        as partly_costed_contact_count,
    cast(coalesce(contact_sums.contact_costs, 0) as {{ type_money() }}) as contact_costs,
    -- Days of the window before the first sale in the data.
    cast(least(greatest({{ days_to_sales }}, 0), {{ horizon }}) as integer) as unseen_day_count,
    members.assigned_on,
    members.end_date
from members
cross join sales
left join with_given_revenue
    on members.experiment_code = with_given_revenue.experiment_code
left join order_sums
    on
        members.experiment_code = order_sums.experiment_code
        and members.customer_id = order_sums.customer_id
left join margin_differences
    on
        members.experiment_code = margin_differences.experiment_code
        and members.customer_id = margin_differences.customer_id
left join with_contacts
    on members.experiment_code = with_contacts.experiment_code
left join contact_sums
    on
        members.experiment_code = contact_sums.experiment_code
        and members.customer_id = contact_sums.customer_id
left join overlapping
    on
        members.experiment_code = overlapping.experiment_code
        and members.customer_id = overlapping.customer_id
