{#- What the values of a dimension have done since the reference date, as parts of a text. `drift`: the
    alias of int_score_drift. -#}
{% macro what_moved(drift) %}
    {%- set by_activity = var('rfm_basis') == 'activity' -%}
    {%- set names -%}
    case {{ drift }}.dimension
        when 'recency' then 'Recency (days since the last {{ 'activity' if by_activity else 'order' }})'
        when 'frequency' then 'Frequency ({{ 'orders and weighted events' if by_activity else 'orders' }})'
        else 'Monetary value ({{ 'value of orders and events' if by_activity else 'net revenue' }})'
    end
    {%- endset -%}
    {{ return([
        names, "' has moved since '",
        "cast(" ~ drift ~ ".reference_date as " ~ dbt.type_string() ~ ")",
        "' (population stability index '", ratio_text(drift ~ '.population_stability_index', 3),
        "'; the var max_stability_index allows " ~ var('max_stability_index') ~ " beyond chance)'",
    ]) }}
{% endmacro %}


{#- What that means for the scores, and what to do. -#}
{% macro after_a_move(is_fixed) %}
    case
        when {{ is_fixed }}
            then
                'More or fewer customers reach the fixed cut points than on that date: set them anew'
                || ' in fixed_cut_points.csv'
        else
            'The cut points have moved along: the same score stands for other values than on that'
            || ' date. Do not compare scores of the two dates, or hold the cut points in'
            || ' fixed_cut_points.csv'
    end
{% endmacro %}
