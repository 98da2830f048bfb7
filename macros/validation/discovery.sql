{#- The dimensions in which segments are discovered: {axis: (measure, sign)}; a larger value of
    the axis is better. -#}
{% macro discovery_axes() %}
    {{ return({
        'recency': ('scored_recency_days', -1),
        'frequency': ('scored_frequency', 1),
        'monetary': ('scored_value', 1),
    }) }}
{% endmacro %}


{#- The squared distance of a cell from a centre, as a whole number of 1e-9, with the number of the
    centre in the last two digits: the least of them is the nearest centre, equal distances go to
    the smaller number, on every engine alike. -#}
{% macro distance_and_centre(cell, centre) -%}
    cast(
        cast(
            {% for axis in discovery_axes() %}
            {{ '+ ' if not loop.first }}({{ cell }}.{{ axis }} - {{ centre }}.{{ axis }})
            * ({{ cell }}.{{ axis }} - {{ centre }}.{{ axis }})
            {% endfor %}
            as numeric(28, 9)
        ) * 1000000000 as bigint
    ) * 100 + {{ centre }}.centre_number
{%- endmacro %}


{#- What a cluster is called by: {segment_code: [recency level, value level]}, the most valuable
    first. Levels are 1 (above half a standard deviation), 0 and -1 (below minus half of one); the
    value levels of clusters that are equally recent are set apart (int_discovered_profiles). -#}
{% macro discovery_profiles() %}
    {%- set profiles = {} -%}
    {%- for value, value_level in {'high': 1, 'middle': 0, 'low': -1}.items() -%}
        {%- for recency, recency_level in {'recent': 1, 'fading': 0, 'silent': -1}.items() -%}
            {%- do profiles.update({recency ~ '_' ~ value: [recency_level, value_level]}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(profiles) }}
{% endmacro %}
