-- Grain: one row per thing that the scores promise and the customers did not keep (finding_code,
-- subject). Printed when this model is built; the test assert_scores_keep_their_promise fails on
-- every row of severity `error` (the var validation_severity), and
-- assert_levels_and_boundaries_hold warns of the others.
-- Only what chance does not explain: scores over all finished dates, with errors clustered by
-- customer, and each p-value times the number of all comparisons made; probabilities at the latest
-- finished date by three standard errors. Where too few came back to judge anything, the row
-- `not_judged` says so: an empty table means that all is well.
-- Errors are about the window of retention_horizon_days. Within one purchase cycle a shop whose
-- customers buy in a rhythm sees those come back last who have just bought, rightly so: a warning.
{{ config(post_hook='{{ print_build_warnings("finding_code") }}') }}
{%- set double = type_double() %}
{%- set string = dbt.type_string() %}
{%- set scores = {
    'recency_score': 'Recency', 'frequency_score': 'Frequency', 'monetary_score': 'Monetary value',
    'rfm_score': 'The composite score',
} %}
{%- set empty_days = dbt.datediff('last_sales.last_sale_date', 'last_windows.end_date', 'day')
    | trim %}
{%- set active = text_literal(var('segment_scheme')) %}
{%- set held = "('" ~ scores.keys() | join("', '") ~ "')" %}
{%- set score_name %}
case dimension
    {% for dimension, name in scores.items() %}
    when '{{ dimension }}' then '{{ name }}'
    {% endfor %}
end
{%- endset %}
with

summary as (

    select *
    from {{ ref('score_validation_summary') }}
    where
        scope = 'pooled'
        and horizon_code in ('horizon', 'cycle')
        and dimension in ('recency_score', 'rfm_score')
        and auc_standard_error > 0

),

areas as (

    select
        *,
        {{ score_name }} as score_name,
        {{ nine_digits('(auc - ' ~ var('min_auc') ~ ') / auc_standard_error') }} as z_value
    from summary

),

falls as (

    select
        *,
        {{ score_name }} as score_name
    from {{ ref('score_retention_validation') }}
    where
        scope = 'pooled'
        and horizon_code in ('horizon', 'cycle')
        and dimension in {{ held }}
        and p_value_of_fall is not null

),

-- The segments of every scheme that claim a place by retention, each against all better ones: one
-- with few customers in between would hide what is wrong around it.
claims as (

    select
        worse.segment_scheme,
        worse.segment_key,
        worse.segment_name,
        better.segment_key as better_key,
        better.segment_name as better_name
    from {{ ref('policy_segments') }} as worse
    inner join {{ ref('policy_segments') }} as better
        on
            worse.segment_scheme = better.segment_scheme
            and worse.expected_retention_rank > better.expected_retention_rank

),

-- Differences are kept once per pair of segments.
differences as (

    select
        horizon_code,
        level as better_key,
        other_level as segment_key,
        rate_difference,
        z_value
    from {{ ref('int_validation_differences') }}
    where scope = 'pooled' and horizon_code in ('horizon', 'cycle')
    union all
    select
        horizon_code,
        other_level as better_key,
        level as segment_key,
        -rate_difference as rate_difference,
        -z_value as z_value
    from {{ ref('int_validation_differences') }}
    where scope = 'pooled' and horizon_code in ('horizon', 'cycle')

),

compared_claims as (

    select
        claims.segment_scheme,
        claims.segment_key,
        claims.segment_name,
        claims.better_key,
        claims.better_name,
        differences.horizon_code,
        differences.rate_difference,
        differences.z_value
    from claims
    inner join differences
        on
            claims.better_key = differences.better_key
            and claims.segment_key = differences.segment_key

),

horizons as (

    select
        horizon_code,
        max(horizon_days) as horizon_days
    from {{ ref('int_validation_windows') }}
    group by horizon_code

),

-- The probabilities as they would have been published at the date at which they are judged.
deciles as (

    select * from {{ ref('propensity_deciles') }}
    where fit_code = 'judged' and is_used

),

