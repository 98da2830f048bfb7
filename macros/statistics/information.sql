{#-
What one level of a figure adds to its information value (Siddiqi 2006; the sum over the levels):
difference of its shares of those who came back and of those who did not, times the difference of
their logarithms.

`level`, `totals`: aliases with retained_count and gone_count; `level_count`: how many levels there
are. Half a customer more in every cell: an empty one has no logarithm.
-#}
{% macro information_of_level(level, totals, level_count) -%}
    {%- set shares = [] -%}
    {%- for kind in ['retained_count', 'gone_count'] -%}
        {%- do shares.append(
            '((' ~ level ~ '.' ~ kind ~ ' + 0.5) / (' ~ totals ~ '.' ~ kind ~ ' + 0.5 * '
            ~ level_count ~ '))'
        ) -%}
    {%- endfor -%}
    ({{ shares[0] }} - {{ shares[1] }}) * (ln({{ shares[0] }}) - ln({{ shares[1] }}))
{%- endmacro %}
