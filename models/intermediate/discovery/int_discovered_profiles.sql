-- Grain: one row per centre of the number of clusters that is taken, with the profile that names
-- it: how recent its customers are and what they are worth (the mean of frequency and monetary
-- value), each above, within or below half a standard deviation of all customers. Cluster 1 is
-- worth most.
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
        when recency_level = {{ recency_level }} and value_level = {{ value_level }}
            then '{{ code }}'
        {% endfor %}
    end as segment_code
from levels
