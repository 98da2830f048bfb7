"""Every combination of optional sources builds: columns stay, null where a source is missing."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pandas as pd

from python_checks import behaviour_cases
from python_checks.dbt_project import FULL, Build, Project, Run, builds, object_frame, on
from python_checks.test_behaviour_agree import FEW_CUSTOMERS, TABLES, change_thresholds

OPTIONAL = {
    "customers": "dim_customers",
    "products": "dim_products",
    "engagement_events": "fact_engagement_events",
    "campaign_contacts": "fact_campaign_contacts",
    "experiment_assignments": "fact_experiment_assignments",
}
# Columns that have a value only by a source: relation → source → its columns. All other columns
# of these relations have one without any optional source.
OWED_TO = {
    "rfm_marts.customer_segments": {
        "customers": ("country", "created_date"),
        "products": ("top_category", "category_count", "is_single_category"),
        "engagement_events": (
            "engagement_score",
            "days_since_last_event",
            "days_since_last_engagement",
            "event_count_30d",
            "event_count_90d",
            "event_trend",
            "is_engaged_not_buying",
            "is_buying_not_engaged",
        ),
    },
}
# Relations that have rows only by a source.
FILLED_BY = {
    "rfm_marts.customer_engagement": "engagement_events",
    "rfm_intermediate.int_customer_categories": "products",
    "rfm_marts.next_best_categories": "products",
    "rfm_marts.customer_next_best_category": "products",
    "rfm_marts.campaign_lift": "experiment_assignments",
}
ALL_SOURCES = "+".join(OPTIONAL)
# RFM_FULL=1: all of them; otherwise none, each alone, and all.
COMBINATIONS = [
    "+".join(chosen)
    for count in range(len(OPTIONAL) + 1)
    for chosen in combinations(OPTIONAL, count)
    if FULL or count in (0, 1, len(OPTIONAL))
]


ASSIGNMENT_TYPES = {
    "experiment_code": "varchar",
    "customer_id": "varchar",
    "arm": "varchar",
    "is_control": "boolean",
    "assigned_at": "timestamp",
}


def assignments(sales: pd.DataFrame) -> pd.DataFrame:
    """Every customer in an experiment of two arms, from the first sale on."""
    customers = sorted(set(sales["customer_id"].dropna()))
    first = pd.Timestamp(sales["sale_date"].dropna().min()).to_pydatetime()
    rows = [
        ("e", customer, "mail" if place % 2 else "none", not place % 2, first)
        for place, customer in enumerate(customers)
    ]
    return object_frame(list(ASSIGNMENT_TYPES), rows)


def build_with(project: Project, combination: str) -> tuple[Run, dict[str, Any]]:
    """Land sales and these sources only, build with every data test; what the marts hold."""
    used = [source for source in OPTIONAL if source in combination.split("+")]
    case = behaviour_cases.behaviour_case(customers=120)
    for table in ("fact_sales", *(OPTIONAL[source] for source in used)):
        if table == OPTIONAL["experiment_assignments"]:
            project.land(table, assignments(case.sales), ASSIGNMENT_TYPES)
            continue
        entity = TABLES[table]
        project.land(table, getattr(case, entity), behaviour_cases.COLUMN_TYPES[entity])
    change_thresholds(project, FEW_CUSTOMERS)
    run = project.dbt(
        "build",
        *("--exclude-resource-type", "unit_test"),
        vars={
            "latest_plausible_date": behaviour_cases.LATEST_PLAUSIBLE_DATE.isoformat(),
            **{f"using_{source}": source in used for source in OPTIONAL},
        },
    )
    if not run.success:
        return run, {}
    columns = project.query(
        "select table_name, column_name, data_type from information_schema.columns"
        " where table_schema = 'rfm_marts'"
    )
    contract = project.read("rfm_marts.customer_rfm")
    found = {
        "columns": set(columns.itertuples(index=False, name=None)),
        "contract": contract.sort_values("customer_id").reset_index(drop=True),
        "filled": {
            relation: set(filter(lambda name: rows[name].notna().any(), rows.columns))
            for relation in OWED_TO
            for rows in [project.read(relation)]
        },
        "rows": {relation: len(project.read(relation)) for relation in FILLED_BY},
    }
    return run, found


BUILDS = {name: on("duckdb", build_with, name) for name in COMBINATIONS}


@builds(*BUILDS.values())
def test_a_missing_source_leaves_null_columns(build: Build, built, under_way):
    (combination,), (run, found) = build.arguments, built
    assert run.success, run.problems
    _, complete = under_way(BUILDS[ALL_SOURCES]).result()
    assert found["columns"] == complete["columns"]

    used = combination.split("+")
    for relation, owed in OWED_TO.items():
        missing = {
            column for source, names in owed.items() if source not in used for column in names
        }
        assert found["filled"][relation] == complete["filled"][relation] - missing
    for relation, source in FILLED_BY.items():
        assert bool(found["rows"][relation]) == (source in used), relation

    # Scores are on sales: what else is known about customers does not move them.
    pd.testing.assert_frame_equal(found["contract"], complete["contract"])
