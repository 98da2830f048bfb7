-- Retention does not fall from one score to the next beyond chance, recency and the composite score
-- tell who comes back, and the segments are in the order that segments.csv claims. The messages are
-- printed where validation_findings is built.
{{ config(severity=var('validation_severity')) }}
select
    finding_code,
    subject,
    message
from {{ ref('validation_findings') }}
