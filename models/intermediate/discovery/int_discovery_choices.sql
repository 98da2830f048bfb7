-- Grain: one row per number of clusters from 3 to 12: how well that many clusters fit, and which
-- number is taken.
-- Taken is the highest mean silhouette of the customers (from distances between cells and the
-- spread within them) among the numbers whose smallest cluster has min_segment_share of the
-- customers, and 30 of them, and which people can act on (max_actionable_segments); of equal ones
-- the smaller.
{%- set double = type_double() %}
{%- set least_customers = 30 %}
{%- set axes = discovery_axes().keys() | list %}
with

cells as (

    select * from {{ ref('int_discovery_cells') }}

),

assignments as (

    select * from {{ ref('int_discovery_assignments') }}

),

numbers as (

    {% for count in range(3, 13) %}
    select {{ count }} as cluster_count
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

-- Of the two starts the one with less distance, if it kept all clusters.
inertias as (

    select
        cluster_count,
        start_code,
        count(distinct centre_number) as kept_count,
        cast(cast(sum(customer_count * squared_distance) as numeric(28, 6)) as {{ double }})
            as inertia
    from assignments
    group by cluster_count, start_code

),

starts as (

    select
        inertias.*,
        row_number() over (
            partition by inertias.cluster_count
            order by inertias.kept_count desc, inertias.inertia asc, inertias.start_code asc
        ) as place
    from inertias

),

chosen_starts as (

    select
        cluster_count,
        start_code,
        kept_count,
        inertia
    from starts
    where place = 1

),

clustered as (

    select
        assignments.cluster_count,
        assignments.centre_number,
        assignments.cell_id,
        cells.customer_count,
        {% for axis in axes %}
        cells.{{ axis }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from assignments
    inner join chosen_starts
        on
            assignments.cluster_count = chosen_starts.cluster_count
            and assignments.start_code = chosen_starts.start_code
    inner join cells
        on assignments.cell_id = cells.cell_id

),

-- How far a customer of one cell is from another one of the other cell, or of the same: the root of
-- the mean square. Without the spread inside the cells more clusters would always look better.
cell_pairs as (

    select
        cells.cell_id,
        other_cells.cell_id as other_cell_id,
        other_cells.customer_count
        - case when cells.cell_id = other_cells.cell_id then 1 else 0 end
            as customer_count,
        sqrt(
            {% for axis in axes %}
            {{ '+ ' if not loop.first }}(cells.{{ axis }} - other_cells.{{ axis }})
            * (cells.{{ axis }} - other_cells.{{ axis }})
            {% endfor %}
            + cells.spread + other_cells.spread
        ) as distance
    from cells
    cross join cells as other_cells
    {{ fence() }}

),

-- Mean distance of a cell's customers to those of each cluster, themselves left out of their own.
cell_distances as (

    select
        clustered.cluster_count,
        cell_pairs.cell_id,
        clustered.centre_number,
        sum(cell_pairs.customer_count * cell_pairs.distance) as distance,
        sum(cell_pairs.customer_count) as customer_count
    from cell_pairs
    inner join clustered
        on cell_pairs.other_cell_id = clustered.cell_id
    group by clustered.cluster_count, cell_pairs.cell_id, clustered.centre_number

),

separations as (

    select
        clustered.cluster_count,
        clustered.cell_id,
        clustered.customer_count,
        max(
            case
                when cell_distances.centre_number = clustered.centre_number
                    then cell_distances.distance / nullif(cell_distances.customer_count, 0)
            end
        ) as own_distance,
        min(
            case
                when cell_distances.centre_number <> clustered.centre_number
                    then cell_distances.distance / cell_distances.customer_count
            end
        ) as next_distance
    from clustered
    inner join cell_distances
        on
            clustered.cluster_count = cell_distances.cluster_count
            and clustered.cell_id = cell_distances.cell_id
    group by clustered.cluster_count, clustered.cell_id, clustered.customer_count

),

silhouettes as (

    select
        cluster_count,
        sum(
            customer_count * coalesce(
                (next_distance - own_distance) / nullif(greatest(next_distance, own_distance), 0), 0
            )
        ) / sum(customer_count) as silhouette
    from separations
    group by cluster_count

),

sizes as (

    select
        cluster_count,
        centre_number,
        sum(customer_count) as customer_count
    from clustered
    group by cluster_count, centre_number

),

smallest as (

    select
        cluster_count,
        min(customer_count) as smallest_count,
        cast(min(customer_count) as {{ double }}) / sum(customer_count) as smallest_share
    from sizes
    group by cluster_count

),

movements as (

    select
        centres.cluster_count,
        max(centres.moved) as moved
    from {{ ref('int_discovery_centres') }} as centres
    inner join chosen_starts
        on
            centres.cluster_count = chosen_starts.cluster_count
            and centres.start_code = chosen_starts.start_code
    group by centres.cluster_count

),

cell_counts as (

    select count(*) as cell_count
    from cells

),

judged as (

    select
        numbers.cluster_count,
        chosen_starts.start_code,
        chosen_starts.inertia,
        movements.moved,
        smallest.smallest_share,
        case
            when chosen_starts.kept_count = numbers.cluster_count
                then {{ nine_digits('silhouettes.silhouette') }}
        end as silhouette,
        case
            when chosen_starts.cluster_count is null
                then 'No scored customers'
            when cell_counts.cell_count < numbers.cluster_count
                then 'Fewer kinds of customers than clusters'
            when chosen_starts.kept_count < numbers.cluster_count
                then 'A cluster lost all its customers to the others'
            when smallest.smallest_share < {{ var('min_segment_share') }}
                then 'The smallest cluster is below min_segment_share'
            when smallest.smallest_count < {{ least_customers }}
                then 'The smallest cluster has fewer than {{ least_customers }} customers'
            when numbers.cluster_count > {{ var('max_actionable_segments') }}
                then 'More clusters than max_actionable_segments'
        end as problem
    from numbers
    cross join cell_counts
    left join chosen_starts
        on numbers.cluster_count = chosen_starts.cluster_count
    left join silhouettes
        on numbers.cluster_count = silhouettes.cluster_count
    left join smallest
        on numbers.cluster_count = smallest.cluster_count
    left join movements
        on numbers.cluster_count = movements.cluster_count

),

placed as (

    select
        *,
        row_number() over (
            order by
                case when problem is null then 0 else 1 end asc,
                silhouette desc nulls last,
                cluster_count asc
        ) as place
    from judged

)

select
    cast(cluster_count as integer) as cluster_count,
    start_code,
    inertia,
    moved as last_movement,
    silhouette,
    smallest_share,
    coalesce(problem is null and place = 1, false) as is_chosen,
    coalesce(
        problem,
        case when place = 1 then 'Taken: the highest silhouette' else 'A lower silhouette' end
    ) as reason
from placed
