-- Grain: one row per thing that is wrong between the rows of the files that hold numbers and names
-- for signals: cut points, thresholds, event types.
{%- set string = dbt.type_string() %}
{%- set thresholds = {
    'lifecycle_thresholds': 'multiple',
    'behaviour_thresholds': 'threshold_value',
} %}
with

{% for seed, column in thresholds.items() -%}
{{ seed }}_cells as (

    {{ policy_seed(seed) }}

),

{{ seed }} as (

    select
        csv_row,
        threshold_code,
        {{ policy_number(column) }} as threshold
    from {{ seed }}_cells

),

{% endfor -%}

event_types as (

    select * from {{ ref('policy_event_types') }}

),

fixed_cut_points as (

    select * from {{ ref('policy_fixed_cut_points') }}

),

fixed_edges as (

    select
        csv_row,
        dimension,
        edge_value,
        lag(edge_value) over (partition by dimension order by score) as edge_of_lower_score
    from fixed_cut_points
    where edge_value is not null and score is not null

),

repeated_keys as (

    {% for seed in thresholds %}
    select
        '{{ seed }}.csv' as file_name,
        max(csv_row) as csv_row,
        'threshold_code' as column_name,
        threshold_code as found,
        'the file' as scope
    from {{ seed }}
    where threshold_code is not null
    group by threshold_code
    having count(*) > 1
    union all
    {% endfor %}
    select
        'engagement_event_types.csv' as file_name,
        max(csv_row) as csv_row,
        'event_type' as column_name,
        event_type as found,
        'the file' as scope
    from event_types
    where event_type is not null
    group by event_type
    having count(*) > 1
    union all
    select
        'fixed_cut_points.csv' as file_name,
        max(csv_row) as csv_row,
        'score' as column_name,
        cast(score as {{ string }}) as found,
        {{ dbt.concat(["'the dimension '", 'dimension']) }} as scope
    from fixed_cut_points
    where score is not null
    group by dimension, score
    having count(*) > 1

),

{% for seed in thresholds -%}
{%- set codes = ((policy_seed_node(seed) or {}).get('meta', {})).get('codes', ['active_until']) -%}
expected_{{ seed }} as (

    {% for code in codes %}
    select '{{ code }}' as threshold_code
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

{% endfor -%}

-- Which lifecycle threshold may not lie where against which other.
threshold_pairs as (

    select
        wrong.csv_row,
        wrong.threshold_code,
        wrong.threshold,
        other.threshold_code as other_code,
        other.threshold as other_threshold
    from lifecycle_thresholds as wrong
    inner join lifecycle_thresholds as other
        on
            (
                wrong.threshold_code = 'lapsing_until'
                and other.threshold_code = 'active_until'
                and wrong.threshold <= other.threshold
            )
            or (
                wrong.threshold_code = 'reactivated_after'
                and other.threshold_code = 'active_until'
                and wrong.threshold < other.threshold
            )

)

select
    file_name,
    csv_row,
    column_name,
    {{ dbt.concat(["''''", 'found', "''' a second time in '", 'scope']) }} as found,
    'each only once there' as accepted
from repeated_keys
{%- for seed in thresholds %}
union all
select
    '{{ seed }}.csv' as file_name,
    cast(null as integer) as csv_row,
    'threshold_code' as column_name,
    {{ dbt.concat(["'no row '", 'expected_' ~ seed ~ '.threshold_code']) }} as found,
    'one row for each threshold' as accepted
from expected_{{ seed }}
left join {{ seed }}
    on expected_{{ seed }}.threshold_code = {{ seed }}.threshold_code
where {{ seed }}.threshold_code is null
{%- endfor %}
union all
select
    'lifecycle_thresholds.csv' as file_name,
    csv_row,
    'multiple' as column_name,
    '0' as found,
    'more than 0' as accepted
from lifecycle_thresholds
where threshold = 0
union all
select
    'lifecycle_thresholds.csv' as file_name,
    csv_row,
    'multiple' as column_name,
    {{ dbt.concat([
        policy_amount_text('threshold'), "' for '", 'threshold_code'
    ]) }} as found,
    {{ dbt.concat([
        "case when threshold_code = 'lapsing_until' then 'more than ' else 'at least ' end",
        policy_amount_text('other_threshold'), "', the multiple of '", 'other_code',
    ]) }} as accepted
from threshold_pairs
union all
select
    'behaviour_thresholds.csv' as file_name,
    csv_row,
    'threshold_value' as column_name,
    {{ dbt.concat([policy_amount_text('threshold'), "' for '", 'threshold_code']) }} as found,
    'a share from 0 to 1, such as 0.3' as accepted
from behaviour_thresholds
where
    threshold > 1
    and {{ matches('threshold_code', '(_share|_depth|_rate_by_value|_rate_by_orders)$') }}
union all
select
    'behaviour_thresholds.csv' as file_name,
    csv_row,
    'threshold_value' as column_name,
    {{ dbt.concat([policy_amount_text('threshold'), "' for '", 'threshold_code']) }} as found,
    case
        when threshold_code = 'declining_frequency_min_order_dates'
            then 'a whole number of at least 5: three recent intervals and two before them'
        when threshold_code = 'declining_frequency_ratio'
            then 'more than 1: as long as before is not declining'
        else 'a whole number of at least 1'
    end as accepted
from behaviour_thresholds
where
    (
        {{ matches('threshold_code', '_min_(orders|order_dates|years|buyers)$') }}
        and (threshold < 1 or threshold <> floor(threshold))
    )
    or (threshold_code = 'declining_frequency_min_order_dates' and threshold < 5)
    or (threshold_code = 'declining_frequency_ratio' and threshold <= 1)
union all
select
    'fixed_cut_points.csv' as file_name,
    cast(null as integer) as csv_row,
    'score' as column_name,
    {{ dbt.concat([
        number_text('count(distinct score)'), "' scores for '", 'dimension'
    ]) }} as found,
    'one row for each score from 2 to {{ var("score_tiles") }} (the var score_tiles)' as accepted
from fixed_cut_points
where dimension is not null
group by dimension
having count(distinct score) <> {{ var('score_tiles') | int - 1 }}
union all
select
    'fixed_cut_points.csv' as file_name,
    csv_row,
    'edge_value' as column_name,
    {{ policy_amount_text('edge_value') }} as found,
    case
        when dimension = 'recency' then 'fewer days than for the score below'
        else 'more than for the score below'
    end as accepted
from fixed_edges
where
    (dimension = 'recency' and edge_value >= edge_of_lower_score)
    or (dimension <> 'recency' and edge_value <= edge_of_lower_score)
