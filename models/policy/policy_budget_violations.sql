-- Grain: one row per thing that is wrong between the files of the budget (costs, allocation, what-
-- if) and the strategies.
{%- set string = dbt.type_string() %}
{%- set depth_accepted = 'at most ' ~ (var('margin_rate') | float * 100) | round(4)
    ~ ' (the var margin_rate): above it every order loses money' %}
{%- set files = {
    'current_budget_allocation': 'policy_budget_allocation', 'what_if_policy': 'policy_what_if',
} %}
with

segments as (

    select segment_key
    from {{ ref('policy_segments') }}

),

costs as (

    select
        csv_row,
        channel
    from {{ ref('policy_channel_costs') }}

),

overrides as (

    select * from {{ ref('policy_what_if') }}

),

named_segments as (

    {% for seed, model in files.items() %}
    select
        '{{ seed }}.csv' as file_name,
        csv_row,
        segment_key
    from {{ ref(model) }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

used_channels as (

    {% for column in ['primary_channel', 'secondary_channel'] %}
    select
        'strategy_policy.csv' as file_name,
        csv_row,
        {{ column }} as channel
    from {{ ref('policy_strategies') }}
    where not is_suppressed and {{ column }} is not null and {{ column }} <> 'none'
    union all
    {% endfor %}
    select
        'what_if_policy.csv' as file_name,
        csv_row,
        primary_channel as channel
    from overrides
    where primary_channel is not null and primary_channel <> 'none'

),

-- Without any row no cost is known, and nobody is planned: that is a choice and no mistake.
channels_without_cost as (

    select
        used_channels.file_name,
        used_channels.channel,
        min(used_channels.csv_row) as csv_row
    from used_channels
    left join costs
        on used_channels.channel = costs.channel
    where
        costs.channel is null
        and exists (select any_cost.channel from costs as any_cost)
    group by used_channels.file_name, used_channels.channel

),

repeated_rows as (

    select
        'channel_costs.csv' as file_name,
        max(csv_row) as csv_row,
        'channel' as column_name,
        channel as found
    from costs
    where channel is not null
    group by channel
    having count(*) > 1
    union all
    select
        file_name,
        max(csv_row) as csv_row,
        'segment_code' as column_name,
        segment_key as found
    from named_segments
    where segment_key is not null
    group by file_name, segment_key
    having count(*) > 1

)

select
    file_name,
    csv_row,
    column_name,
    {{ dbt.concat(["''''", 'found', "''' a second time'"]) }} as found,
    'each only once' as accepted
from repeated_rows
union all
select
    'channel_costs.csv' as file_name,
    cast(null as integer) as csv_row,
    'channel' as column_name,
    {{ dbt.concat([
        "'no row for the channel '", 'channel', "' ('", 'file_name', "', row '",
        number_text('csv_row'), "')'",
    ]) }} as found,
    'a row for every channel that is used; leave cost_per_contact blank if it is not known'
        as accepted
from channels_without_cost
union all
select
    named_segments.file_name,
    named_segments.csv_row,
    'segment_code' as column_name,
    {{ dbt.concat(["''''", 'named_segments.segment_key', "''''"]) }} as found,
    'a segment of segments.csv' as accepted
from named_segments
left join segments
    on named_segments.segment_key = segments.segment_key
where segments.segment_key is null and named_segments.segment_key is not null
union all
select
    'what_if_policy.csv' as file_name,
    csv_row,
    'incentive_depth_pct' as column_name,
    {{ policy_amount_text('incentive_depth_pct') }} as found,
    {{ text_literal(depth_accepted) }} as accepted
from overrides
where incentive_depth_pct > {{ var('margin_rate') }} * 100
union all
select
    'what_if_policy.csv' as file_name,
    csv_row,
    'expected_save_rate' as column_name,
    'a blank cell, as in incentive_depth_pct and primary_channel' as found,
    'at least one of the three, else nothing would differ' as accepted
from overrides
where
    expected_save_rate is null
    and incentive_depth_pct is null
    and primary_channel is null
