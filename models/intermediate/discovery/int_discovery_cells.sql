-- Grain: one row per combination of recency, frequency and monetary score that a customer has at
-- the current date: at most score_tiles³ = 1,000 cells, so that what follows does not grow with
-- customers. Axes are means of logarithms over the customers of the cell, standardised over all
-- customers; higher is better. `spread`: mean squared distance of the cell's customers from its
-- centre.
{%- set axes = discovery_axes() %}
{%- set double = type_double() %}
with

customers as (

    select
        {% for axis, (measure, sign) in axes.items() %}
        cast(
            {{ sign }} * ln(
                1 + greatest(cast(metrics.{{ measure }} as {{ double }}), cast(0 as {{ double }}))
            ) as numeric(18, 9)
        ) as {{ axis }},
        {% endfor %}
        scores.recency_score,
        scores.frequency_score,
        scores.monetary_score
    from {{ ref('int_rfm_scores') }} as scores
    inner join {{ ref('int_customer_metrics') }} as metrics
        on
            scores.as_of_date = metrics.as_of_date
            and scores.customer_id = metrics.customer_id
    where scores.{{ at_current_date() }}

),

-- Sums of decimals do not depend on the order of the rows.
scales as (

    select
        {% for axis in axes %}
        cast(sum({{ axis }}) as {{ double }}) / count(*) as {{ axis }}_mean,
        {% endfor %}
        {% for axis in axes %}
        cast(sum({{ axis }} * {{ axis }}) as {{ double }}) / count(*) as {{ axis }}_square
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from customers

),

deviations as (

    select
        {% for axis in axes %}
        nullif(
            sqrt(
                greatest(
                    {{ nine_digits(
                        axis ~ '_square - ' ~ axis ~ '_mean * ' ~ axis ~ '_mean'
                    ) }},
                    0
                )
            ),
            0
        ) as {{ axis }}_deviation,
        {% endfor %}
        {% for axis in axes %}
        {{ axis }}_mean{% if not loop.last %},{% endif %}
        {% endfor %}
    from scales

),

cells as (

    select
        recency_score,
        frequency_score,
        monetary_score,
        count(*) as customer_count,
        {% for axis in axes %}
        cast(sum({{ axis }}) as {{ double }}) / count(*) as {{ axis }},
        cast(sum({{ axis }} * {{ axis }}) as {{ double }}) / count(*) as {{ axis }}_square
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from customers
    group by recency_score, frequency_score, monetary_score

)

select
    cast(
        10000 * cells.recency_score + 100 * cells.frequency_score + cells.monetary_score as integer
    ) as cell_id,
    cells.recency_score,
    cells.frequency_score,
    cells.monetary_score,
    cast(cells.customer_count as integer) as customer_count,
    {% for axis in axes %}
    {{ nine_digits(
        'coalesce((cells.' ~ axis ~ ' - deviations.' ~ axis ~ '_mean) / deviations.' ~ axis
        ~ '_deviation, 0)'
    ) }} as {{ axis }},
    {% endfor %}
    {%- set spreads = [] %}
    {%- for axis in axes %}
    {%- do spreads.append(
        'coalesce((cells.' ~ axis ~ '_square - cells.' ~ axis ~ ' * cells.' ~ axis
        ~ ') / (deviations.' ~ axis ~ '_deviation * deviations.' ~ axis ~ '_deviation), 0)'
    ) %}
    {%- endfor %}
    {{ nine_digits('greatest(' ~ spreads | join(' + ') ~ ', 0)') }} as spread
from cells
cross join deviations
