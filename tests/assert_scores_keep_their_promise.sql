-- Retention does not fall from one score to the next beyond chance, recency and the composite score
-- tell who comes back, the segments are in the order that segments.csv claims, and a higher decile
-- of the purchase probability does not come back less often. The messages are printed where
-- validation_findings is built.
{{ config(severity=var('validation_severity')) }}
select
    finding_code,
    subject,
    message
from {{ ref('validation_findings') }}
where severity = 'error'
