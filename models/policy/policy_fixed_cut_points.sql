-- Grain: one row per row of fixed_cut_points.csv, typed.
-- `edge_value` is the worst value that still earns the score.
with

cut_points as (

    {{ policy_seed('fixed_cut_points') }}

)

select
    csv_row,
    dimension,
    {{ policy_integer('score') }} as score,
    {{ policy_number('edge_value') }} as edge_value,
    rationale
from cut_points
