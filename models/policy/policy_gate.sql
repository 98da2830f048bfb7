-- Grain: one row, when the policy is usable; otherwise this model fails and names the bad cells.
{%- do raise_policy_violations(ref('policy_violations')) %}
select count(*) as violation_count
from {{ ref('policy_violations') }}
