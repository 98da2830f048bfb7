-- Grain: one row per (as_of_date, customer_id), scored customers only.
-- Every score runs from worst (1) to best. Ties share the lowest tile they touch, or are split by
-- customer id; int_score_tiles is joined three times and not once through a CTE, which PostgreSQL
-- joins without statistics.
-- Under rfm_basis activity the `sales_*` dimensions are scored too, for the contract alone.
-- `<dimension>_score_of_five` feeds the fixed contract customer_rfm, whatever the number of tiles.
{{ config(**sliced()) }}
{%- set dimensions = scored_measures() %}
{%- set sales_measures = ['days_since_last_order', 'order_count', 'net_revenue'] %}
{%- set is_activity = var('rfm_basis') == 'activity' %}
{%- set engagement_counts = var('engagement_weight') > 0 %}
{%- set tiles = var('score_tiles') | int %}
{%- set is_split = var('tie_method') == 'split' %}
{%- set is_grouped = score_group_column() is not none %}
with

metrics as (

    select
        metrics.as_of_date,
        metrics.customer_id,
        metrics.score_group,
        score_groups.scored_within,
        {% for dimension, measure in (dimensions if is_split else {}).items() %}
        {%- set place_in_base = "row_number() over (partition by metrics.as_of_date, metrics."
            ~ measure ~ " order by " ~ bytewise('metrics.customer_id') ~ ")" %}
        {%- set place_in_group = place_in_base.replace(
            "as_of_date,", "as_of_date, score_groups.scored_within,"
        ) %}
        {% if is_grouped %}
        case
            when score_groups.scored_within = '{{ whole_base() }}' then {{ place_in_base }}
            else {{ place_in_group }}
        end as {{ dimension }}_place_in_tie,
        {% else %}
        {{ place_in_base }} as {{ dimension }}_place_in_tie,
        {% endif %}
        {% endfor %}
        {% for measure in dimensions.values() if measure not in sales_measures %}
        metrics.{{ measure }},
        {% endfor %}
        metrics.days_since_last_order,
        metrics.order_count,
        metrics.net_revenue
    from {{ ref('int_customer_metrics') }} as metrics
    inner join {{ ref('int_score_groups') }} as score_groups
        on
            metrics.as_of_date = score_groups.as_of_date
            and metrics.score_group = score_groups.score_group
    where metrics.is_scored {{ only_due('metrics.as_of_date', 'and') }}

),

scored as (

    select
        metrics.as_of_date,
        metrics.customer_id,
        metrics.score_group,
        metrics.scored_within,
        {% for dimension in dimensions %}
        {%- set rows_before = "({0}_tiles.rows_before + metrics.{0}_place_in_tie - 1)".format(
            dimension
        ) %}
        {% for name, tile_count in {'_score': tiles, '_score_of_five': 5}.items() %}
        {% if is_split %}
        case
            when {{ dimension }}_tiles.is_fixed and {{ 'true' if tile_count == tiles else 'false' }}
                then {{ dimension }}_tiles.lowest_score
            else {{ tile_of_position(rows_before, dimension ~ '_tiles.row_count', tile_count) }}
        end as {{ dimension }}{{ name }},
        {% elif tile_count == tiles %}
        {{ dimension }}_tiles.lowest_score as {{ dimension }}{{ name }},
        {% else %}
        {{ dimension }}_tiles.lowest_score_of_five as {{ dimension }}{{ name }},
        {% endif %}
        {% endfor %}
        {% endfor %}
        {% if engagement_counts %}
        engagement.engagement_score,
        {% endif %}
        metrics.days_since_last_order,
        metrics.order_count,
        metrics.net_revenue
    from metrics
    {% for dimension, measure in dimensions.items() %}
    inner join {{ ref('int_score_tiles') }} as {{ dimension }}_tiles
        on
            metrics.as_of_date = {{ dimension }}_tiles.as_of_date
            and metrics.scored_within = {{ dimension }}_tiles.scored_within
            and {{ dimension }}_tiles.dimension = '{{ dimension }}'
            and cast(metrics.{{ measure }} as {{ type_money() }}) = {{ dimension }}_tiles.value
    {% endfor %}
    {% if engagement_counts %}
    inner join {{ ref('int_customer_engagement') }} as engagement
        on
            metrics.as_of_date = engagement.as_of_date
            and metrics.customer_id = engagement.customer_id
    {% endif %}

)

select
    as_of_date,
    customer_id,
    score_group,
    scored_within,
    days_since_last_order,
    order_count,
    net_revenue,
    recency_score,
    frequency_score,
    monetary_score,
    {{ rfm_code('recency_score', 'frequency_score', 'monetary_score') }} as rfm_code,
    {{ rfm_score(
        'recency_score', 'frequency_score', 'monetary_score', 'engagement_score'
    ) }} as rfm_score,
    {{ 'sales_recency_score_of_five as ' if is_activity }}recency_score_of_five,
    {{ 'sales_frequency_score_of_five as ' if is_activity }}frequency_score_of_five,
    {{ 'sales_monetary_score_of_five as ' if is_activity }}monetary_score_of_five
from scored
