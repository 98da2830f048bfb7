-- Grain: one row per thing that is wrong in holdout_policy.csv, or between it and the segments and
-- audiences that it names.
-- What a running experiment must not change any more is compared with holdout_assignments when
-- the gate is built (frozen_experiment_problems).
{%- set string = dbt.type_string() %}
{%- set uniques = {
    'experiment_code': 'a code that no other row has',
    'salt': 'a salt that no other row has (the same salt would hold out the same customers)',
} %}
with

experiments as (

    select * from {{ ref('policy_holdouts') }}

),

segments as (

    select
        segment_scheme,
        segment_code
    from {{ ref('policy_segments') }}

),

audiences as (

    select distinct audience_code
    from {{ ref('policy_audiences') }}

),

repeated as (

    {% for column, accepted in uniques.items() %}
    select
        later.csv_row,
        '{{ column }}' as column_name,
        later.{{ column }} as found,
        '{{ accepted }}' as accepted,
        min(earlier.csv_row) as earlier_row
    from experiments as later
    inner join experiments as earlier
        on
            later.{{ column }} = earlier.{{ column }}
            and later.csv_row > earlier.csv_row
    group by later.csv_row, later.{{ column }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

global_at_once as (

    select
        later.csv_row,
        min(earlier.csv_row) as earlier_row
    from experiments as later
    inner join experiments as earlier
        on
            later.is_global
            and earlier.is_global
            and later.csv_row > earlier.csv_row
            and (earlier.valid_to is null or later.valid_from <= earlier.valid_to)
            and (later.valid_to is null or later.valid_to >= earlier.valid_from)
    group by later.csv_row

),

violations as (

    select
        csv_row,
        column_name,
        {{ dbt.concat(["''''", 'found', "''' as in row '", number_text('earlier_row')]) }}
            as found,
        accepted
    from repeated
    union all
    select
        csv_row,
        'is_global' as column_name,
        {{ dbt.concat([
            "'a second global experiment on days that row '", number_text('earlier_row'),
            "' has too'"
        ]) }} as found,
        'one global experiment at a time' as accepted
    from global_at_once
    union all
    select
        csv_row,
        'holdout_share' as column_name,
        {{ dbt.concat(["''''", policy_amount_text('holdout_share'), "''''"]) }} as found,
        'a share above 0 and below 1 (0.1 = one in ten)' as accepted
    from experiments
    where holdout_share <= 0 or holdout_share >= 1
    union all
    select
        csv_row,
        'holdout_share' as column_name,
        {{ dbt.concat(["''''", policy_amount_text('holdout_share'), "''''"]) }} as found,
        'a share in steps of 0.0001' as accepted
    from experiments
    where
        holdout_share > 0
        and holdout_share < 1
        and cast(holdout_share as numeric(18, 4)) <> holdout_share
    union all
    select
        csv_row,
        'valid_to' as column_name,
        cast(valid_to as {{ string }}) as found,
        {{ dbt.concat([
            "'a day from '", 'cast(valid_from as ' ~ string ~ ')', "' (valid_from) on'"
        ]) }} as accepted
    from experiments
    where valid_from > valid_to
    union all
    select
        csv_row,
        'is_global' as column_name,
        'true beside an audience or a segment' as found,
        'either everybody (is_global) or an audience or a segment' as accepted
    from experiments
    where is_global and coalesce(audience_code, segment_scheme, segment_code) is not null
    union all
    select
        csv_row,
        'audience_code' as column_name,
        'no audience, no segment and not is_global' as found,
        'an audience_code, a segment_code or is_global true' as accepted
    from experiments
    where not is_global and coalesce(audience_code, segment_code) is null
    union all
    select
        csv_row,
        'segment_code' as column_name,
        'a blank cell' as found,
        {{ dbt.concat(["'a segment of the scheme '", 'segment_scheme']) }} as accepted
    from experiments
    where segment_scheme is not null and segment_code is null and not is_global
    union all
    select
        experiments.csv_row,
        case
            when experiments.segment_scheme is null then 'segment_scheme' else 'segment_code'
        end as column_name,
        case
            when experiments.segment_scheme is null then 'a blank cell'
            else {{ dbt.concat(["''''", 'experiments.segment_code', "''''"]) }}
        end as found,
        case
            when experiments.segment_scheme is null
                then {{ dbt.concat([
                    "'the scheme of the segment '", 'experiments.segment_code'
                ]) }}
            else {{ dbt.concat([
                "'a segment of the scheme '", 'experiments.segment_scheme', "' in segments.csv'"
            ]) }}
        end as accepted
    from experiments
    left join segments
        on
            experiments.segment_scheme = segments.segment_scheme
            and experiments.segment_code = segments.segment_code
    where experiments.segment_code is not null and segments.segment_code is null
    union all
    select
        experiments.csv_row,
        'audience_code' as column_name,
        {{ dbt.concat(["''''", 'experiments.audience_code', "''''"]) }} as found,
        'an audience of audience_definitions.csv' as accepted
    from experiments
    left join audiences
        on experiments.audience_code = audiences.audience_code
    where experiments.audience_code is not null and audiences.audience_code is null

)

select
    'holdout_policy.csv' as file_name,
    csv_row,
    column_name,
    found,
    accepted
from violations
