-- Each scheme sends every score that its tiles allow to a segment, in every lifecycle stage. Rules
-- may overlap: the smallest match_order wins.
{%- set stage_count = scored_stages() | length %}
select
    schemes.segment_scheme,
    {{ stage_count }} * schemes.score_tiles * schemes.score_tiles * schemes.score_tiles
        as expected_cell_count,
    count(score_cells.segment_key) as cell_count
from {{ ref('policy_segment_schemes') }} as schemes
left join {{ ref('segment_score_cells') }} as score_cells
    on schemes.segment_scheme = score_cells.segment_scheme
group by schemes.segment_scheme, schemes.score_tiles
having
    count(score_cells.segment_key)
    <> {{ stage_count }} * schemes.score_tiles * schemes.score_tiles * schemes.score_tiles
