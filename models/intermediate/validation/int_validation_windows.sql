-- Grain: one row per (as_of_date, horizon_code): a grid date and the days after it in which it is
-- seen who came back; finished ones only (as_of_date + horizon_days is not after the current date).
-- `horizon`: the var retention_horizon_days. `cycle`: one purchase cycle, the median gap of the
-- whole base at the current date. `year`: 365 days, for value.
-- Of more than 60 finished dates every second, third ... is kept, counted from the latest: windows
-- that begin a day apart say the same twice.
{%- set most_dates = 60 %}
with

as_of_dates as (

    select
        as_of_date,
        is_current,
        is_grid
    from {{ ref('int_as_of_dates') }}

),

current_dates as (

    select
        as_of_dates.as_of_date,
        coalesce(
            group_gaps.gap_days_median, {{ var('default_purchase_gap_days') }}
        ) as gap_days_median
    from as_of_dates
    left join {{ ref('int_group_gaps') }} as group_gaps
        on
            as_of_dates.as_of_date = group_gaps.as_of_date
            and group_gaps.score_group = '{{ whole_base() }}'
    where as_of_dates.is_current

),

horizons as (

    select
        'horizon' as horizon_code,
        {{ var('retention_horizon_days') }} as horizon_days,
        as_of_date as current_as_of_date
    from current_dates
    union all
    select
        'cycle' as horizon_code,
        greatest(cast(floor(gap_days_median + 0.5) as integer), 1) as horizon_days,
        as_of_date as current_as_of_date
    from current_dates
    union all
    select
        'year' as horizon_code,
        365 as horizon_days,
        as_of_date as current_as_of_date
    from current_dates

),

ends as (

    select
        as_of_dates.as_of_date,
        horizons.horizon_code,
        horizons.horizon_days,
        cast(
            {{ dbt.dateadd('day', 'horizons.horizon_days', 'as_of_dates.as_of_date') }} as date
        ) as end_date,
        horizons.current_as_of_date
    from as_of_dates
    cross join horizons
    where as_of_dates.is_grid

),

finished as (

    select
        *,
        row_number() over (partition by horizon_code order by as_of_date desc) as place,
        count(*) over (partition by horizon_code) as date_count
    from ends
    where end_date <= current_as_of_date

)

select
    as_of_date,
    horizon_code,
    horizon_days,
    end_date
from finished
where mod(place - 1, cast(floor((date_count - 1) / {{ most_dates }}.0) as integer) + 1) = 0
