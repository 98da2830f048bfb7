-- Grain: one row per (as_of_date, customer_id, trigger_code): a customer who moved into the state
-- that a row of trigger_rules.csv names, at a grid date.
-- A trigger does not fire again for the same customer within its re-entry wait. What fires depends
-- on what fired before, so the candidates of a customer are walked through from the first on. Dates
-- that are finished are kept: only candidates of the others are looked for, and each goes on from
-- the last time that its trigger fired.
{{ config(**sliced(
    looks_back=true,
    indexes=[
        {'columns': ['trigger_key'], 'unique': true},
        {'columns': ['customer_id']},
        {'columns': ['as_of_date']},
    ]
)) }}
{%- set scheme = text_literal(var('segment_scheme')) %}
{%- set days_before = dbt.datediff(
    'state_lengths.since_date', 'candidates.as_of_date', 'day'
) | trim %}
{%- set wait_until = dbt.dateadd(
    'day', '-1 * later.reentry_wait_days', 'later.as_of_date'
) | trim %}
with {{ 'recursive' if target.type != 'spark' }}

{% if has_slices() -%}
kept_fires as (

    select
        customer_id,
        trigger_code,
        max(as_of_date) as as_of_date
    from {{ this }}
    where not ({{ is_due('as_of_date') }})
    group by customer_id, trigger_code

),

{% endif -%}
rules as (

    select *
    from {{ ref('policy_trigger_rules') }}
    where segment_scheme is null or segment_scheme = {{ scheme }}

),

strategies as (

    select
        segment_key,
        strategy_code,
        is_suppressed
    from {{ ref('policy_strategies') }}

),

first_dates as (

    select min(as_of_date) as first_as_of_date
    from {{ ref('customer_segment_history') }}
    where is_grid

),

-- The history is read where it is used and only as far as that: kept for several readers it would
-- be written out with all its dates, every day.
due_flags as (

    select
        as_of_date,
        customer_id,
        flag_list
    from {{ ref('int_customer_flags') }}
    {{- only_due('as_of_date') }}

),

due_states as (

    select
        history.as_of_date,
        history.customer_id,
        history.segment_key,
        history.segment_code,
        history.lifecycle_stage,
        history.net_revenue,
        history.previous_as_of_date,
        history.previous_segment_key,
        due_flags.flag_list
    from {{ ref('customer_segment_history') }} as history
    inner join due_flags
        on
            history.as_of_date = due_flags.as_of_date
            and history.customer_id = due_flags.customer_id
    where history.is_grid {{ only_due('history.as_of_date', 'and') }}

),

states_before as (

    select
        history.as_of_date,
        history.customer_id,
        history.segment_code,
        history.lifecycle_stage,
        flags.flag_list
    from {{ ref('customer_segment_history') }} as history
    inner join {{ ref('int_customer_flags') }} as flags
        on
            history.as_of_date = flags.as_of_date
            and history.customer_id = flags.customer_id
    where
        history.is_grid
        and history.as_of_date in (select due_states.previous_as_of_date from due_states)

),

-- A rule can only fire where something changed. The first date of the history has nothing before
-- it; who is not known at the date before was in no state.
moves as (

    select
        due_states.as_of_date,
        due_states.customer_id,
        due_states.segment_key,
        due_states.segment_code,
        due_states.lifecycle_stage,
        due_states.flag_list,
        due_states.net_revenue,
        due_states.previous_as_of_date,
        due_states.previous_segment_key,
        coalesce(states_before.segment_code, '') as previous_segment_code,
        coalesce(states_before.lifecycle_stage, '') as previous_lifecycle_stage,
        coalesce(states_before.flag_list, '|') as previous_flag_list
    from due_states
    cross join first_dates
    left join states_before
        on
            due_states.customer_id = states_before.customer_id
            and due_states.previous_as_of_date = states_before.as_of_date
    where
        due_states.as_of_date > first_dates.first_as_of_date
        and (
            states_before.customer_id is null
            or due_states.segment_code <> states_before.segment_code
            or due_states.lifecycle_stage <> states_before.lifecycle_stage
            or due_states.flag_list <> states_before.flag_list
        )

),

candidates as (

    select
        moves.as_of_date,
        moves.customer_id,
        rules.trigger_code,
        moves.segment_key,
        moves.previous_segment_key,
        moves.net_revenue,
        moves.previous_as_of_date,
        rules.from_segment,
        rules.from_stage,
        rules.from_flag,
        rules.to_segment,
        rules.to_stage,
        rules.to_flag,
        rules.minimum_days_before,
        rules.reentry_wait_days,
        rules.priority
    from moves
    inner join rules
        on
            (rules.valid_from is null or moves.as_of_date >= rules.valid_from)
            and (rules.valid_to is null or moves.as_of_date <= rules.valid_to)
            and {{ in_state('rules', 'from', 'moves', 'previous_') }}
            and {{ in_state('rules', 'to', 'moves') }}
            -- A rule that names only what was before fires when that ends, every other one when
            -- what it names begins.
            and not case
                when coalesce(rules.to_segment, rules.to_stage, rules.to_flag) is null
                    then {{ in_state('rules', 'from', 'moves') }}
                else {{ in_state('rules', 'to', 'moves', 'previous_') }}
            end

),

