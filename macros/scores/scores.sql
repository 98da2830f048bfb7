{#- The score group of everybody who has none, and of everybody when scores are not grouped. -#}
{% macro whole_base() %}{{ return('(all)') }}{% endmacro %}


{#- What is scored: {dimension: column of int_customer_metrics}. Under rfm_basis activity the
    measures on sales alone are scored beside it, for the contract mart customer_rfm. -#}
{% macro scored_measures() %}
    {%- set measures = {
        'recency': 'scored_recency_days',
        'frequency': 'scored_frequency',
        'monetary': 'scored_value',
    } -%}
    {%- if var('rfm_basis') == 'activity' -%}
        {%- do measures.update({
            'sales_recency': 'days_since_last_order',
            'sales_frequency': 'order_count',
            'sales_monetary': 'net_revenue',
        }) -%}
    {%- endif -%}
    {{ return(measures) }}
{% endmacro %}


{#- The NTILE tile of a row by its place: `rows_before` rows come before it among `row_count`, in
    `tiles` tiles.

    NTILE in closed form: the first `row_count % tiles` tiles take one row more than the others.
    Takes and gives bigint; the remainder is subtracted before dividing, so every division is exact
    on every engine. -#}
{% macro tile_of_position(rows_before, row_count, tiles) -%}
    {%- set larger = "mod(" ~ row_count ~ ", " ~ tiles ~ ")" -%}
    {%- set size = "((" ~ row_count ~ " - " ~ larger ~ ") / " ~ tiles ~ ")" -%}
    {%- set in_larger = larger ~ " * (" ~ size ~ " + 1)" -%}
    cast(
        case
            when {{ rows_before }} < {{ in_larger }}
                then floor({{ rows_before }} / ({{ size }} + 1))
            else
                {{ larger }}
                + floor(({{ rows_before }} - {{ in_larger }}) / greatest({{ size }}, 1))
        end
        as integer
    ) + 1
{%- endmacro %}


{#- The three scores as one code: a digit each (543), or two digits each when a score can be ten
    (100503). -#}
{% macro rfm_code(recency, frequency, monetary) -%}
    {%- set digits = 2 if var('score_tiles') | int > 9 else 1 -%}
    {%- set parts = [] -%}
    {%- for score in (recency, frequency, monetary) -%}
        {%- set text = "cast(" ~ score ~ " as " ~ dbt.type_string() ~ ")" -%}
        {%- set padded = "right(" ~ dbt.concat(["'0'", text]) ~ ", 2)" -%}
        {%- do parts.append(text if digits == 1 else padded) -%}
    {%- endfor -%}
    {{- dbt.concat(parts) -}}
{%- endmacro %}


{#- The weighted mean of the three scores and, where it has a weight, of the engagement score: 1 to
    score_tiles. -#}
{% macro rfm_score(recency, frequency, monetary, engagement) -%}
    {%- set weights = [
        var('recency_weight'), var('frequency_weight'), var('monetary_weight'),
        var('engagement_weight'),
    ] -%}
    cast(
        (
            {{ weights[0] }} * {{ recency }}
            + {{ weights[1] }} * {{ frequency }}
            + {{ weights[2] }} * {{ monetary }}
            {%- if weights[3] %}
            + {{ weights[3] }} * {{ engagement }}
            {%- endif %}
        ) as {{ type_double() }}
    ) / {{ weights | map('float') | sum }}
{%- endmacro %}


{#- How many rows NTILE puts into one tile. -#}
{% macro tile_size(row_count, tile, tiles) -%}
    ({{ row_count }} - mod({{ row_count }}, {{ tiles }})) / {{ tiles }}
    + case when {{ tile }} <= mod({{ row_count }}, {{ tiles }}) then 1 else 0 end
{%- endmacro %}


{#- The last 30 days against the mean 30 of the last 90: 1 = steady, 3 = all of it lately, 0 = fallen
    silent; null without any. -#}
{% macro event_trend(count_30d, count_90d) -%}
    cast({{ count_30d }} as {{ type_double() }})
    / nullif(cast({{ count_90d }} as {{ type_double() }}) / 3, 0)
{%- endmacro %}


{#- What int_customer_behaviour finds odd about a customer: one boolean column each. -#}
{% macro behaviour_flags() %}
    {{ return([
        'has_high_return_rate_by_value', 'has_high_return_rate_by_orders', 'is_single_channel',
        'is_discount_dependent', 'is_one_time_buyer', 'has_one_big_order', 'is_frequency_declining',
        'is_single_category', 'is_seasonal_buyer',
    ]) }}
{% endmacro %}


{#- What int_customer_flags finds in engagement and orders together: one boolean column each. -#}
{% macro engagement_flags() %}
    {{ return(['is_engaged_not_buying', 'is_buying_not_engaged']) }}
{% endmacro %}


{#- A message with the slots that are known filled in; {slot: text expression}. Where a value is
    missing, the message reads on with general words. -#}
{% macro filled_message(message, slots) -%}
    {%- set unknown = {
        'top_category': 'your favourites',
        'days_since_last_order': 'some',
        'order_count': 'your',
    } -%}
    {%- set filled = namespace(sql=message) -%}
    {%- for slot, value in slots.items() -%}
        {%- set filled.sql = "replace(" ~ filled.sql ~ ", '{" ~ slot ~ "}', coalesce(" ~ value
            ~ ", '" ~ unknown[slot] ~ "'))" -%}
    {%- endfor -%}
    {{ filled.sql }}
{%- endmacro %}
