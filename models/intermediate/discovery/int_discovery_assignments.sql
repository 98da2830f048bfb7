-- Grain: one row per (cluster_count, start_code, cell_id): the nearest centre of each cell (equal
-- distances go to the smaller number) and the squared distance to it.
{%- set double = type_double() %}
with

nearest as (

    select
        centres.cluster_count,
        centres.start_code,
        cells.cell_id,
        min(cells.customer_count) as customer_count,
        min({{ distance_and_centre('cells', 'centres') }}) as distance_and_centre
    from {{ ref('int_discovery_cells') }} as cells
    cross join {{ ref('int_discovery_centres') }} as centres
    group by centres.cluster_count, centres.start_code, cells.cell_id

)

select
    cluster_count,
    start_code,
    cell_id,
    cast(mod(distance_and_centre, 100) as integer) as centre_number,
    customer_count,
    cast(distance_and_centre - mod(distance_and_centre, 100) as {{ double }}) / 100000000000
        as squared_distance
from nearest
