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
