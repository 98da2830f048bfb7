-- Grain: one row, one column per threshold of lifecycle_thresholds.csv.
{%- set seed = policy_seed_node('lifecycle_thresholds') or {} %}
{%- set codes = seed.get('meta', {}).get('codes', []) %}
with

thresholds as (

    {{ policy_seed('lifecycle_thresholds') }}

)

select
    {% for code in codes -%}
    max(
        case when threshold_code = '{{ code }}' then {{ policy_number('multiple') }} end
    ) as {{ code }},
    {% endfor -%}
    count(*) as threshold_count
from thresholds