-- How long the state before had lasted, for those rules that ask: since the latest date that was
-- not in it. The state before a rule that names none is not being in the state it leads to.
asking as (

    select * from candidates
    where minimum_days_before > 0

),

states_of_asking as (

    select
        history.as_of_date,
        history.customer_id,
        history.segment_code,
        history.lifecycle_stage,
        flags.flag_list
    from {{ ref('customer_segment_history') }} as history
    inner join {{ ref('int_customer_flags') }} as flags
        on
            history.as_of_date = flags.as_of_date
            and history.customer_id = flags.customer_id
    where
        history.is_grid
        and history.customer_id in (select asking.customer_id from asking)

),

earlier_states as (

    select
        asking.as_of_date,
        asking.customer_id,
        asking.trigger_code,
        states.as_of_date as earlier_date,
        case
            when coalesce(asking.from_segment, asking.from_stage, asking.from_flag) is null
                then not ({{ in_state('asking', 'to', 'states') }})
            else {{ in_state('asking', 'from', 'states') }}
        end as is_in_state
    from asking
    inner join states_of_asking as states
        on
            asking.customer_id = states.customer_id
            and asking.as_of_date > states.as_of_date

),

ended_states as (

    select
        *,
        max(case when not is_in_state then earlier_date end) over (
            partition by as_of_date, customer_id, trigger_code
        ) as last_date_outside
    from earlier_states

),

state_lengths as (

    select
        as_of_date,
        customer_id,
        trigger_code,
        min(earlier_date) as since_date
    from ended_states
    where last_date_outside is null or earlier_date > last_date_outside
    group by as_of_date, customer_id, trigger_code

),

long_enough as (

    select
        candidates.as_of_date,
        candidates.customer_id,
        candidates.trigger_code,
        candidates.reentry_wait_days
    from candidates
    left join state_lengths
        on
            candidates.as_of_date = state_lengths.as_of_date
            and candidates.customer_id = state_lengths.customer_id
            and candidates.trigger_code = state_lengths.trigger_code
    where
        candidates.minimum_days_before = 0
        or coalesce({{ days_before }}, 0) >= candidates.minimum_days_before
    {%- if has_slices() %}
    union all
    select
        as_of_date,
        customer_id,
        trigger_code,
        0 as reentry_wait_days
    from kept_fires
    {%- endif %}

),

{% if target.type == 'spark' %}
-- Spark would plan and run every step of a recursion anew; it has arrays to walk through instead.
walks as (

    select
        customer_id,
        trigger_code,
        aggregate(
            sort_array(collect_list(struct(as_of_date, reentry_wait_days))),
            cast(array() as array<date>),
            (fired, candidate) -> case
                when
                    size(fired) = 0
                    or element_at(fired, -1)
                    <= date_add(candidate.as_of_date, -1 * candidate.reentry_wait_days)
                    then array_append(fired, candidate.as_of_date)
                else fired
            end
        ) as fired_dates
    from long_enough
    group by customer_id, trigger_code

),

fires as (

    select
        customer_id,
        trigger_code,
        as_of_date
    from walks
    lateral view explode(fired_dates) fired_days as as_of_date
{% else %}
-- For every candidate the next one that its firing lets through.
followed as (

    select
        long_enough.as_of_date,
        long_enough.customer_id,
        long_enough.trigger_code,
        min(later.as_of_date) as next_date
    from long_enough
    left join long_enough as later
        on
            long_enough.customer_id = later.customer_id
            and long_enough.trigger_code = later.trigger_code
            and long_enough.as_of_date < later.as_of_date
            and long_enough.as_of_date <= {{ wait_until }}
    group by long_enough.as_of_date, long_enough.customer_id, long_enough.trigger_code

),

first_fires as (

    select
        customer_id,
        trigger_code,
        min(as_of_date) as as_of_date
    from long_enough
    group by customer_id, trigger_code

),

fires as (

    select
        customer_id,
        trigger_code,
        as_of_date
    from first_fires
    union all
    select
        followed.customer_id,
        followed.trigger_code,
        followed.next_date as as_of_date
    from fires
    inner join followed
        on
            fires.customer_id = followed.customer_id
            and fires.trigger_code = followed.trigger_code
            and fires.as_of_date = followed.as_of_date
    where followed.next_date is not null

{% endif %}
)

select
    {{ dbt_utils.generate_surrogate_key([
        'candidates.as_of_date', 'candidates.customer_id', 'candidates.trigger_code'
    ]) }} as trigger_key,
    candidates.as_of_date,
    candidates.customer_id,
    candidates.trigger_code,
    candidates.segment_key,
    candidates.previous_segment_key,
    strategies.strategy_code,
    candidates.priority,
    cast(
        row_number() over (
            partition by candidates.as_of_date, candidates.customer_id
            order by candidates.priority, candidates.trigger_code
        ) as integer
    ) as trigger_rank,
    candidates.net_revenue as value_at_stake,
    candidates.reentry_wait_days,
    strategies.is_suppressed,
    candidates.previous_as_of_date
from candidates
inner join fires
    on
        candidates.as_of_date = fires.as_of_date
        and candidates.customer_id = fires.customer_id
        and candidates.trigger_code = fires.trigger_code
inner join strategies
    on candidates.segment_key = strategies.segment_key
