-- Grain: one row per segment scheme that any policy file names.
-- A scheme that segment_schemes.csv does not list is written for five tiles. `discovered` is there
-- only while it is the active scheme: what its segments are the clusters say and not the rules.
with

declared as (

    {{ policy_seed('segment_schemes') }}

),

segments as (

    {{ policy_seed('segments') }}

),

segment_rules as (

    {{ policy_seed('segment_rules') }}

),

named as (

    select segment_scheme from segments
    union
    select segment_scheme from segment_rules

)

select
    named.segment_scheme,
    coalesce(max({{ policy_integer('declared.score_tiles') }}), 5) as score_tiles
from named
left join declared
    on named.segment_scheme = declared.segment_scheme
where
    named.segment_scheme is not null
    {%- if var('segment_scheme') != 'discovered' %}
    and named.segment_scheme <> 'discovered'
    {%- endif %}
group by named.segment_scheme
