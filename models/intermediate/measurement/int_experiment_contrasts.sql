-- Grain: one row per (experiment_code, segment_key, arm other than control) of randomised
-- experiments: the sums of the arm (treated_…) beside those of the control (control_…).
-- Several control arms are added up. `cuped_theta` is the slope of revenue on pre-period revenue
-- within the arms, all of them pooled; `srm_chi_square` holds the sizes of all arms against the
-- planned shares.
{%- set double = type_double() %}
{%- set counts = [
    'all_count', 'assigned_count', 'retained_count', 'contacted_count', 'overlapping_count',
    'unplaced_count', 'early_count', 'unseen_day_count', 'contact_count', 'costless_contact_count',
    'partly_costed_contact_count',
] %}
{%- set sums = [
    'revenue', 'margin', 'contact_costs', 'revenue_deviation_sum', 'revenue_square_sum',
    'margin_deviation_sum', 'margin_square_sum', 'pre_period_revenue_deviation_sum',
    'pre_period_revenue_square_sum', 'revenue_product_sum',
] %}
with

experiments as (

    select
        experiment_code,
        planned_share_sum,
        arm_count,
        plan_problem
    from {{ ref('int_experiments') }}
    where is_randomised

),

cells as (

    select
        cells.*,
        experiments.planned_share_sum,
        experiments.arm_count,
        experiments.plan_problem,
        sum(cells.all_count) over (
            partition by cells.experiment_code, cells.segment_key
        ) as scope_count
    from {{ ref('int_experiment_cells') }} as cells
    inner join experiments
        on cells.experiment_code = experiments.experiment_code

),

expected as (

    select
        *,
        case
            when plan_problem is null
                then
                    cast(scope_count as {{ double }}) * cast(planned_share as {{ double }})
                    / planned_share_sum
        end as expected_count,
        cast(pre_period_revenue_square_sum as {{ double }})
        - cast(pre_period_revenue_deviation_sum as {{ double }})
        * cast(pre_period_revenue_deviation_sum as {{ double }})
        / nullif(assigned_count, 0) as pre_period_squares,
        cast(revenue_product_sum as {{ double }})
        - cast(revenue_deviation_sum as {{ double }})
        * cast(pre_period_revenue_deviation_sum as {{ double }})
        / nullif(assigned_count, 0) as products
    from cells

),

scopes as (

    select
        experiment_code,
        segment_key,
        sum(pre_period_squares) as pre_period_squares,
        sum(products) as products,
        sum(cast(pre_period_revenue_square_sum as {{ double }})) as pre_period_scale,
        sum(
            (cast(all_count as {{ double }}) - expected_count)
            * (cast(all_count as {{ double }}) - expected_count) / expected_count
        ) as srm_chi_square,
        max(arm_count) - 1 as srm_degrees
    from expected
    group by experiment_code, segment_key

),

controls as (

    select
        experiment_code,
        segment_key,
        {% for column in counts + sums %}
        sum({{ column }}) as {{ column }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from cells
    where arm_kind = 'control'
    group by experiment_code, segment_key

)

select
    treated.experiment_code,
    treated.segment_key,
    treated.arm,
    treated.arm_kind,
    {% for side in ['treated', 'controls'] %}
    {% for column in counts %}
    cast(coalesce({{ side }}.{{ column }}, 0) as bigint)
        as {{ side | replace('controls', 'control') }}_{{ column }},
    {% endfor %}
    {% for column in sums %}
    cast(
        coalesce({{ side }}.{{ column }}, 0)
        as {{ 'numeric(38, 4)' if column.endswith('_square_sum') or column.endswith('_product_sum')
            else type_money_total() }}
    ) as {{ side | replace('controls', 'control') }}_{{ column }},
    {% endfor %}
    {% endfor %}
    -- Rounding alone is no spread.
    case
        when scopes.pre_period_squares > 1e-12 * scopes.pre_period_scale
            then scopes.products / scopes.pre_period_squares
    end as cuped_theta,
    scopes.srm_chi_square,
    cast(scopes.srm_degrees as integer) as srm_degrees
from cells as treated
inner join scopes
    on
        treated.experiment_code = scopes.experiment_code
        and treated.segment_key = scopes.segment_key
left join controls
    on
        treated.experiment_code = controls.experiment_code
        and treated.segment_key = controls.segment_key
where treated.arm_kind <> 'control'
