-- Grain: one row per row of segment_rules.csv, typed. Blank bounds are open.
with

rules as (

    {{ policy_seed('segment_rules') }}

)

select
    csv_row,
    segment_scheme,
    {{ policy_integer('match_order') }} as match_order,
    segment_code,
    {%- for dimension in ['recency', 'frequency', 'monetary'] %}
    {{ policy_integer(dimension ~ '_min') }} as {{ dimension }}_min,
    {{ policy_integer(dimension ~ '_max') }} as {{ dimension }}_max,
    {%- endfor %}
    lifecycle_stage,
    rationale
from rules
