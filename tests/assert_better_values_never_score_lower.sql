-- 5 is best in every dimension: the range of a higher score lies on the better side of that of a
-- lower score. Ranges may share their edge only where ties are split.
{%- set beyond = '>' if var('tie_method') == 'split' else '>=' %}
select
    lower_scores.as_of_date,
    lower_scores.score_group,
    lower_scores.dimension,
    lower_scores.score as lower_score,
    higher_scores.score as higher_score,
    lower_scores.lowest_value as lower_score_lowest_value,
    lower_scores.highest_value as lower_score_highest_value,
    higher_scores.lowest_value as higher_score_lowest_value,
    higher_scores.highest_value as higher_score_highest_value
from {{ ref('score_cut_points') }} as lower_scores
inner join {{ ref('score_cut_points') }} as higher_scores
    on
        lower_scores.as_of_date = higher_scores.as_of_date
        and lower_scores.score_group = higher_scores.score_group
        and lower_scores.dimension = higher_scores.dimension
        and lower_scores.score < higher_scores.score
where
    (
        lower_scores.dimension = 'recency'
        and higher_scores.highest_value {{ beyond }} lower_scores.lowest_value
    )
    or (
        lower_scores.dimension <> 'recency'
        and lower_scores.highest_value {{ beyond }} higher_scores.lowest_value
    )
