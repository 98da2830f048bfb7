-- Grain: one row per signal: how well it tells who comes back, alone, within the segments, and
-- among customers with the same three scores, judged on the latest finished date.
-- `added_auc`: what the AUC of the segments gains when the signal orders the customers of a
-- segment. Whether a signal adds anything beyond RFM is judged among customers with the same
-- recency, frequency and monetary score (rank-sum tests with ties, added up over the scores).
{%- set double = type_double() %}
{%- set string = dbt.type_string() %}
with

signals as (

    select * from {{ ref('int_validation_signals') }}

),

judged_dates as (

    select
        max(as_of_date) as as_of_date,
        max(horizon_days) as horizon_days
    from {{ ref('int_validation_windows') }}
    where horizon_code = 'horizon'

),

-- All signals, also where no date is finished.
wanted as (

    {% for signal, (kind, expression, words) in validated_signals().items() %}
    select
        '{{ signal }}' as signal,
        '{{ words }}' as signal_words,
        '{{ kind }}' as signal_kind
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

counted as (

    select
        signal,
        count(*) as customer_count,
        sum(is_retained) as retained_count,
        count(signal_value) as known_count,
        count(distinct signal_value) as value_count,
        sum(case when signal_value <> 0 then 1 else 0 end) as having_count,
        cast(sum(is_retained) as {{ double }}) * sum(1 - is_retained) as pair_count
    from signals
    group by signal

),

-- Per base (everybody, a segment, or the customers with the same scores) how many came back and how
-- many did not at each value.
valued as (

    {% for base_kind, base in {
        'all': "'(all)'", 'segment': 'segment_key', 'scores': 'rfm_code'
    }.items() %}
    select
        signal,
        '{{ base_kind }}' as base_kind,
        {{ base }} as base,
        signal_value,
        cast(sum(is_retained) as {{ double }}) as retained_count,
        cast(sum(1 - is_retained) as {{ double }}) as gone_count,
        cast(count(*) as {{ double }}) as row_count
    from signals
    where signal_value is not null
    group by signal, {{ base ~ ', ' if base_kind != 'all' }}signal_value
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

placed as (

    select
        *,
        (sum(gone_count) over up_to) - gone_count as gone_below,
        (sum(row_count) over up_to) - row_count as rows_below,
        sum(row_count) over (partition by signal, base_kind, base) as base_count
    from valued
    window
        up_to as (
            partition by signal, base_kind, base order by signal_value
            rows between unbounded preceding and current row
        )

),

bases as (

    select
        signal,
        base_kind,
        base,
        sum(retained_count * (gone_below + gone_count / 2)) as won_pairs,
        sum(retained_count) * sum(gone_count) as pair_count,
        max(base_count) as base_count,
        sum(row_count * row_count * row_count - row_count) as tie_correction
    from placed
    group by signal, base_kind, base

),

-- The variance is that of the rank sum if the signal told nothing in a base, less for ties.
areas as (

    select
        signal,
        base_kind,
        sum(won_pairs) as won_pairs,
        sum(pair_count) as pair_count,
        sum(won_pairs) / nullif(sum(pair_count), 0) as auc,
        sum(
            case
                when base_count > 1
                    then
                        pair_count / 12
                        * (base_count + 1 - tie_correction / (base_count * (base_count - 1)))
                else 0
            end
        ) as won_variance
    from bases
    group by signal, base_kind

),

-- Ten bins of equal size, equal values together, and one for whom the signal is not known.
binned as (

    select
        signal,
        floor(10 * rows_below / base_count) as bin,
        sum(retained_count) as retained_count,
        sum(gone_count) as gone_count
    from placed
    where base_kind = 'all'
    group by signal, floor(10 * rows_below / base_count)
    union all
    select
        signal,
        -1 as bin,
        cast(sum(is_retained) as {{ double }}) as retained_count,
        cast(sum(1 - is_retained) as {{ double }}) as gone_count
    from signals
    where signal_value is null
    group by signal

),

bin_totals as (

    select
        signal,
        sum(retained_count) as retained_count,
        sum(gone_count) as gone_count,
        cast(count(*) as {{ double }}) as bin_count
    from binned
    group by signal

),

information as (

    select
        binned.signal,
        sum(
            {{ information_of_level('binned', 'bin_totals', 'bin_totals.bin_count') }}
        )
        - max(
            (bin_totals.bin_count - 1)
            * (
                1 / nullif(bin_totals.retained_count, 0)
                + 1 / nullif(bin_totals.gone_count, 0)
            )
        ) as information_value
    from binned
    inner join bin_totals
        on binned.signal = bin_totals.signal
    group by binned.signal

),

tested as (

    select
        wanted.signal,
        wanted.signal_words,
        wanted.signal_kind,
        counted.customer_count,
        counted.retained_count,
        counted.known_count,
        counted.value_count,
        counted.having_count,
        alone.auc,
        within_segments.auc as auc_within_segments,
        (within_segments.won_pairs - within_segments.pair_count / 2)
        / nullif(counted.pair_count, 0) as added_auc,
        within_scores.auc as auc_within_scores,
        case
            when within_scores.won_variance > 1e-9
                then
                    (within_scores.won_pairs - within_scores.pair_count / 2)
                    / sqrt(within_scores.won_variance)
        end as z_value,
        information.information_value,
        count(counted.signal) over () as signal_count
    from wanted
    left join counted
        on wanted.signal = counted.signal
    {% for alias, base_kind in {
        'alone': 'all', 'within_segments': 'segment', 'within_scores': 'scores'
    }.items() %}
    left join areas as {{ alias }}
        on
            wanted.signal = {{ alias }}.signal
            and {{ alias }}.base_kind = '{{ base_kind }}'
    {% endfor %}
    left join information
        on wanted.signal = information.signal

),

judged as (

    select
        *,
        case
            when z_value is not null then least({{ normal_two_sided('z_value') }} * signal_count, 1)
        end as added_p_value,
        case
            when customer_count is null
                then {{ nobody_was_scored() }}
            when known_count = 0 then 'Not known for any customer'
            when value_count = 1 then 'All customers have the same value'
            when retained_count = 0 then 'Nobody came back, so nothing can be told apart'
            when retained_count = customer_count
                then 'Everybody came back, so nothing can be told apart'
            when auc is null
                then 'Of those of whom it is known nobody came back, or everybody'
        end as note
    from tested

)

select
    judged.signal,
    judged.signal_words,
    judged.signal_kind,
    judged_dates.as_of_date,
    cast(judged_dates.horizon_days as integer) as horizon_days,
    cast(coalesce(judged.customer_count, 0) as integer) as customer_count,
    cast(judged.known_count as {{ double }}) / judged.customer_count as known_share,
    cast(judged.having_count as {{ double }}) / judged.customer_count as having_share,
    {% for figure in [
        'information_value', 'auc', 'auc_within_segments', 'added_auc', 'auc_within_scores',
        'added_p_value'
    ] %}
    case when judged.note is null then {{ nine_digits('judged.' ~ figure) }} end as {{ figure }},
    {% endfor %}
    cast(
        row_number() over (
            order by
                case when judged.note is null then 0 else 1 end,
                cast(judged.information_value as numeric(18, 9)) desc nulls last,
                {{ bytewise('judged.signal') }}
        ) as integer
    ) as importance_rank,
    case
        when judged.note is not null then judged.note
        when judged.signal_kind = 'rfm'
            then 'Is recency, frequency or monetary value itself'
        when judged.added_p_value is null
            then 'Customers with the same three scores hardly differ in it'
        when judged.added_p_value >= 0.05 then 'Adds nothing beyond RFM'
        else {{ dbt.concat([
            "case when abs(judged.auc_within_scores - 0.5) < 0.05"
            ~ " then 'Adds a little to RFM' else 'Adds to RFM' end",
            "': of customers with the same scores, those '",
            "case when judged.signal_kind <> 'flag' and judged.auc_within_scores > 0.5"
            ~ " then 'with more of it come back more'"
            ~ " when judged.signal_kind <> 'flag' then 'with less of it come back more'"
            ~ " when judged.auc_within_scores > 0.5 then 'who have it come back more'"
            ~ " else 'who have it come back less' end",
            "' often (true of '",
            percent_text('0.5 + abs(judged.auc_within_scores - 0.5)'),
            "' % of pairs; a coin: 50 %)'",
        ]) }}
    end as what_it_tells
from judged
cross join judged_dates
