-- Grain: one row per fit_code, always all of them: what turns a purchase probability into orders
-- and money (the macros expected_orders and expected_order_value), from the finished dates that the
-- fit may have seen.
-- Whoever comes back orders once, and beyond that `extra_order_factor` times as often as his pace
-- so far says; an order is worth the customer's own value so far, drawn to the mean of all, times
-- `order_value_factor`, which also carries what those returned who did not order again.
{%- set double = type_double() %}
with

finished as (

    select
        as_of_date,
        end_date,
        customer_id,
        y,
        future_order_count,
        future_net_revenue,
        order_pace,
        order_count,
        net_revenue
    from {{ ref('int_propensity_features') }}
    where not is_current

),

windows as (

    select distinct
        as_of_date,
        end_date
    from finished

),

{{ propensity_cutoffs() }},

known as (

    select
        cutoffs.fit_code,
        finished.*
    from cutoffs
    inner join finished
        on cutoffs.cutoff_date >= finished.end_date

),

base_values as (

    select
        fit_code,
        count(distinct case when y = 1 then customer_id end) as retained_customer_count,
        count(distinct case when y = 0 then customer_id end) as gone_customer_count,
        cast(
            sum(case when future_order_count > 0 then future_net_revenue else 0 end) as {{ double }}
        ) / nullif(sum(future_order_count), 0) as order_value,
        cast(
            sum(case when future_order_count > 0 then future_order_count - 1 else 0 end)
            as {{ double }}
        ) / nullif(
            cast(
                sum(case when future_order_count > 0 then order_pace else 0 end) as {{ double }}
            ),
            0
        ) as extra_order_factor
    from known
    group by fit_code

),

value_factors as (

    select
        base_values.fit_code,
        greatest(
            cast(sum(known.future_net_revenue) as {{ double }})
            / nullif(
                sum(
                    known.future_order_count
                    * {{ own_order_value(
                        'known.net_revenue', 'known.order_count', 'base_values.order_value'
                    ) }}
                ),
                0
            ),
            cast(0 as {{ double }})
        ) as order_value_factor
    from base_values
    inner join known
        on
            base_values.fit_code = known.fit_code
            and base_values.order_value is not null
    group by base_values.fit_code

),

fits as (

    {% for fit in ['current'] + judged_fits().keys() | list %}
    select '{{ fit }}' as fit_code
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

)

select
    fits.fit_code,
    cutoffs.cutoff_date,
    cast(coalesce(base_values.retained_customer_count, 0) as bigint) as retained_customer_count,
    cast(coalesce(base_values.gone_customer_count, 0) as bigint) as gone_customer_count,
    {{ nine_digits('base_values.order_value') }} as order_value,
    {{ nine_digits('base_values.extra_order_factor') }} as extra_order_factor,
    {{ nine_digits('value_factors.order_value_factor') }} as order_value_factor
from fits
left join cutoffs
    on fits.fit_code = cutoffs.fit_code
left join base_values
    on fits.fit_code = base_values.fit_code
left join value_factors
    on fits.fit_code = value_factors.fit_code
