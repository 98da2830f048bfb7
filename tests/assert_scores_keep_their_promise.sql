-- Retention does not fall from one score to the next beyond chance, recency and the composite score
-- tell who comes back, the segments are in the order that segments.csv claims, and a higher decile
-- of the purchase probability does not come back less often. The messages are printed where
-- validation_findings is built.
{#- Another word is refused by check_vars when the run starts, by the name of the var. -#}
{{ config(severity='warn' if var('validation_severity') == 'warn' else 'error') }}
select
    finding_code,
    subject,
    message
from {{ ref('validation_findings') }}
where severity = 'error'
