-- Question: which rules decide about fewer scores than they ask for, and about whom?
-- Run it with `dbt show --inline "$(cat target/compiled/rfm_retention/analyses/rule_coverage.sql)"`
-- or paste the compiled file into any SQL client.
with

customers as (

    select
        segment_scheme,
        matched_rule,
        count(*) as customer_count
    from {{ ref('customer_segments') }}
    where is_scored
    group by segment_scheme, matched_rule

)

select
    coverage.segment_scheme,
    coverage.match_order,
    coverage.segment_key,
    coverage.asked_cell_count,
    coverage.won_cell_count,
    coverage.frequency_asked_min,
    coverage.frequency_asked_max,
    coverage.frequency_won_min,
    coverage.frequency_won_max,
    coverage.is_reachable,
    customers.customer_count
from {{ ref('segment_rule_coverage') }} as coverage
left join customers
    on
        coverage.segment_scheme = customers.segment_scheme
        and coverage.match_order = customers.matched_rule
order by coverage.segment_scheme, coverage.match_order
