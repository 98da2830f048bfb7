{#- The 97.5 % quantile of the standard normal distribution: both sides of a 95 % interval. -#}
{% macro z_95() %}{{ return('1.9599639845400545') }}{% endmacro %}


{#- Wilson's 95 % interval of a share, from the share and the (effective) number of observations. -#}
{% macro wilson_bound(share, count, side) -%}
    {#- 1.9599639845400545² -#}
    {%- set square = '3.841458820694124' -%}
    (
        {{ share }} + {{ square }} / (2 * {{ count }})
        {{ {'low': '-', 'high': '+'}[side] }} {{ z_95() }} * sqrt(
            greatest({{ share }} * (1 - {{ share }}), 0) / {{ count }}
            + {{ square }} / (4 * {{ count }} * {{ count }})
        )
    ) / (1 + {{ square }} / {{ count }})
{%- endmacro %}
