-- Grain: one row per row of channel_costs.csv, typed.
with

costs as (

    {{ policy_seed('channel_costs') }}

)

select
    csv_row,
    channel,
    {{ policy_number('cost_per_contact') }} as cost_per_contact,
    {{ policy_integer('contacts_per_treatment') }} as contacts_per_treatment,
    {{ policy_number('redemption_rate') }} as redemption_rate,
    {{ policy_number('high_touch_extra_cost') }} as high_touch_extra_cost,
    {{ policy_number('low_touch_save_factor') }} as low_touch_save_factor,
    rationale
from costs
