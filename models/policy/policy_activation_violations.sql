-- Grain: one row per thing that is wrong between the rows of the files that put customers onto
-- lists: overrides, triggers, audiences.
{%- set string = dbt.type_string() %}
{%- set keys = {
    'segment_overrides': {
        'model': 'policy_segment_overrides', 'column': 'customer_id',
        'segments': ['segment_code'],
    },
    'trigger_rules': {
        'model': 'policy_trigger_rules', 'column': 'trigger_code',
        'segments': ['from_segment', 'to_segment'],
    },
    'audience_definitions': {
        'model': 'policy_audiences', 'column': 'audience_code',
        'segments': ['segment_code'],
    },
} %}
{%- set consent_channels = "('email', 'sms', 'ads')" %}
with

segments as (

    select
        segment_scheme,
        segment_code
    from {{ ref('policy_segments') }}

),

{% for seed, key in keys.items() -%}
{{ seed }} as (

    select * from {{ ref(key['model']) }}

),

{% endfor -%}

named_segments as (

    {% for seed, key in keys.items() %}
    {%- set seed_loop = loop %}
    {%- for column in key['segments'] %}
    select
        '{{ seed }}.csv' as file_name,
        csv_row,
        '{{ column }}' as column_name,
        segment_scheme,
        {{ column }} as segment_code
    from {{ seed }}
    where {{ column }} is not null
    {% if not (loop.last and seed_loop.last) %}union all{% endif %}
    {%- endfor %}
    {%- endfor %}

),

-- Rows of one key that hold on the same day. A row without a scheme holds under every one.
overlapping_rows as (

    {% for seed, key in keys.items() %}
    select
        '{{ seed }}.csv' as file_name,
        later.csv_row,
        '{{ key["column"] }}' as column_name,
        later.{{ key['column'] }} as found,
        min(earlier.csv_row) as earlier_row
    from {{ seed }} as later
    inner join {{ seed }} as earlier
        on
            later.{{ key['column'] }} = earlier.{{ key['column'] }}
            and later.csv_row > earlier.csv_row
            and (
                later.segment_scheme = earlier.segment_scheme
                or later.segment_scheme is null
                or earlier.segment_scheme is null
            )
            and (
                later.valid_from is null
                or earlier.valid_to is null
                or later.valid_from <= earlier.valid_to
            )
            and (
                earlier.valid_from is null
                or later.valid_to is null
                or later.valid_to >= earlier.valid_from
            )
    group by later.csv_row, later.{{ key['column'] }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

backward_periods as (

    {% for seed in keys %}
    select
        '{{ seed }}.csv' as file_name,
        csv_row,
        valid_from,
        valid_to
    from {{ seed }}
    where valid_from > valid_to
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

paired_cells as (

    {% for column, other in [
        ('trigger_code', 'trigger_days'), ('max_contacts', 'contact_window_days'),
    ] %}
    select
        csv_row,
        case when {{ other }} is null then '{{ other }}' else '{{ column }}' end as column_name,
        case when {{ other }} is null then '{{ column }}' else '{{ other }}' end as given_column
    from audience_definitions
    where ({{ column }} is null) <> ({{ other }} is null)
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

)

select
    named_segments.file_name,
    named_segments.csv_row,
    case
        when named_segments.segment_scheme is null then 'segment_scheme'
        else named_segments.column_name
    end as column_name,
    case
        when named_segments.segment_scheme is null then 'a blank cell'
        else {{ dbt.concat(["''''", 'named_segments.segment_code', "''''"]) }}
    end as found,
    case
        when named_segments.segment_scheme is null
            then {{ dbt.concat([
                "'the scheme of the segment '", 'named_segments.segment_code'
            ]) }}
        else {{ dbt.concat([
            "'a segment of the scheme '", 'named_segments.segment_scheme', "' in segments.csv'"
        ]) }}
    end as accepted
from named_segments
left join segments
    on
        named_segments.segment_scheme = segments.segment_scheme
        and named_segments.segment_code = segments.segment_code
where segments.segment_code is null
union all
select
    file_name,
    csv_row,
    column_name,
    {{ dbt.concat([
        "''''", 'found', "''' on days that row '", number_text('earlier_row'), "' has too'"
    ]) }} as found,
    'periods (valid_from to valid_to) that do not overlap' as accepted
from overlapping_rows
union all
select
    file_name,
    csv_row,
    'valid_to' as column_name,
    cast(valid_to as {{ string }}) as found,
    {{ dbt.concat(["'a day from '", 'cast(valid_from as ' ~ string ~ ')', "' (valid_from) on'"]) }}
        as accepted
from backward_periods
union all
select
    'trigger_rules.csv' as file_name,
    csv_row,
    'to_segment' as column_name,
    'no condition' as found,
    'a segment, stage or flag, before or now' as accepted
from trigger_rules
where
    coalesce(from_segment, to_segment, from_stage, to_stage, from_flag, to_flag) is null
{%- for kind in ['segment', 'stage', 'flag'] %}
union all
select
    'trigger_rules.csv' as file_name,
    csv_row,
    'to_{{ kind }}' as column_name,
    {{ dbt.concat(["''''", 'to_' ~ kind, "''' on both sides'"]) }} as found,
    'another {{ kind }} than from_{{ kind }}, or a blank' as accepted
from trigger_rules
where from_{{ kind }} = to_{{ kind }}
{%- endfor %}
union all
select
    'audience_definitions.csv' as file_name,
    audience_definitions.csv_row,
    'trigger_code' as column_name,
    {{ dbt.concat(["''''", 'audience_definitions.trigger_code', "''''"]) }} as found,
    'a trigger of trigger_rules.csv, of the same scheme or of none' as accepted
from audience_definitions
left join trigger_rules
    on
        audience_definitions.trigger_code = trigger_rules.trigger_code
        and (
            trigger_rules.segment_scheme is null
            or audience_definitions.segment_scheme = trigger_rules.segment_scheme
        )
where audience_definitions.trigger_code is not null and trigger_rules.trigger_code is null
union all
select
    'audience_definitions.csv' as file_name,
    csv_row,
    column_name,
    'a blank cell' as found,
    {{ dbt.concat(["'a value, since '", 'given_column', "' has one'"]) }} as accepted
from paired_cells
union all
select
    'audience_definitions.csv' as file_name,
    csv_row,
    'category' as column_name,
    'a blank cell' as found,
    'a category, since affinity_index_min has a value' as accepted
from audience_definitions
where affinity_index_min is not null and category is null
union all
select
    'audience_definitions.csv' as file_name,
    csv_row,
    'needs_consent' as column_name,
    {{ dbt.concat(["'true for the channel '", 'channel']) }} as found,
    'false (only email, sms and ads have a consent of their own)' as accepted
from audience_definitions
where needs_consent and channel not in {{ consent_channels }}