last_sales as (

    select max(sale_date) as last_sale_date
    from {{ ref('int_orders') }}

),

-- The current date can lie beyond the last sale (the var as_of_date): who comes back after it is
-- not seen yet.
last_windows as (

    select
        max(as_of_date) as as_of_date,
        max(end_date) as end_date,
        max(horizon_days) as horizon_days
    from {{ ref('int_validation_windows') }}
    where horizon_code = 'horizon'

),

ends as (

    select
        last_windows.as_of_date,
        last_windows.horizon_days,
        last_sales.last_sale_date,
        {{ empty_days }} - 1 as empty_days
    from last_windows
    cross join last_sales

),

-- Without lookback_days orders and revenue of a customer can only pile up, so that only recency is
-- held against the start of the history.
drift as (

    select
        drift.*,
        drift.dimension in (
            select fixed_cut_points.dimension
            from {{ ref('policy_fixed_cut_points') }} as fixed_cut_points
        ) as is_fixed
    from {{ ref('int_score_drift') }} as drift
    where
        drift.{{ at_current_date() }}
        and drift.population_stability_index - drift.index_by_chance
        > {{ var('max_stability_index') }}
        {%- if var('lookback_days') is none %}
        and drift.dimension = 'recency'
        {%- endif %}

),

-- Whether the composite score tells who comes back is the first thing to know: where it cannot be
-- known, nothing else that is missing from this table means that all is well.
not_judged as (

    select
        note,
        case
            when horizon_days is null or customer_count = 0
                then
                    'Set a larger history_periods or a smaller retention_horizon_days, or wait'
                    || ' until the sales reach further'
            when retained_count = 0
                then 'Set a larger retention_horizon_days, or wait for more sales'
            when retained_count = customer_count
                then 'Set a smaller retention_horizon_days'
            when level_count = 1 then 'Look at the values in score_cut_points'
            else
                'Wait for more sales, or set a larger history_periods or another'
                || ' retention_horizon_days'
        end as advice
    from {{ ref('score_validation_summary') }}
    where
        scope = 'pooled'
        and horizon_code = 'horizon'
        and dimension = 'rfm_score'
        and auc_standard_error is null

),

comparisons as (

    select
        'score_tells_nothing' as finding_code,
        {{ dbt.concat(['dimension', "' '", 'horizon_code']) }} as subject,
        horizon_code,
        {{ active }} as segment_scheme,
        {{ dbt.concat([
            'score_name', "' does not tell who comes back within '", number_text('horizon_days'),
            "' days: AUC '", ratio_text('auc', 3), "' ('", ratio_text('auc_low', 3), "' to '",
            ratio_text('auc_high', 3), "'; 0.5 is a coin), and the var min_auc asks for "
            ~ var('min_auc') ~ ". Look for customers who share an id, dates that are not order"
            ~ " dates, or a business in which buying again does not depend on it'",
        ]) }} as message,
        {{ normal_tail('-z_value') }} as p_value
    from areas
    union all
    select
        'retention_falls' as finding_code,
        {{ dbt.concat(['dimension', "' '", 'level', "' '", 'horizon_code']) }} as subject,
        horizon_code,
        {{ active }} as segment_scheme,
        {{ dbt.concat([
            'score_name', "': customers with a score of '", 'level', "' came back within '",
            number_text('horizon_days'), "' days less often than those with '", 'level_before',
            "' on the same dates, by '", percent_text('-change_from_level_before'),
            "' points: more than chance explains. Look at them in score_retention_validation'",
        ]) }} as message,
        p_value_of_fall as p_value
    from falls
    union all
    select
        'claimed_rank_out_of_order' as finding_code,
        {{ dbt.concat([
            'compared_claims.segment_key', "' '", 'compared_claims.better_key', "' '",
            'compared_claims.horizon_code',
        ]) }} as subject,
        compared_claims.horizon_code,
        compared_claims.segment_scheme,
        {{ dbt.concat([
            "'segments.csv claims by expected_retention_rank that '", 'compared_claims.better_name',
            "' come back more often than '", 'compared_claims.segment_name', "' (scheme '",
            'compared_claims.segment_scheme', "'); within '",
            number_text('horizons.horizon_days'), "' days they did so less often, by '",
            percent_text('-compared_claims.rate_difference'),
            "' points. Change the ranks or leave them blank'",
        ]) }} as message,
        case
            when compared_claims.z_value is not null
                then {{ normal_tail('-compared_claims.z_value') }}
            else 1
        end as p_value
    from compared_claims
    inner join horizons
        on compared_claims.horizon_code = horizons.horizon_code

),

