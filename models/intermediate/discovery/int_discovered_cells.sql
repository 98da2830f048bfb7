-- Grain: one row per combination of recency, frequency and monetary score: the cluster that it lies
-- in and the segment that this makes in the scheme `discovered`.
-- Scores that no customer has together lie where their single means put them; a score that nobody
-- has lies where the nearest one does. Without clusters the rules of the scheme count.
{%- set axes = discovery_axes().keys() | list %}
{%- set double = type_double() %}
{%- set tiles = var('score_tiles') | int %}
with

observed as (

    select * from {{ ref('int_discovery_cells') }}

),

choices as (

    select
        cluster_count,
        start_code
    from {{ ref('int_discovery_choices') }}
    where is_chosen

),

centres as (

    select
        centres.centre_number,
        {% for axis in axes %}
        centres.{{ axis }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from {{ ref('int_discovery_centres') }} as centres
    inner join choices
        on
            centres.cluster_count = choices.cluster_count
            and centres.start_code = choices.start_code

),

scores as (

    {% for score in range(1, tiles + 1) %}
    select {{ score }} as score
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

{% for axis in axes -%}
{{ axis }}_means as (

    select
        {{ axis }}_score as observed_score,
        sum(customer_count * {{ axis }}) / sum(customer_count) as {{ axis }}
    from observed
    group by {{ axis }}_score

),

{{ axis }}_candidates as (

    select
        scores.score,
        means.{{ axis }},
        row_number() over (
            partition by scores.score
            order by abs(scores.score - means.observed_score), means.observed_score
        ) as place
    from scores
    cross join {{ axis }}_means as means

),

{{ axis }}_values as (

    select
        scores.score,
        candidates.{{ axis }}
    from scores
    left join {{ axis }}_candidates as candidates
        on
            scores.score = candidates.score
            and candidates.place = 1

),

{% endfor -%}
cells as (

    select
        {% for axis in axes %}
        {{ axis }}_values.score as {{ axis }}_score,
        {% endfor %}
        {% for axis in axes %}
        coalesce(observed.{{ axis }}, {{ axis }}_values.{{ axis }}) as {{ axis }},
        {% endfor %}
        coalesce(observed.customer_count, 0) as customer_count
    from {{ axes[0] }}_values
    {% for axis in axes[1:] %}
    cross join {{ axis }}_values
    {% endfor %}
    left join observed
        on
            {{ axes[0] }}_values.score = observed.{{ axes[0] }}_score
            {%- for axis in axes[1:] %}
            and {{ axis }}_values.score = observed.{{ axis }}_score
            {%- endfor %}

),

nearest as (

    select
        cells.recency_score,
        cells.frequency_score,
        cells.monetary_score,
        mod(min({{ distance_and_centre('cells', 'centres') }}), 100) as centre_number
    from cells
    cross join centres
    group by cells.recency_score, cells.frequency_score, cells.monetary_score

)

select
    cells.recency_score,
    cells.frequency_score,
    cells.monetary_score,
    cast(cells.customer_count as integer) as customer_count,
    profiles.cluster_number,
    profiles.segment_code
from cells
left join nearest
    on
        cells.recency_score = nearest.recency_score
        and cells.frequency_score = nearest.frequency_score
        and cells.monetary_score = nearest.monetary_score
left join {{ ref('int_discovered_profiles') }} as profiles
    on nearest.centre_number = profiles.centre_number
