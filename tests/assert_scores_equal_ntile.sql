-- The scores come from a histogram in closed form; the definition is NTILE from worst to best over
-- the customers of the base. Here the two meet, row by row, for the dimensions without fixed cut
-- points.
{%- set dimensions = {
    'recency': 'days_since_last_order desc',
    'frequency': 'order_count asc',
    'monetary': 'net_revenue asc',
} %}
with

scores as (

    select * from {{ ref('int_rfm_scores') }}

),

bases as (

    select distinct
        as_of_date,
        scored_within
    from scores

),

fixed_dimensions as (

    select distinct dimension
    from {{ ref('policy_fixed_cut_points') }}

),

based_scores as (

    select
        bases.scored_within as base,
        scores.*
    from scores
    inner join bases
        on
            scores.as_of_date = bases.as_of_date
            and (
                bases.scored_within = '{{ whole_base() }}'
                or scores.score_group = bases.scored_within
            )

),

tiles as (

    select
        {% for dimension, order_by in dimensions.items() %}
        ntile({{ var('score_tiles') }}) over (
            partition by as_of_date, base
            order by {{ order_by }}, {{ bytewise('customer_id') }} asc
        ) as {{ dimension }}_tile,
        {% endfor %}
        *
    from based_scores

),

expected as (

    select
        as_of_date,
        base,
        scored_within,
        {% for dimension, order_by in dimensions.items() %}
        {{ dimension }}_score,
        {% if var('tie_method') == 'split' -%}
        {{ dimension }}_tile as expected_{{ dimension }}_score,
        {%- else -%}
        min({{ dimension }}_tile) over (
            partition by as_of_date, base, {{ order_by.split()[0] }}
        ) as expected_{{ dimension }}_score,
        {%- endif %}
        {% endfor %}
        customer_id
    from tiles

)

{% for dimension in dimensions %}
select
    as_of_date,
    customer_id,
    '{{ dimension }}' as dimension,
    {{ dimension }}_score as score,
    expected_{{ dimension }}_score as expected_score
from expected
where
    base = scored_within
    and {{ dimension }}_score <> expected_{{ dimension }}_score
    and not exists (
        select 1 from fixed_dimensions
        where fixed_dimensions.dimension = '{{ dimension }}'
    )
{% if not loop.last %}union all{% endif %}
{% endfor %}