-- What an inactive scheme claims is a family of comparisons of its own.
counted as (

    select
        *,
        p_value * count(*) over (partition by segment_scheme) as adjusted_p_value
    from comparisons

)

select
    finding_code,
    case
        when horizon_code = 'horizon' and segment_scheme = {{ active }} then 'error'
        else 'warning'
    end as severity,
    subject,
    {{ dbt.concat([
        'message',
        "case when horizon_code = 'cycle' then '. The window is one purchase cycle, in which who"
        ~ " has just bought need not be due yet' else '' end",
    ]) }} as message
from counted
where adjusted_p_value < 0.05
union all
select
    'probability_out_of_order' as finding_code,
    'error' as severity,
    {{ dbt.concat(["'decile '", 'cast(decile as ' ~ string ~ ')']) }} as subject,
    {{ dbt.concat([
        "'Purchase probability: of the customers of decile '", 'cast(decile as ' ~ string ~ ')',
        "' (10 = the most likely tenth) '", percent_text('retention_rate'), "' % came back after '",
        'cast(as_of_date as ' ~ string ~ ')', "', fewer than of the decile below ('",
        percent_text('retention_rate - change_from_decile_below'),
        "' %), by more than chance explains. Look at propensity_deciles'",
    ]) }} as message
from deciles
where is_out_of_order
union all
select
    'probability_off' as finding_code,
    'warning' as severity,
    {{ dbt.concat(["'decile '", 'cast(decile as ' ~ string ~ ')']) }} as subject,
    {{ dbt.concat([
        "'Purchase probability: for decile '", 'cast(decile as ' ~ string ~ ')',
        "' (10 = the most likely tenth) '", percent_text('mean_probability'), "' % were predicted and '",
        percent_text('retention_rate'), "' % came back after '",
        'cast(as_of_date as ' ~ string ~ ')',
        "'. Take the level, and money made of it, with care: the season or the'",
        "' customers may have been others than those that the model has learnt from'",
    ]) }} as message
from deciles
where is_off
union all
select
    'boundaries_moved' as finding_code,
    'warning' as severity,
    {{ dbt.concat(['dimension', "' '", 'score_group']) }} as subject,
    {{ dbt.concat(what_moved('drift') + [
        "case when score_group = '" ~ whole_base() ~ "' then '. '"
        ~ " else " ~ dbt.concat(["' in the score group '", 'score_group', "'. '"]) ~ " end",
        after_a_move('is_fixed'),
        "'. Compare the dates in score_cut_points'",
    ]) }} as message
from drift
union all
select
    'sales_end_early' as finding_code,
    'warning' as severity,
    'horizon' as subject,
    {{ dbt.concat([
        "'The sales end on '", 'cast(last_sale_date as ' ~ string ~ ')', "', and of the '",
        number_text('horizon_days'), "' days after '", 'cast(as_of_date as ' ~ string ~ ')',
        "' the last '", number_text('empty_days'), "' have none: whoever comes back then counts as"
        ~ " not retained. Load the sales, or set as_of_date to the day after the last one'",
    ]) }} as message
from ends
where empty_days * 10 > horizon_days
union all
select
    'not_judged' as finding_code,
    'warning' as severity,
    'rfm_score horizon' as subject,
    {{ dbt.concat([
        "'The scores have NOT been judged: nobody knows whether they tell who comes back within "
        ~ var('retention_horizon_days') ~ " days. Reason: '", 'note', "'. What to do: '", 'advice',
    ]) }} as message
from not_judged
