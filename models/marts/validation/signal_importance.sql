-- Grain: one row per signal: how well it tells who comes back, alone and within the segments, judged
-- on the latest finished date.
-- Within a segment customers are alike in recency, frequency and monetary value, so what a signal
-- tells there it adds to them.
{%- set double = type_double() %}
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

counted as (

    select
        signal,
        signal_kind,
        count(*) as customer_count,
        sum(is_retained) as retained_count,
        count(signal_value) as known_count,
        count(distinct signal_value) as value_count,
        sum(case when signal_value <> 0 then 1 else 0 end) as having_count
    from signals
    group by signal, signal_kind

),

-- Per base (everybody, or a segment) how many of the gone have less than each value.
valued as (

    {% for segment in ["'(all)'", 'segment_key'] %}
    select
        signal,
        {{ segment }} as base,
        signal_value,
        cast(sum(is_retained) as {{ double }}) as retained_count,
        cast(sum(1 - is_retained) as {{ double }}) as gone_count
    from signals
    where signal_value is not null
    group by signal, {{ 'segment_key, ' if segment == 'segment_key' }}signal_value
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

placed as (

    select
        *,
        sum(gone_count) over (
            partition by signal, base order by signal_value
            rows between unbounded preceding and current row
        ) - gone_count as gone_below,
        sum(retained_count + gone_count) over (
            partition by signal, base order by signal_value
            rows between unbounded preceding and current row
        ) - retained_count - gone_count as rows_below,
        sum(retained_count + gone_count) over (partition by signal, base) as base_count
    from valued

),

bases as (

    select
        signal,
        base,
        sum(retained_count * (gone_below + gone_count / 2)) as won_pairs,
        sum(retained_count) * sum(gone_count) as pair_count,
        max(base_count) as base_count
    from placed
    group by signal, base

),

areas as (

    select
        signal,
        sum(case when base = '(all)' then won_pairs end)
        / nullif(sum(case when base = '(all)' then pair_count end), 0) as auc,
        sum(case when base <> '(all)' then won_pairs end)
        / nullif(sum(case when base <> '(all)' then pair_count end), 0) as auc_within,
        sum(case when base <> '(all)' then pair_count end)
        / nullif(sum(case when base = '(all)' then pair_count end), 0) as share_within,
        -- Of the rank-sum test in each segment, if the signal told nothing there.
        sqrt(sum(case when base <> '(all)' then pair_count * (base_count + 1) / 12 end))
        / nullif(sum(case when base <> '(all)' then pair_count end), 0) as error_within
    from bases
    group by signal

),

-- Ten bins of equal size, equal values together, and one for whom the signal is not known.
binned as (

    select
        signal,
        floor(10 * rows_below / base_count) as bin,
        sum(retained_count) as retained_count,
        sum(gone_count) as gone_count
    from placed
    where base = '(all)'
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
            (
                (binned.retained_count + 0.5)
                / (bin_totals.retained_count + 0.5 * bin_totals.bin_count)
                - (binned.gone_count + 0.5)
                / (bin_totals.gone_count + 0.5 * bin_totals.bin_count)
            )
            * (
                ln(
                    (binned.retained_count + 0.5)
                    / (bin_totals.retained_count + 0.5 * bin_totals.bin_count)
                )
                - ln(
                    (binned.gone_count + 0.5)
                    / (bin_totals.gone_count + 0.5 * bin_totals.bin_count)
                )
            )
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
        counted.signal,
        counted.signal_kind,
        counted.customer_count,
        counted.retained_count,
        counted.known_count,
        counted.value_count,
        counted.having_count,
        areas.auc,
        areas.auc_within,
        areas.share_within * abs(areas.auc_within - 0.5) as added_auc,
        (areas.auc_within - 0.5) / nullif(areas.error_within, 0) as z_value,
        information.information_value,
        count(*) over () as signal_count
    from counted
    left join areas
        on counted.signal = areas.signal
    left join information
        on counted.signal = information.signal

),

judged as (

    select
        *,
        case
            when value_count > 1 and z_value is not null
                then least({{ normal_two_sided('z_value') }} * signal_count, 1)
        end as added_p_value,
        case
            when known_count = 0 then 'Not known for any customer'
            when value_count = 1 then 'All customers have the same value'
            when retained_count = 0 then 'Nobody came back, so nothing can be told apart'
            when retained_count = customer_count
                then 'Everybody came back, so nothing can be told apart'
        end as note
    from tested

)

select
    judged.signal,
    judged.signal_kind,
    judged_dates.as_of_date,
    cast(judged_dates.horizon_days as integer) as horizon_days,
    cast(judged.customer_count as integer) as customer_count,
    cast(judged.known_count as {{ double }}) / judged.customer_count as known_share,
    cast(judged.having_count as {{ double }}) / judged.customer_count as having_share,
    case when judged.note is null then judged.information_value end as information_value,
    case when judged.note is null then judged.auc end as auc,
    case when judged.note is null then judged.auc_within end as auc_within_segments,
    case when judged.note is null then judged.added_auc end as added_auc,
    case when judged.note is null then judged.added_p_value end as added_p_value,
    cast(
        row_number() over (
            order by
                case when judged.note is null then 0 else 1 end,
                cast(judged.information_value as numeric(18, 9)) desc nulls last,
                judged.signal
        ) as integer
    ) as importance_rank,
    coalesce(
        judged.note,
        case
            when judged.added_p_value is null or judged.added_p_value >= 0.05
                then 'Adds nothing beyond RFM'
            when judged.auc_within > 0.5
                then 'Adds to RFM: in the same segment, those with more of it come back more often'
            else 'Adds to RFM: in the same segment, those with less of it come back more often'
        end
    ) as what_it_tells
from judged
cross join judged_dates
