-- The level of the purchase probability was met at the latest finished date, and the values behind
-- the scores lie where they lay at the start of the history. Warns only: seasons differ, bases
-- grow. The messages are printed where validation_findings is built.
{{ config(severity='warn') }}
select
    finding_code,
    subject,
    message
from {{ ref('validation_findings') }}
where severity = 'warning'
