-- Grain: one row per row of excluded_categories.csv.
with

excluded_categories as (

    {{ policy_seed('excluded_categories') }}

)

select
    csv_row,
    {{ lower_text('category') }} as category,
    rationale
from excluded_categories
