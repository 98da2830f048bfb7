-- Grain: one row, one column per threshold of behaviour_thresholds.csv.
{%- set seed = policy_seed_node('behaviour_thresholds') or {} %}
{%- set codes = seed.get('meta', {}).get('codes', []) %}
with

thresholds as (

    {{ policy_seed('behaviour_thresholds') }}

)

select
    {% for code in codes -%}
    max(
        case when threshold_code = '{{ code }}' then {{ policy_number('threshold_value') }} end
    ) as {{ code }},
    {% endfor -%}
    count(*) as threshold_count
from thresholds
