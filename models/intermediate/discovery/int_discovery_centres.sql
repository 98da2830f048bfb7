-- Grain: one row per (cluster_count, start_code, centre_number): the centres of weighted k-means on
-- int_discovery_cells after fifty steps, for 3 to 12 clusters and from two starts.
-- `far`: the heaviest cell, then each time the cell farthest from all centres so far. `quantile`:
-- cells at even steps of customers, in the order of the sum of the axes. A centre that loses all
-- cells is gone, so that fewer rows than clusters are left. `moved`: how far the centre went in the
-- last step; 0 = settled.
{%- set axes = discovery_axes().keys() | list %}
{%- set double = type_double() %}
{%- set steps = 50 %}
with

cells as (

    select * from {{ ref('int_discovery_cells') }}

),

cluster_counts as (

    {% for count in range(3, 13) %}
    select {{ count }} as cluster_count
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

numbers as (

    {% for number in range(1, 13) %}
    select {{ number }} as centre_number
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

picked_0 as (

    select
        cell_id,
        customer_count,
        {% for axis in axes %}
        {{ axis }},
        {% endfor %}
        cast(1000000 as numeric(18, 9)) as distance,
        cast(null as integer) as centre_number
    from cells

),

{#- No step looks twice at the one before: engines that write such queries out would double their
    work with every step. -#}
{% for number in range(1, 13) -%}
placed_{{ number }} as {{ by_itself() }}(

    select
        *,
        row_number() over (
            order by
                {% if number == 1 %}
                customer_count desc,
                {% else %}
                case when centre_number is null then distance else -1 end desc,
                {% endif %}
                cell_id
        ) as place
    from picked_{{ number - 1 }}

),

compared_{{ number }} as {{ by_itself() }}(

    select
        {% for axis in axes %}
        max(case when place = 1 then {{ axis }} end) over () as picked_{{ axis }},
        {% endfor %}
        *
    from placed_{{ number }}

),

picked_{{ number }} as {{ by_itself() }}{{ stored(number % 4 == 0) }}(

    select
        cell_id,
        customer_count,
        {% for axis in axes %}
        {{ axis }},
        {% endfor %}
        least(
            distance,
            cast(
                {% for axis in axes %}
                {{ '+ ' if not loop.first }}({{ axis }} - picked_{{ axis }})
                * ({{ axis }} - picked_{{ axis }})
                {% endfor %}
                as numeric(18, 9)
            )
        ) as distance,
        case
            when centre_number is not null then centre_number
            when place = 1 and distance > 0 then {{ number }}
        end as centre_number
    from compared_{{ number }}

),

{% endfor -%}
far_centres as (

    select
        centre_number,
        {{ axes | join(', ') }}
    from picked_12
    where centre_number is not null

),

along as (

    select
        cell_id,
        {% for axis in axes %}
        {{ axis }},
        {% endfor %}
        cast(
            sum(customer_count) over (
                order by cast({{ axes | join(' + ') }} as numeric(18, 9)), cell_id
                rows between unbounded preceding and current row
            ) as {{ double }}
        ) / sum(customer_count) over () as share_up_to,
        row_number() over (
            order by cast({{ axes | join(' + ') }} as numeric(18, 9)), cell_id
        ) as place
    from cells

),

-- The first cell that reaches the middle of each of k equal shares.
quantile_places as (

    select
        cluster_counts.cluster_count,
        numbers.centre_number,
        min(along.place) as place
    from cluster_counts
    inner join numbers
        on cluster_counts.cluster_count >= numbers.centre_number
    inner join along
        on
            along.share_up_to * cluster_counts.cluster_count
            >= numbers.centre_number - 0.5
    group by cluster_counts.cluster_count, numbers.centre_number

),

centres_0 as {{ stored() }}(

    select
        cluster_counts.cluster_count,
        'far' as start_code,
        far_centres.centre_number,
        {% for axis in axes %}
        far_centres.{{ axis }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from cluster_counts
    inner join far_centres
        on cluster_counts.cluster_count >= far_centres.centre_number
    union all
    select
        quantile_places.cluster_count,
        'quantile' as start_code,
        quantile_places.centre_number,
        {% for axis in axes %}
        along.{{ axis }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from quantile_places
    inner join along
        on quantile_places.place = along.place

),

{% for step in range(1, steps + 1) -%}
nearest_{{ step }} as {{ by_itself() }}(

    select
        centres.cluster_count,
        centres.start_code,
        cells.cell_id,
        min({{ distance_and_centre('cells', 'centres') }}) as distance_and_centre
    from cells
    cross join centres_{{ step - 1 }} as centres
    group by centres.cluster_count, centres.start_code, cells.cell_id

),

centres_{{ step }} as {{ by_itself() }}{{ stored(step % 5 == 0 or step == steps - 1) }}(

    select
        nearest.cluster_count,
        nearest.start_code,
        cast(mod(nearest.distance_and_centre, 100) as integer) as centre_number,
        {% for axis in axes %}
        sum(cells.customer_count * cells.{{ axis }}) / sum(cells.customer_count) as {{ axis }}
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from nearest_{{ step }} as nearest
    inner join cells
        on nearest.cell_id = cells.cell_id
    group by
        nearest.cluster_count,
        nearest.start_code,
        cast(mod(nearest.distance_and_centre, 100) as integer)

),

{% endfor -%}
moved as (

    select
        centres.cluster_count,
        centres.start_code,
        centres.centre_number,
        {% for axis in axes %}
        {{ nine_digits('centres.' ~ axis) }} as {{ axis }},
        {% endfor %}
        sqrt(
            {% for axis in axes %}
            {{ '+ ' if not loop.first }}(centres.{{ axis }} - previous.{{ axis }})
            * (centres.{{ axis }} - previous.{{ axis }})
            {% endfor %}
        ) as moved
    from centres_{{ steps }} as centres
    inner join centres_{{ steps - 1 }} as previous
        on
            centres.cluster_count = previous.cluster_count
            and centres.start_code = previous.start_code
            and centres.centre_number = previous.centre_number

)

select
    cluster_count,
    start_code,
    centre_number,
    {% for axis in axes %}
    {{ axis }},
    {% endfor %}
    {{ nine_digits('moved') }} as moved
from moved
