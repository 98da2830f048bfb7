-- Question: how many customers share a value that lies across the edge of a tile?
-- Under tie_method shared they all get the lower score; under split the customer id decides, which
-- is arbitrary. A large share is a reason for fixed cut points, for fewer tiles, or for not reading
-- much into that score.
select
    as_of_date,
    scored_within,
    dimension,
    max(row_count) as customer_count,
    count(*) as distinct_value_count,
    sum(
        case when lowest_score < highest_score then customer_count else 0 end
    ) as customers_across_an_edge,
    sum(case when lowest_score < highest_score then customer_count else 0 end) * 1.0
    / max(row_count) as share_across_an_edge,
    max(customer_count) as largest_tie
from {{ ref('int_score_tiles') }}
group by as_of_date, scored_within, dimension
order by as_of_date, scored_within, dimension
