-- Grain: one row per customer who is held out at the current date: up to the last day of the
-- experiment, and until the customer's own window is over.
-- A date before the last one logged brings back nobody who is free.
with

current_dates as (

    select as_of_date
    from {{ ref('int_as_of_dates') }}
    where is_current

),

controls as (

    select
        experiment_code,
        customer_id,
        is_global,
        assigned_on
    from {{ ref('holdout_assignments') }}
    where is_control

),

last_dates as (

    select
        greatest(
            current_dates.as_of_date,
            coalesce(max(controls.assigned_on), current_dates.as_of_date),
            coalesce({{ last_audience_log_date() }}, current_dates.as_of_date)
        ) as as_of_date
    from current_dates
    left join controls
        on current_dates.as_of_date < controls.assigned_on
    group by current_dates.as_of_date

)

select
    controls.customer_id,
    min(controls.experiment_code) as experiment_code,
    count(*) as experiment_count,
    max(case when controls.is_global then 1 else 0 end) = 1 as is_global
from controls
inner join {{ ref('policy_holdouts') }} as experiments
    on controls.experiment_code = experiments.experiment_code
inner join last_dates
    on {{ is_still_in_experiment(
        'experiments.valid_to', 'controls.assigned_on', 'last_dates.as_of_date'
    ) }}
group by controls.customer_id
