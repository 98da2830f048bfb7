"""Every mart, every column: PostgreSQL and Spark against DuckDB, of the same rows of all six sources.

Needs `make setup-spark`. Without pyspark the checks of Spark are skipped, unless RFM_SPARK=1 says that
they must run (`make test-spark` says so).

`hard`: generated customers with ids in mixed case, floating-point money, nulls, experiments. `demo`:
200 households of the demo, with every test of the data.
"""

from __future__ import annotations

import datetime as dt
import functools
import os
from typing import Any

import pandas as pd
import pytest

from python_checks import behaviour_cases, hard_cases, load_demo, spark_session
from python_checks.behaviour_cases import AS_OF_DATE, COLUMN_TYPES, BehaviourCase
from python_checks.dbt_project import FULL, PROJECT_ROOT, Build, Project, object_frame, on
from python_checks.expected_marts import differences, plain, read_policy
from python_checks.test_behaviour_agree import (
    FEW_CUSTOMERS,
    TABLES,
    change_thresholds,
    the_vars,
)

SPARK_MUST_RUN = os.environ.get("RFM_SPARK") == "1"
needs_spark = pytest.mark.skipif(
    not spark_session.is_installed() and not SPARK_MUST_RUN,
    reason="Spark is not installed: make setup-spark",
)
MARTS = {path.stem for path in (PROJECT_ROOT / "models/marts").glob("*/*.sql")}
CASES = ("hard", "demo")
CUSTOMERS = 560
HOUSEHOLDS = 200
UNTIDY = hard_cases.untidy_text()
FLOATS = {"float_ids": hard_cases.float_ids(), "non_finite": hard_cases.non_finite_doubles()}
STAGING = ("stg_sales", "stg_sales_rejected")
USED = ("customers", "products", "engagement_events", "campaign_contacts")
HOLDOUTS = (
    "segment_test,,lifecycle,champions,,0.5,one,{day},,5,A segment",
    "everybody,,,,true,0.2,all,{day},,5,The global one",
)

Marts = dict[str, pd.DataFrame]
Keys = dict[str, tuple[str, ...]]


def add_holdouts(project: Project, day: dt.date) -> None:
    """Experiments of our own that begin on the day."""
    with (project.seeds / "holdout_policy.csv").open("a", encoding="utf-8") as file:
        file.writelines(line.format(day=day) + "\n" for line in HOLDOUTS)


def assignments(case: BehaviourCase) -> pd.DataFrame:
    """Two experiments: with three arms and segments of the user's own, and one that is too young."""
    arms = ("control", "mail", "Mail")
    rows = [
        (code, customer, arms[number % 3], number % 3 == 0, day, segment, None, 1 / 3)
        for code, day, step in (
            ("autumn", AS_OF_DATE - dt.timedelta(110), 1),
            ("late", AS_OF_DATE - dt.timedelta(5), 4),
        )
        for number, customer in enumerate(sorted(case.customer_ids)[::step])
        for segment in [(None, "North", "champions")[number % 5 % 3]]
    ]
    return object_frame(list(ASSIGNMENT_TYPES), rows)


ASSIGNMENT_TYPES = {
    "experiment_code": "varchar",
    "customer_id": "varchar",
    "arm": "varchar",
    "is_control": "boolean",
    "assigned_at": "date",
    "segment_code": "varchar",
    "pre_period_revenue": "double precision",
    "planned_share": "double precision",
}


def build_hard(project: Project) -> Any:
    """Enough customers that a model is fitted and judged, and thresholds that leave proposals."""
    case = behaviour_cases.behaviour_case(
        customers=CUSTOMERS, event_types=read_policy().event_types
    )
    for table, entity in TABLES.items():
        rows = getattr(case, entity)
        types = {column: COLUMN_TYPES[entity][column] for column in rows.columns}
        if entity == "sales":
            types["revenue"] = "double precision"
            revenue = [None if money is None else float(money) for money in rows["revenue"]]
            rows = rows.assign(revenue=revenue)
        project.land(table, rows, types)
    project.land("fact_experiment_assignments", assignments(case), ASSIGNMENT_TYPES)
    add_holdouts(project, AS_OF_DATE)
    change_thresholds(project, FEW_CUSTOMERS)
    with (project.seeds / "segment_overrides.csv").open("a", encoding="utf-8") as file:
        file.write(f"{case.sales['customer_id'][0]},lifecycle,champions,why,who,2023-06-01,\n")
    # Made-up customers need not keep what the segments claim.
    more = {"using_experiment_assignments": True, "validation_severity": "warn"}
    return project.dbt(
        *("build", "--exclude-resource-type", "unit_test", "test"),
        vars=the_vars("all_sources") | more,
    )


