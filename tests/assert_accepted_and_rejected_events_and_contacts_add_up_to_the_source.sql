-- Every source row is either accepted or rejected with a reason. An entity that is not in use has
-- no rows.
{%- set entities = ['engagement_events', 'campaign_contacts', 'experiment_assignments'] %}
with

{% for entity in entities %}
{{ entity }}_source as (

    select count(*) as row_count
    from {{ source('raw', entity) if is_using(entity) else ref('base_' ~ entity) }}

),

{{ entity }}_rows as (

    select customer_id from {{ ref('stg_' ~ entity) }}
    union all
    select customer_id from {{ ref('stg_' ~ entity ~ '_rejected') }}

),

{{ entity }}_staged as (

    select count(*) as row_count
    from {{ entity }}_rows

){{ ',' if not loop.last }}

{% endfor %}

{% for entity in entities %}
select
    '{{ entity }}' as entity,
    {{ entity }}_source.row_count as source_row_count,
    {{ entity }}_staged.row_count as staged_row_count
from {{ entity }}_source
cross join {{ entity }}_staged
where {{ entity }}_source.row_count <> {{ entity }}_staged.row_count
{% if not loop.last %}union all{% endif %}
{% endfor %}
