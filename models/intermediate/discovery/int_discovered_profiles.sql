-- Grain: one row per centre of the number of clusters that is taken, with the profile that names
-- it: how recent its customers are and what they are worth (the mean of frequency and monetary
-- value), each above, within or below half a standard deviation of all customers. Of two or three
-- clusters that are equally recent no two have the same level of value; of more, the levels are
-- shared out from the least valuable up. Cluster 1 is worth most.
{%- set double = type_double() %}
with

centres as (

    select
        centres.centre_number,
        centres.recency,
        centres.frequency,
        centres.monetary,
        cast(
            cast((centres.frequency + centres.monetary) / 2 as numeric(18, 9)) as {{ double }}
        ) as value
    from {{ ref('int_discovery_centres') }} as centres
    inner join {{ ref('int_discovery_choices') }} as choices
        on
            centres.cluster_count = choices.cluster_count
            and centres.start_code = choices.start_code
            and choices.is_chosen

),

levels as (

    select
        {% for axis in ['recency', 'value'] %}
        case when {{ axis }} > 0.5 then 1 when {{ axis }} < -0.5 then -1 else 0 end
            as {{ axis }}_level,
        {% endfor %}
        *
    from centres

),

neighbours as (

    select
        *,
        count(*) over (partition by recency_level) as neighbour_count,
        max(value_level) over (partition by recency_level)
        - min(value_level) over (partition by recency_level) as level_range,
        sum(value) over (partition by recency_level) as value_sum,
        row_number() over (
            partition by recency_level order by value desc, recency desc, centre_number asc
        ) as place
    from levels

),

-- Two of the same level move apart by one step: the better one up if the two together are worth
-- more than the mean customer, else the other one down; above and below there is no further level.
parted as (

    select
        *,
        cast(
            case
                when neighbour_count > 2
                    then floor(3.0 * (neighbour_count - place) / neighbour_count) - 1
                when neighbour_count = 2 and level_range = 0 and value_sum > 0 then 2 - place
                when neighbour_count = 2 and level_range = 0 then 1 - place
                else value_level
            end as integer
        ) as named_level
    from neighbours

)

select
    centre_number,
    cast(
        row_number() over (order by value desc, recency desc, centre_number asc) as integer
    ) as cluster_number,
    recency,
    frequency,
    monetary,
    value,
    case
        {% for code, (recency_level, value_level) in discovery_profiles().items() %}
        when recency_level = {{ recency_level }} and named_level = {{ value_level }}
            then '{{ code }}'
        {% endfor %}
    end as segment_code
from parted