def build_demo(project: Project) -> Any:
    project.load(functools.partial(load_demo.load, only_customers=HOUSEHOLDS))
    add_holdouts(project, dt.date(2018, 1, 1))
    return project.dbt(
        *("build", "--exclude-resource-type", "unit_test"),
        vars={f"using_{source}": True for source in USED},
    )


def build_staging(project: Project) -> Marts:
    """The accepted and the rejected rows of what people write, and of floating-point columns."""
    found = {}
    for name, case in {"untidy": UNTIDY, **FLOATS}.items():
        project.land("fact_sales", case.sales, case.column_types)
        run = project.dbt(
            *("run", "--select", "base_sales", "stg_sales_classified", *STAGING),
            vars={"latest_plausible_date": hard_cases.LATEST_PLAUSIBLE_DATE.isoformat()},
        )
        assert run.success, run.problems
        for model in STAGING:
            rows = plain(project.read(f"rfm_staging.{model}"))
            # Every engine writes a floating-point number in its own way: NaN, nan; 1e+300, 1E300.
            own = ["revenue_text"] if name in FLOATS and "revenue_text" in rows else []
            found[f"{name} {model}"] = rows.drop(columns=own)
    return found


def build_case(project: Project, name: str) -> tuple[Marts, Keys]:
    """({mart: rows}, {mart: key})."""
    run = {"hard": build_hard, "demo": build_demo}[name](project)
    assert run.success, run.problems
    if project.target == "spark":
        # The tables that long chains are made in (macros/types/spark_steps.sql) are gone.
        for schema in ("rfm_intermediate", "rfm_marts"):
            left = project.query(f"show tables in {schema} like '*__*'")
            assert left.empty, left["tableName"].tolist()
    return {mart: plain(project.read(f"rfm_marts.{mart}")) for mart in sorted(MARTS)}, project.keys()


ENGINES = ("duckdb", "postgres", "spark")
MART_BUILDS: dict[tuple[str, str], Build] = {
    (engine, case): on(engine, build_case, case) for engine in ENGINES for case in CASES
}
STAGING_BUILDS: dict[str, Build] = {engine: on(engine, build_staging) for engine in ENGINES}


def held_against_duckdb(builds_by_engine: list[tuple[str, Build]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "build",
        [
            pytest.param(build, marks=needs_spark if engine == "spark" else ())
            for engine, build in builds_by_engine
            if engine != "duckdb"
        ],
        ids=str,
    )


def _in_order(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Columns in the order of the other engine: Spark puts the date of a slice last."""
    assert sorted(rows.columns) == sorted(columns)
    return object_frame(columns, list(rows[columns].itertuples(index=False, name=None)))


# PostgreSQL has the demo in the full run only, for time: the generated rows are the harder ones.
@held_against_duckdb([
    (engine, build)
    for (engine, case), build in MART_BUILDS.items()
    if (engine, case) != ("postgres", "demo") or FULL
])
def test_every_mart_is_the_same(under_way, build, built):
    on_duckdb, keys = under_way(MART_BUILDS["duckdb", *build.arguments]).result()
    marts, _ = built
    found = {
        mart: differences(rows, _in_order(marts[mart], list(rows.columns)), keys.get(mart))
        for mart, rows in on_duckdb.items()
    }
    assert {mart: difference for mart, difference in found.items() if difference} == {}


@held_against_duckdb(list(STAGING_BUILDS.items()))
def test_every_sale_is_read_the_same(under_way, built):
    on_duckdb = under_way(STAGING_BUILDS["duckdb"]).result()
    found = {
        name: differences(rows, _in_order(built[name], list(rows.columns)))
        for name, rows in on_duckdb.items()
    }
    assert {name: difference for name, difference in found.items() if difference} == {}
    assert len(on_duckdb["untidy stg_sales_rejected"]) > 20


@pytest.mark.skipif(not FULL and not SPARK_MUST_RUN, reason="make test-full, make test-spark")
def test_the_cases_reach_every_mart(under_way):
    found = {case: under_way(MART_BUILDS["duckdb", case]).result() for case in CASES}
    marts, keys = {case: marts for case, (marts, _) in found.items()}, found["hard"][1]
    # Lines of the timeline have no key: they are compared as a bag.
    assert MARTS - set(keys) == {"customer_activity"}
    assert {mart for mart in MARTS if all(marts[case][mart].empty for case in CASES)} == set()
    hard = marts["hard"]
    assert len(hard["customer_rfm"]) > 100
    assert len(hard["customer_segment_history"]) > 300
    assert hard["campaign_lift"]["retention_lift"].notna().any()
    assert hard["experiment_power"]["detectable_lift"].notna().any()
    assert hard["propensity_scorecard"]["coefficient"].notna().any()
    assert hard["propensity_performance"]["auc"].notna().any()
