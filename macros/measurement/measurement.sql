{#- Sentences of a note, those whose condition holds, with '. ' between them; null for none.
    `sentences`: pairs of a condition and a text expression. -#}
{% macro notes(sentences) -%}
    nullif(
        substring(
            {%- for condition, text in sentences %}
            {{ '|| ' if not loop.first }}coalesce(
                case when {{ condition }} then '. ' || ({{ text }}) end, ''
            )
            {%- endfor %},
            3
        ),
        ''
    )
{%- endmacro %}


{#- What contacts cost: null where no contact of the campaign is known, where nobody was contacted,
    where one of the contacts has no cost at all, and where all of them cost 0. -#}
{% macro known_cost(has_contacts, contact_count, costless_contact_count, cost) -%}
    case
        when {{ has_contacts }} and {{ contact_count }} > 0 and {{ costless_contact_count }} = 0
            then nullif({{ cost }}, 0)
    end
{%- endmacro %}


{#- Whether two arms have customers enough for tests that go by the normal distribution: 30 in each,
    and five expected in each of the four cells (retained or not, arm or control). In whole numbers:
    five is five. -#}
{% macro has_enough_customers(treated_count, control_count, retained_count) -%}
    {%- set all_count = '(' ~ treated_count ~ ' + ' ~ control_count ~ ')' -%}
    least({{ treated_count }}, {{ control_count }}) >= 30
    and least({{ treated_count }}, {{ control_count }})
    * least({{ retained_count }}, {{ all_count }} - ({{ retained_count }})) >= 5 * {{ all_count }}
{%- endmacro %}


{#- Whether more than 5 % of the customers blur a lift: controls who were contacted, customers who are
    in another experiment. -#}
{% macro is_above_limit(count, all_count) -%}
    20 * ({{ count }}) > {{ all_count }}
{%- endmacro %}


{#- Whether the sizes of arms are none that the planned shares would give: by chance so in one of a
    thousand experiments. -#}
{% macro is_mismatch(srm_p_value) -%}
    coalesce({{ srm_p_value }} < 0.001, false)
{%- endmacro %}


{#- What a comparison says, in a word; null where there is none. Sizes that do not fit the plan come
    first: nothing is to be believed then. -#}
{% macro verdict_word(p_value) -%}
    case
        when not is_comparable then cast(null as {{ dbt.type_string() }})
        when is_mismatched then 'not to be trusted'
        when is_adequate and {{ p_value }} < 0.05 and retention_lift_low > 0 then 'works'
        when is_adequate and {{ p_value }} < 0.05 and retention_lift_high < 0 then 'harms'
        else 'cannot tell yet'
    end
{%- endmacro %}


{#- The sentences of a note on the verdict, and what the sizes can and cannot tell. -#}
{% macro verdict_sentences() %}
    {%- set beginning = "verdict = 'cannot tell yet' and " -%}
    {{- return([
        ["is_mismatched",
            "'The sizes of the arms do not fit the planned shares: the lift cannot be trusted'"],
        [beginning ~ "has_retention and not has_enough_customers", "'Too few customers to judge'"],
        [beginning ~ "is_adequate and retention_lift_high > 0", dbt.concat([
            "'A rise above '", points_text('retention_lift_high'), "' points can be ruled out'",
        ])],
        [beginning ~ "is_adequate and retention_lift_high <= 0",
            "'Any rise can be ruled out'"],
        [beginning ~ "detectable_lift is not null", dbt.concat([
            "'These sizes find a lift of '", points_text('detectable_lift'),
            "' points or more (80 % power)'",
        ])],
        [beginning ~ "has_retention and detectable_lift is null",
            "'These sizes find no lift at 80 % power however large'"],
    ]) -}}
{% endmacro %}


{#- A day in a sentence: 2026-01-31. -#}
{% macro day_text(expression) -%}
    cast({{ expression }} as {{ dbt.type_string() }})
{%- endmacro %}


{#- The sentence of a note about customers who were assigned before the history begins, and for whom
    no segment is given. -#}
{% macro unplaced_sentence(count) %}
    {{- return([count ~ " > 0", dbt.concat([
        "'The segment of '", customers_text(count), "' is not known ('",
        "coalesce('the history begins on ' || " ~ day_text('history_begins_on')
        ~ ", 'there is no history')", "')'",
        "case when assignment_origin = 'experiment_assignments' then ': give segment_code'"
        ~ " else '' end",
    ])]) -}}
{% endmacro %}
