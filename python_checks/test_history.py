"""History: a series of builds, each after new data, ends in the tables of one full refresh."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd

from python_checks import behaviour_cases
from python_checks.behaviour_cases import AS_OF_DATE, COLUMN_TYPES
from python_checks.dbt_project import PROJECT_ROOT, TARGETS, Project, builds, on
from python_checks.expected_marts import plain
from python_checks.test_behaviour_agree import TABLES

MARTS = ("customer_segment_history", "segment_transitions", "segment_migration")
SLICED = tuple(
    path.stem
    for path in sorted((PROJECT_ROOT / "models/intermediate").glob("*.sql"))
    if "config(**sliced(" in path.read_text()
)
TEN_DATES = [
    (pd.Timestamp(AS_OF_DATE).replace(day=1) - pd.DateOffset(months=back)).date()
    for back in reversed(range(10))
]


def relations(project: Project) -> dict[str, pd.DataFrame]:
    """Every sliced table and every mart of the history, in one order."""
    names = [f"rfm_intermediate.{name}" for name in SLICED]
    names += [f"rfm_marts.{name}" for name in MARTS]
    found = {}
    for name in names:
        rows = plain(project.read(name))
        text = rows.astype(str).agg("|".join, axis=1)
        found[name] = rows.iloc[text.argsort(kind="stable")].reset_index(drop=True)
    return found


def build(project: Project, day: dt.date, *arguments: str, **more: Any) -> None:
    given = {
        "latest_plausible_date": behaviour_cases.LATEST_PLAUSIBLE_DATE.isoformat(),
        "using_customers": True,
        "using_products": True,
        "using_engagement_events": True,
        "using_campaign_contacts": True,
        "history_periods": 4,
        "as_of_date": day.isoformat(),
        **more,
    }
    run = project.dbt("run", "--exclude", "build_warnings", "marts.reporting", *arguments, vars=given)
    assert run.success, run.problems


def build_series(project: Project) -> list[dict[str, pd.DataFrame]]:
    """[after ten builds at successive grid dates, after a full refresh at the last of them]."""
    case = behaviour_cases.behaviour_case(customers=150)
    for table, entity in TABLES.items():
        project.land(table, getattr(case, entity), COLUMN_TYPES[entity])
    for day in TEN_DATES:
        build(project, day)
    series = relations(project)
    build(project, TEN_DATES[-1], "--full-refresh")
    return [series, relations(project)]


@builds(*(on(target, build_series) for target in TARGETS))
def test_ten_builds_are_one_full_refresh(built):
    series, refreshed = built
    for name, rows in refreshed.items():
        assert len(rows), name
        pd.testing.assert_frame_equal(series[name], rows, obj=name)
