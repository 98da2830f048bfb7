-- Grain: one row, when the policy is usable; otherwise this model fails and names the bad cells.
{%- do raise_policy_violations(ref('policy_violations')) %}
with

violations as (

    select count(*) as violation_count
    from {{ ref('policy_violations') }}

)

select
    {{ text_literal(policy_vars()) }} as checked_vars,
    versions.policy_version,
    violations.violation_count
from {{ ref('policy_version') }} as versions
cross join violations
