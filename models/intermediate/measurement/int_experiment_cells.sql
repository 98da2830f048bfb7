-- Grain: one row per (experiment_code, segment_key, arm), segment_key `(total)` for all members and
-- `(none)` for members without a segment; every arm in every segment, zeros where it has nobody.
-- Sums of squares and products are of deviations from the experiment's mean (to the cent): exact,
-- and no digits are lost where amounts are large beside their spread.
-- `assigned_count` are members whose window is over; all other figures are of them.
{%- set measures = ['revenue', 'margin', 'pre_period_revenue'] %}
{%- set money = [
    'revenue', 'return_amount', 'margin', 'contact_costs', 'revenue_deviation_sum',
    'margin_deviation_sum', 'pre_period_revenue_deviation_sum',
] %}
with

experiments as (

    select
        experiment_code,
        mean_revenue,
        mean_margin,
        mean_pre_period_revenue,
        has_segments
    from {{ ref('int_experiments') }}

),

members as (

    select
        outcomes.*,
        {% for measure in measures %}
        case
            when outcomes.is_finished
                then cast(outcomes.{{ measure }} - experiments.mean_{{ measure }} as numeric(18, 2))
        end as {{ measure }}_deviation,
        {% endfor %}
        experiments.has_segments
    from {{ ref('int_experiment_outcomes') }} as outcomes
    inner join experiments
        on outcomes.experiment_code = experiments.experiment_code

),

members_by_segment as (

    select
        experiment_code,
        coalesce(segment_key, '(none)') as segment_key,
        arm,
        count(*) as all_count,
        count(case when is_finished then 1 end) as assigned_count,
        count(case when is_finished and is_retained then 1 end) as retained_count,
        count(case when is_finished and is_contacted then 1 end) as contacted_count,
        count(case when is_finished and is_in_other_experiment then 1 end) as overlapping_count,
        count(case when is_finished and is_before_history then 1 end) as unplaced_count,
        count(case when is_finished and unseen_day_count > 0 then 1 end) as early_count,
        sum(case when is_finished then unseen_day_count else 0 end) as unseen_day_count,
        sum(case when is_finished then order_count else 0 end) as order_count,
        sum(case when is_finished then revenue else 0 end) as revenue,
        sum(case when is_finished then return_amount else 0 end) as return_amount,
        sum(case when is_finished then margin else 0 end) as margin,
        sum(case when is_finished then contact_count else 0 end) as contact_count,
        sum(case when is_finished then costless_contact_count else 0 end) as costless_contact_count,
        sum(case when is_finished then partly_costed_contact_count else 0 end)
            as partly_costed_contact_count,
        sum(case when is_finished then contact_costs else 0 end) as contact_costs,
        {% for measure in measures %}
        sum({{ measure }}_deviation) as {{ measure }}_deviation_sum,
        sum({{ measure }}_deviation * {{ measure }}_deviation) as {{ measure }}_square_sum,
        {% endfor %}
        sum(revenue_deviation * pre_period_revenue_deviation) as revenue_product_sum
    from members
    group by experiment_code, coalesce(segment_key, '(none)'), arm

),

{%- set sums = [
    'all_count', 'assigned_count', 'retained_count', 'contacted_count', 'overlapping_count',
    'unplaced_count', 'early_count', 'unseen_day_count', 'order_count', 'revenue',
    'return_amount', 'margin', 'contact_count', 'costless_contact_count',
    'partly_costed_contact_count', 'contact_costs', 'revenue_deviation_sum', 'revenue_square_sum',
    'margin_deviation_sum', 'margin_square_sum', 'pre_period_revenue_deviation_sum',
    'pre_period_revenue_square_sum', 'revenue_product_sum',
] %}

totals as (

    select
        experiment_code,
        '(total)' as segment_key,
        arm,
        {% for column in sums %}
        sum({{ column }}) as {{ column }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from members_by_segment
    group by experiment_code, arm

),

present_cells as (

    select
        members_by_segment.experiment_code,
        members_by_segment.segment_key,
        members_by_segment.arm,
        {% for column in sums %}
        members_by_segment.{{ column }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from members_by_segment
    inner join experiments
        on members_by_segment.experiment_code = experiments.experiment_code
    where experiments.has_segments
    union all
    select
        experiment_code,
        segment_key,
        arm,
        {% for column in sums %}
        {{ column }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from totals

),

scopes as (

    select distinct
        experiment_code,
        segment_key
    from present_cells

)

select
    scopes.experiment_code,
    scopes.segment_key,
    arms.arm,
    arms.arm_kind,
    {% for column in sums if column.endswith('_count') %}
    cast(coalesce(present_cells.{{ column }}, 0) as bigint) as {{ column }},
    {% endfor %}
    {% for column in sums if column in money %}
    cast(coalesce(present_cells.{{ column }}, 0) as {{ type_money_total() }}) as {{ column }},
    {% endfor %}
    {% for column in sums if column.endswith(('_square_sum', '_product_sum')) %}
    cast(coalesce(present_cells.{{ column }}, 0) as numeric(38, 4)) as {{ column }},
    {% endfor %}
    arms.planned_share
from scopes
inner join {{ ref('int_experiment_arms') }} as arms
    on scopes.experiment_code = arms.experiment_code
left join present_cells
    on
        scopes.experiment_code = present_cells.experiment_code
        and scopes.segment_key = present_cells.segment_key
        and arms.arm = present_cells.arm
