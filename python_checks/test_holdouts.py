"""Holdouts: who is assigned when and to which arm, derived again over successive builds; nobody
held out on a list; what a running experiment must not change."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any

import pandas as pd
import pytest

from python_checks.dbt_project import TARGETS, VALIDATION, Project, builds, on
from python_checks.test_validation import FIRST, shop

START = FIRST + dt.timedelta(400)
DAYS = [START + dt.timedelta(12 * number) for number in range(6)]
# Ids as sources write them: each decides alike on every engine.
ODD_IDS = ["O'Brien", "ключ", "007", "a|b", "søren 😀", "C:\\temp", "1e5", "-", "a:b", "ß%_"]
HEADER = (
    "experiment_code,audience_code,segment_scheme,segment_code,is_global,holdout_share,salt,"
    "valid_from,valid_to,minimum_size,rationale"
)
EXPERIMENTS = [
    f"everybody,,,,true,0.1,all of us,{DAYS[0]},,50,Programme",
    f"silent_mail,silent,,,,0.3,silent 1,{DAYS[0]},{DAYS[2]},20,Ends after the third build",
    f"promising,,lifecycle,promising,no,0.5,promising é,{DAYS[1]},,20,A segment",
    f"silent_again,silent,,,,0.0001,silent 2,{DAYS[3]},,20,After the first one",
    f"regulars,regular,lifecycle,loyal_customers,,0.25,regulars,{DAYS[1]},,20,Audience and segment",
    f"other_scheme,,core_five,champions,,0.5,other,{DAYS[0]},,20,Rests",
]
AUDIENCES = """,silent,Silent,,lapsing,,,,,,push,false,10,,,30,,,why
,gone,Gone,,lapsed,,,,,,push,false,20,,,30,,,why
,regular,Regular,,active,,,,,,email,false,10,,,30,,,why
,anybody,Anybody,,,,,,,,push,false,90,,,30,,,why
"""


def the_shop() -> pd.DataFrame:
    sales = shop(350, 11)
    for number, name in enumerate(ODD_IDS):
        sales["customer_id"] = sales["customer_id"].replace(f"c{7 * number:05d}", name)
    return sales


def write_policy(project: Project, experiments: list[str]) -> None:
    lists = project.seeds / "audience_definitions.csv"
    lists.write_text(lists.read_text().splitlines()[0] + "\n" + AUDIENCES)
    text = "\n".join([HEADER, *experiments]) + "\n"
    (project.seeds / "holdout_policy.csv").write_text(text, encoding="utf-8")
    run = project.dbt("seed", "--select", "audience_definitions", "holdout_policy")
    assert run.success, run.problems


def land(project: Project) -> None:
    types = {"customer_id": "varchar", "sale_date": "date", "revenue": "decimal(18, 2)"}
    project.land("fact_sales", the_shop(), types)


def build(project: Project, day: dt.date, *arguments: str) -> Any:
    return project.dbt(
        "run",
        *("--exclude", "build_warnings", "marts.reporting", *VALIDATION, *arguments),
        vars={"latest_plausible_date": "2030-01-01", "as_of_date": day.isoformat()},
    )


def state(project: Project) -> dict[str, list[tuple[Any, ...]]]:
    """What the derivation needs, and what it is compared with."""
    queries = {
        "log": "select experiment_code, customer_id, arm, is_control, bucket, segment_key,"
        " audience_code, holdout_share, salt, is_global, assigned_on"
        " from rfm_marts.holdout_assignments",
        "members": "select audience_code, customer_id from rfm_marts.audience_members",
        "fits": "select audience_code, customer_id, segment_key, suppression_reason"
        " from rfm_intermediate.int_audience_fits",
        "customers": "select customer_id, published_segment_key from rfm_marts.customer_segments",
        "suppressions": "select audience_code, suppression_reason, customer_count"
        " from rfm_marts.audience_suppressions",
        "removals": "select customer_id, change_reason, as_of_date from rfm_marts.audience_changes"
        " where change_type = 'remove'",
    }
    return {
        name: sorted(project.query(query).itertuples(index=False, name=None), key=repr)
        for name, query in queries.items()
    }


def build_series(project: Project) -> dict[str, Any]:
    """The state after each of the days, and after runs that must not assign anybody."""
    land(project)
    write_policy(project, EXPERIMENTS)
    series = []
    for day in DAYS:
        run = build(project, day)
        assert run.success, run.problems
        series.append(state(project))
    others = []
    for day, arguments in (
        (DAYS[-1], ()),
        (DAYS[-1] - dt.timedelta(1), ()),
        (DAYS[-1], ("--full-refresh",)),
    ):
        run = build(project, day, *arguments)
        assert run.success, run.problems
        others.append(state(project))
    tests = project.dbt(
        "test", "--select", "holdout_assignments", "int_holdout_customers", "audience_changes",
        *("assert_nobody_suppressed_is_in_an_audience", "--indirect-selection", "cautious"),
        *("--exclude-resource-type", "unit_test"),
        vars={"latest_plausible_date": "2030-01-01", "as_of_date": DAYS[-1].isoformat()},
    )
    assert tests.success, tests.problems
    return {"series": series, "others": others}


def bucket(salt: str, customer: str) -> int:
    return int(hashlib.md5(f"{salt}:{customer}".encode()).hexdigest()[:8], 16) % 10000


def experiments() -> list[dict[str, Any]]:
    rows = [dict(zip(HEADER.split(","), row.split(","), strict=True)) for row in EXPERIMENTS]
    for row in rows:
        row["from"] = dt.date.fromisoformat(row["valid_from"])
        row["to"] = dt.date.fromisoformat(row["valid_to"]) if row["valid_to"] else dt.date.max
        row["is_global"] = row["is_global"] == "true"
    return rows


def assign(
    day: dt.date, found: dict[str, list[tuple[Any, ...]]], log: dict[tuple[str, str], Any]
) -> set[tuple[str, str]]:
    """Walks through the customers of a day and assigns who is new, global experiments first."""
    added = set()
    order = sorted(
        experiments(), key=lambda row: (not row["is_global"], row["from"], row["experiment_code"])
    )
    running = {row["experiment_code"]: row for row in order if row["to"] >= day}
    fits = {(audience, customer): segment for audience, customer, segment, why in found["fits"] if not why}
    for experiment in order:
        code, audience = experiment["experiment_code"], experiment["audience_code"]
        segment = experiment["segment_code"] and (
            f"{experiment['segment_scheme']}:{experiment['segment_code']}"
        )
        if not experiment["from"] <= day <= experiment["to"]:
            continue
        if experiment["segment_scheme"] not in ("", "lifecycle"):
            continue
        for customer, now in found["customers"]:
            if (code, customer) in log or (segment and segment != now):
                continue
            if audience and (audience, customer) not in fits:
                continue
            others = [
                (running[other]["is_global"], row[0])
                for (other, name), row in log.items()
                if name == customer and other in running
            ]
            if not experiment["is_global"] and any(
                not is_global or arm == "holdout" for is_global, arm in others
            ):
                continue
            place = bucket(experiment["salt"], customer)
            arm = "holdout" if place < round(float(experiment["holdout_share"]) * 10000) else "treatment"
            log[code, customer] = (arm, place, now, day)
            added.add((code, customer))
    return added


@builds(*(on(target, build_series) for target in TARGETS))
def test_assignments_and_lists_derived_again(built):
    log: dict[tuple[str, str], Any] = {}
    counts = []
    for day, found in zip(DAYS, built["series"], strict=True):
        added = assign(day, found, log)
        logged = {
            (code, customer): (arm, place, segment, assigned_on)
            for code, customer, arm, _, place, segment, *_, assigned_on in found["log"]
        }
        assert logged == log
        counts.append(len(added))
        assert all(is_control == (arm == "holdout") for _, _, arm, is_control, *_ in found["log"])

        ended = {row["experiment_code"] for row in experiments() if row["to"] < day}
        held = {
            customer
            for (code, customer), (arm, *_) in log.items()
            if arm == "holdout" and code not in ended
        }
        fits = {(audience, customer) for audience, customer, _, why in found["fits"] if not why}
        assert set(found["members"]) == {pair for pair in fits if pair[1] not in held}
        left_out = {
            (audience, customer)
            for audience, customer, _, why in found["fits"]
            if customer in held and why in (None, "in_another_audience")
        }
        assert sum(n for _, why, n in found["suppressions"] if why == "holdout") == len(left_out)
        assert left_out
    # New customers and movers were assigned later on; the experiment that had ended freed its own.
    assert min(counts) > 0 and len(built["series"][0]["customers"]) > 300
    freed = {c for (code, c), row in log.items() if code == "silent_mail" and row[0] == "holdout"}
    assert freed & {customer for _, customer in built["series"][-1]["members"]}
    assert set(ODD_IDS) <= {customer for _, customer in log}
    codes = {row["experiment_code"] for row in experiments()} - {"other_scheme"}
    assert {code for code, _ in log} == codes
    # Somebody was on a list, moved, and was held out when first eligible elsewhere: taken off.
    for found in built["others"]:
        assert found["log"] == built["series"][-1]["log"]
    assert built["others"][0]["members"] == built["series"][-1]["members"]
    assert built["others"][2]["members"] == built["series"][-1]["members"]


def test_both_engines_assign_alike(under_way):
    (first, second) = (
        [found["log"] for found in under_way(on(target, build_series)).result()["series"]]
        for target in TARGETS
    )
    plain = [
        [[tuple(map(str, row)) for row in log] for log in logs] for logs in (first, second)
    ]
    assert plain[0] == plain[1]
