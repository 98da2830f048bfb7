-- Grain: one row per thing that is wrong between segments and strategies: a segment without a
-- strategy, or one that spends where the value does not pay for it.
{%- set string = dbt.type_string() %}
{%- set depth_accepted = 'at most ' ~ (var('margin_rate') | float * 100) | round(4)
    ~ ' (the var margin_rate): above it every order loses money' %}
{%- set count_accepted = 'at most ' ~ var('max_actionable_segments')
    ~ ' (the var max_actionable_segments): people cannot act on more' %}
with

segments as (

    select * from {{ ref('policy_segments') }}

),

strategies as (

    select * from {{ ref('policy_strategies') }}

),

valued_strategies as (

    select
        strategies.*,
        segments.value_rank
    from strategies
    inner join segments
        on strategies.segment_key = segments.segment_key

),

active_strategies as (

    select * from valued_strategies
    where not is_suppressed

),

-- The deepest incentive is compared with the shallowest one of any more valuable segment.
ranked_depths as (

    select
        segment_scheme,
        csv_row,
        segment_code,
        incentive_depth_pct,
        min(incentive_depth_pct) over (
            partition by segment_scheme order by value_rank
            rows between unbounded preceding and 1 preceding
        ) as depth_of_more_valuable
    from active_strategies

),

ranked_suppression as (

    select
        segment_scheme,
        csv_row,
        segment_code,
        is_suppressed,
        value_rank = max(value_rank) over (partition by segment_scheme) as is_least_valuable,
        max(case when is_suppressed then 1 else 0 end) over (
            partition by segment_scheme order by value_rank
            rows between unbounded preceding and 1 preceding
        ) = 1 as is_more_valuable_suppressed
    from valued_strategies

),

repeated_keys as (

    {% for column in ['segment_code', 'strategy_code'] %}
    select
        'strategy_policy.csv' as file_name,
        max(csv_row) as csv_row,
        '{{ column }}' as column_name,
        {{ column }} as found,
        {{ dbt.concat(["'the scheme '", 'segment_scheme']) }} as scope
    from strategies
    where {{ column }} is not null
    group by segment_scheme, {{ column }}
    having count(*) > 1
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

-- What is left of a message without its slots; a brace that remains is a slot nobody fills.
message_rests as (

    select
        csv_row,
        core_message,
        {% set rest = namespace(sql='core_message') -%}
        {%- for slot in message_slots() -%}
        {%- set rest.sql = "replace(" ~ rest.sql ~ ", '{" ~ slot ~ "}', '')" -%}
        {%- endfor -%}
        {{ rest.sql }} as message_rest
    from strategies

)

select
    file_name,
    csv_row,
    column_name,
    {{ dbt.concat(["''''", 'found', "''' a second time in '", 'scope']) }} as found,
    'each only once there' as accepted
from repeated_keys
union all
select
    'strategy_policy.csv' as file_name,
    cast(null as integer) as csv_row,
    'segment_code' as column_name,
    {{ dbt.concat(["'no row for the segment '", 'segments.segment_key']) }} as found,
    'one row for every segment of segments.csv' as accepted
from segments
left join strategies
    on segments.segment_key = strategies.segment_key
where strategies.segment_key is null and segments.segment_key is not null
union all
select
    'strategy_policy.csv' as file_name,
    strategies.csv_row,
    'segment_code' as column_name,
    {{ dbt.concat(["''''", 'strategies.segment_key', "''''"]) }} as found,
    'a segment of segments.csv' as accepted
from strategies
left join segments
    on strategies.segment_key = segments.segment_key
where segments.segment_key is null and strategies.segment_key is not null
union all
select
    'strategy_policy.csv' as file_name,
    csv_row,
    'incentive_depth_pct' as column_name,
    {{ policy_amount_text('incentive_depth_pct') }} as found,
    {{ text_literal(depth_accepted) }} as accepted
from strategies
where incentive_depth_pct > {{ var('margin_rate') }} * 100
union all
select
    'strategy_policy.csv' as file_name,
    csv_row,
    'incentive_depth_pct' as column_name,
    {{ policy_amount_text('incentive_depth_pct') }} as found,
    {{ dbt.concat([
        "'at most '", policy_amount_text('depth_of_more_valuable'),
        "', the depth of a more valuable segment (value_rank in segments.csv)'"
    ]) }} as accepted
from ranked_depths
where incentive_depth_pct > depth_of_more_valuable
union all
select
    'strategy_policy.csv' as file_name,
    csv_row,
    'is_suppressed' as column_name,
    'false' as found,
    case
        when is_least_valuable
            then 'true: the least valuable segment of a scheme gets no retention budget'
        else 'true, since a more valuable segment (value_rank in segments.csv) is suppressed'
    end as accepted
from ranked_suppression
where not is_suppressed and (is_least_valuable or is_more_valuable_suppressed)
union all
select
    'strategy_policy.csv' as file_name,
    csv_row,
    'suppression_reason' as column_name,
    case when is_suppressed then 'a blank cell' else 'a reason' end as found,
    case
        when is_suppressed then 'a reason, since is_suppressed is true'
        else 'blank, since is_suppressed is false'
    end as accepted
from strategies
where is_suppressed = (suppression_reason is null)
union all
select
    'strategy_policy.csv' as file_name,
    csv_row,
    'incentive_depth_pct' as column_name,
    {{ policy_amount_text('incentive_depth_pct') }} as found,
    '0 for a suppressed segment and for incentive_type none' as accepted
from strategies
where incentive_depth_pct > 0 and (is_suppressed or incentive_type = 'none')
union all
select
    'strategy_policy.csv' as file_name,
    csv_row,
    'contact_cadence_days' as column_name,
    'a blank cell' as found,
    'a whole number of days, since the segment is contacted' as accepted
from strategies
where not is_suppressed and contact_cadence_days is null
union all
select
    'strategy_policy.csv' as file_name,
    csv_row,
    'primary_channel' as column_name,
    'none' as found,
    'a channel, since the segment is contacted' as accepted
from strategies
where not is_suppressed and primary_channel = 'none'
union all
select
    'strategy_policy.csv' as file_name,
    cast(null as integer) as csv_row,
    'is_suppressed' as column_name,
    {{ dbt.concat([
        number_text('count(*)'), "' segments to act on in the scheme '", 'segment_scheme'
    ]) }} as found,
    {{ text_literal(count_accepted) }} as accepted
from active_strategies
group by segment_scheme
having count(*) > {{ var('max_actionable_segments') }}
union all
select
    'strategy_policy.csv' as file_name,
    csv_row,
    'core_message' as column_name,
    {{ dbt.concat(["''''", 'core_message', "''''"]) }} as found,
    {{ text_literal("only the slots {" ~ message_slots() | join("}, {") ~ "}") }} as accepted
from message_rests
where {{ matches('message_rest', '[{}]') }}
