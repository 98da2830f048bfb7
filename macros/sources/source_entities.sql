{#- What each source may hold: our column name, its kind, and whether the build can do without it.
    Kinds: id, date, timestamp, money, number, share (a number with nine digits), boolean, consent (a
    boolean that can be unknown), text. -#}
{% macro source_entities() %}
    {{ return({
        'sales': {
            'default_table': 'fact_sales',
            'optional': false,
            'columns': {
                'customer_id': {'kind': 'id', 'required': true},
                'sale_date': {'kind': 'date', 'required': true},
                'revenue': {'kind': 'money', 'required': true},
                'sale_id': {'kind': 'id'},
                'order_id': {'kind': 'id'},
                'product_id': {'kind': 'id'},
                'channel': {'kind': 'text'},
                'quantity': {'kind': 'number'},
                'is_return': {'kind': 'boolean'},
                'discount_amount': {'kind': 'money'},
                'loaded_at': {'kind': 'timestamp'},
            },
        },
        'customers': {
            'default_table': 'dim_customers',
            'optional': true,
            'columns': {
                'customer_id': {'kind': 'id', 'required': true},
                'created_at': {'kind': 'date'},
                'country': {'kind': 'text'},
                'email': {'kind': 'text'},
                'phone': {'kind': 'text'},
                'is_internal': {'kind': 'boolean'},
                'email_consent': {'kind': 'consent'},
                'sms_consent': {'kind': 'consent'},
                'ads_consent': {'kind': 'consent'},
            },
        },
        'products': {
            'default_table': 'dim_products',
            'optional': true,
            'columns': {
                'product_id': {'kind': 'id', 'required': true},
                'product_name': {'kind': 'text'},
                'category': {'kind': 'text'},
                'margin_rate': {'kind': 'number'},
            },
        },
        'engagement_events': {
            'default_table': 'fact_engagement_events',
            'optional': true,
            'columns': {
                'event_id': {'kind': 'id', 'required': true},
                'customer_id': {'kind': 'id', 'required': true},
                'event_at': {'kind': 'date', 'required': true},
                'event_type': {'kind': 'text', 'required': true},
                'channel': {'kind': 'text'},
                'event_value': {'kind': 'money'},
                'loaded_at': {'kind': 'timestamp'},
            },
        },
        'campaign_contacts': {
            'default_table': 'fact_campaign_contacts',
            'optional': true,
            'columns': {
                'contact_id': {'kind': 'id', 'required': true},
                'campaign_id': {'kind': 'id', 'required': true},
                'customer_id': {'kind': 'id', 'required': true},
                'contacted_at': {'kind': 'date', 'required': true},
                'channel': {'kind': 'text'},
                'contact_cost': {'kind': 'money'},
                'incentive_cost': {'kind': 'money'},
            },
        },
        'experiment_assignments': {
            'default_table': 'fact_experiment_assignments',
            'optional': true,
            'columns': {
                'experiment_code': {'kind': 'id', 'required': true},
                'customer_id': {'kind': 'id', 'required': true},
                'arm': {'kind': 'text', 'required': true},
                'is_control': {'kind': 'consent', 'required': true},
                'assigned_at': {'kind': 'date', 'required': true},
                'segment_code': {'kind': 'text'},
                'pre_period_revenue': {'kind': 'money'},
                'planned_share': {'kind': 'share'},
            },
        },
    }) }}
{% endmacro %}


{#- Whether the project reads this entity at all: sales always, the others by var
    using_<entity>. -#}
{% macro is_using(entity) %}
    {{ return(not source_entities()[entity]['optional'] or var('using_' ~ entity, false)) }}
{% endmacro %}


{#- The table that holds an entity, as the vars name it. Not source(): checks run outside of any
    model. -#}
{% macro source_relation(entity) %}
    {{ return(api.Relation.create(
        database=target.get('database'),
        schema=var('source_schema'),
        identifier=var(entity ~ '_table', source_entities()[entity]['default_table'])
    )) }}
{% endmacro %}
