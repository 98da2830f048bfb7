"""Holdouts: who is assigned when and to which arm, derived again over successive builds; nobody
held out on a list; what a running experiment must not change."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
    power_proportions_2indep,
    proportions_ztest,
)

from python_checks.dbt_project import FULL, TARGETS, Project, builds, object_frame, on
from python_checks.test_validation import FIRST, shop

START = FIRST + dt.timedelta(400)
DAYS = [START + dt.timedelta(20 * number) for number in range(4)]
# Windows end on build days: of who was assigned on the first day on the third, and so on.
HORIZON = 40
# Ids as sources write them: each decides alike on every engine.
ODD_IDS = ["O'Brien", "ключ", "007", "a|b", "søren 😀", "C:\\temp", "1e5", "-", "a:b", "ß%_"]
TOTAL = "(total)"
HEADER = (
    "experiment_code,audience_code,segment_scheme,segment_code,is_global,holdout_share,salt,"
    "valid_from,valid_to,minimum_size,rationale"
)
EXPERIMENTS = [
    f"everybody,,,,true,0.1,all of us,{DAYS[0]},,50,Programme",
    f"silent_mail,silent,,,,0.3,silent 1,{DAYS[0]},{DAYS[1]},20,Ends after the second build",
    f"promising,,lifecycle,promising,no,0.5,promising é,{DAYS[1]},,20,A segment",
    f"silent_again,silent,,,,0.0001,silent 2,{DAYS[2]},,20,After the first one",
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


def build(project: Project, day: dt.date, *arguments: str, select: str = "+marts.activation") -> None:
    run = project.dbt("run", "--select", *select.split(), *arguments, vars=settings(day))
    assert run.success, run.problems


def settings(day: dt.date) -> dict[str, Any]:
    return {
        "latest_plausible_date": "2030-01-01",
        "as_of_date": day.isoformat(),
        "retention_horizon_days": HORIZON,
    }


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
        build(project, day)
        series.append(state(project))
    others = []
    chain = "int_audience_fits+ holdout_assignments+"
    # The warnings need more than was built, and say nothing here.
    without = ("--exclude", "build_warnings")
    for day, arguments, select in (
        (DAYS[-1], without, chain),
        (DAYS[-1], ("--full-refresh", *without), chain),
        (DAYS[-1] - dt.timedelta(1), (), "+marts.activation"),
    ):
        build(project, day, *arguments, select=select)
        others.append(state(project))
    tests = project.dbt(
        *("test", "--select", "holdout_assignments", "int_holdout_customers", "audience_changes"),
        *("assert_nobody_suppressed_is_in_an_audience", "--indirect-selection", "cautious"),
        *("--exclude-resource-type", "unit_test"),
        vars=settings(DAYS[-1] - dt.timedelta(1)),
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


def is_still_in(code: str, assigned_on: dt.date, day: dt.date) -> bool:
    """Up to the last day of the experiment, and for as many days as the outcome takes."""
    (last_day,) = (row["to"] for row in experiments() if row["experiment_code"] == code)
    return day <= last_day or (day - assigned_on).days < HORIZON


def assign(
    day: dt.date, found: dict[str, list[tuple[Any, ...]]], log: dict[tuple[str, str], Any]
) -> set[tuple[str, str]]:
    """Walks through the customers of a day and assigns who is new, global experiments first."""
    added = set()
    order = sorted(
        experiments(), key=lambda row: (not row["is_global"], row["from"], row["experiment_code"])
    )
    is_global = {row["experiment_code"]: row["is_global"] for row in order}
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
            is_taken = any(
                name == customer
                and is_still_in(other, assigned_on, day)
                and not (is_global[other] and arm == "treatment")
                for (other, name), (arm, _, _, assigned_on) in log.items()
            )
            if is_taken and not experiment["is_global"]:
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

        held = {
            customer
            for (code, customer), (arm, _, _, assigned_on) in log.items()
            if arm == "holdout" and is_still_in(code, assigned_on, day)
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
    # New customers and movers were assigned later on.
    assert min(counts) > 0 and len(built["series"][0]["customers"]) > 300
    # The experiment that ended after the second build freed those of the first at the third, and
    # those of the second at the fourth.
    for number in (0, 1):
        own = {
            customer: arm
            for (code, customer), (arm, *_, assigned_on) in log.items()
            if code == "silent_mail" and assigned_on == DAYS[number]
        }
        held_out = {customer for customer, arm in own.items() if arm == "holdout"}
        free, before = built["series"][number + 2], built["series"][number + 1]
        assert held_out & {customer for _, customer in free["members"]}
        would_be = {customer for _, customer, _, why in before["fits"] if not why}
        assert held_out & would_be and not held_out & {name for _, name in before["members"]}
        again = {name for (code, name), row in log.items() if code == "silent_again" and row[3] == DAYS[number + 2]}
        assert again & set(own)
    assert set(ODD_IDS) <= {customer for _, customer in log}
    codes = {row["experiment_code"] for row in experiments()} - {"other_scheme"}
    assert {code for code, _ in log} == codes
    # A rerun, a full refresh and a run for the day before add nothing.
    for found in built["others"]:
        assert found["log"] == built["series"][-1]["log"]
        assert found["members"] == built["series"][-1]["members"]


def test_both_engines_assign_alike(under_way):
    (first, second) = (
        [found["log"] for found in under_way(on(target, build_series)).result()["series"]]
        for target in TARGETS
    )
    plain = [
        [[tuple(map(str, row)) for row in log] for log in logs] for logs in (first, second)
    ]
    assert plain[0] == plain[1]


# ---------------------------------------------------------------------------------------------
# What is refused
# ---------------------------------------------------------------------------------------------

RUNNING = [
    "lists,anybody,,,,0.3,first,2023-01-01,,20,Runs",
    "everybody,,,,true,0.1,all,2023-01-01,,20,Runs",
    "later,silent,,,,0.5,later,2029-01-01,,20,Has not begun",
]
SINCE = f"customers since {START}. Another one is another experiment: end this one with valid_to"
EDITS = {
    "share": (0, "0.3", "0.4", "row 2, column holdout_share: found 0.4; accepted: 0.3, with which lists"),
    "salt": (1, ",all,", ",ALL,", "row 3, column salt: found 'ALL'; accepted: 'all', with which everybody"),
    "begin": (0, "2023-01-01", "2028-01-01", f"row 2, column valid_from: found 2028-01-01; accepted: a day up to {START}, since lists"),
    "scope": (0, "anybody", "silent", "row 2, column audience_code: found audience silent; accepted: audience anybody, for which lists"),
}


def build_edits(project: Project) -> dict[str, Any]:
    """What the gate says to edits of experiments that run, and to those that it lets through."""
    land(project)
    write_policy(project, RUNNING)
    build(project, START)
    log = state(project)["log"]
    found: dict[str, Any] = {"refused": {}}
    for name, (row, old, new, _) in EDITS.items():
        lines = list(RUNNING)
        assert old in lines[row]
        lines[row] = lines[row].replace(old, new)
        write_policy(project, lines)
        gate = project.dbt("run", "--select", "+policy_gate", vars=settings(START))
        found["refused"][name] = (gate.success, gate.log)
    partial = project.dbt("run", "--select", "holdout_assignments", vars=settings(START))
    found["partial"] = (partial.success, partial.log)
    write_policy(project, RUNNING[1:])
    gate = project.dbt("run", "--select", "+policy_gate", vars=settings(START))
    found["deleted"] = (gate.success, gate.log)
    assert state(project)["log"] == log
    # Ended, another minimum, another rationale, and an experiment that has not begun: all fine.
    write_policy(
        project,
        [
            "lists,anybody,,,,0.30,first,2023-01-01,2024-01-01,9,Another text",
            RUNNING[1],
            "later,silent,,,,0.9,other,2029-01-01,,20,Has not begun",
        ],
    )
    gate = project.dbt("run", "--select", "+policy_gate", vars=settings(START))
    found["allowed"] = (gate.success, gate.log)
    return found


@builds(on("duckdb", build_edits))
def test_a_running_experiment_must_not_be_changed(built):
    for name, (*_, line) in EDITS.items():
        success, log = built["refused"][name]
        assert not success
        (found,) = (text.strip() for text in log.splitlines() if "holdout_policy.csv" in text)
        assert found.startswith(f"holdout_policy.csv, {line} has assigned "), found
        assert SINCE in found
    success, log = built["partial"]
    assert not success and "found audience silent" in log
    success, log = built["deleted"]
    assert not success
    assert "holdout_policy.csv, column experiment_code: found no row for lists; accepted:" in log
    assert "To end an experiment set valid_to and keep the row" in log
    success, log = built["allowed"]
    assert success, log


BAD_ROWS = {
    "none,silent,,,,0,s01,2023-01-01,,20,x": "holdout_share: found '0'; accepted: a share above 0 and below 1 (0.1 = one in ten)",
    "all_of_them,silent,,,,1,s02,2023-01-01,,20,x": "holdout_share: found '1'; accepted: a share above 0 and below 1 (0.1 = one in ten)",
    "percent,silent,,,,10,s03,2023-01-01,,20,x": "holdout_share: found '10'; accepted: a share above 0 and below 1 (0.1 = one in ten)",
    "minus,silent,,,,-0.1,s04,2023-01-01,,20,x": "holdout_share: found '-0.1'; accepted: a share above 0 and below 1 (0.1 = one in ten)",
    "fine,silent,,,,0.00005,s05,2023-01-01,,20,x": "holdout_share: found '0.00005'; accepted: a share in steps of 0.0001",
    "sign,silent,,,,10%,s06,2023-01-01,,20,x": "holdout_share: found '10%'; accepted: a number with a decimal point",
    "no_such,sillent,,,,0.1,s07,2023-01-01,,20,x": "audience_code: found 'sillent'; accepted: an audience of audience_definitions.csv",
    "no_segment,,lifecycle,loyal,,0.1,s08,2023-01-01,,20,x": "segment_code: found 'loyal'; accepted: a segment of the scheme lifecycle in segments.csv",
    "no_scheme,,,champions,,0.1,s09,2023-01-01,,20,x": "segment_scheme: found a blank cell; accepted: the scheme of the segment champions",
    "scheme_only,silent,lifecycle,,,0.1,s10,2023-01-01,,20,x": "segment_code: found a blank cell; accepted: a segment of the scheme lifecycle",
    "no_scope,,,,,0.1,s11,2023-01-01,,20,x": "audience_code: found no audience, no segment and not is_global; accepted: an audience_code, a segment_code or is_global true",
    "both,silent,,,true,0.1,s12,2023-01-01,2023-01-05,20,x": "is_global: found true beside an audience or a segment; accepted: either everybody (is_global) or an audience or a segment",
    "twice,silent,,,,0.1,s13,2023-01-01,,20,x": "",
    "twice ,silent,,,,0.1,s14,2023-01-01,,20,x": "experiment_code: found 'twice' as in row 14; accepted: a code that no other row has",
    "same_salt,silent,,,,0.2, s01,2023-01-01,,20,x": "salt: found 's01' as in row 2; accepted: a salt that no other row has (the same salt would hold out the same customers)",
    "no_salt,silent,,,,0.2,,2023-01-01,,20,x": "salt: found a blank cell; accepted: a value",
    "no_day,silent,,,,0.2,s17,,,20,x": "valid_from: found a blank cell; accepted: a value",
    "bad_day,silent,,,,0.2,s18,2023-02-30,,20,x": "valid_from: found '2023-02-30'; accepted: a day, written as 2026-01-31",
    "backward,silent,,,,0.2,s19,2023-02-02,2023-02-01,20,x": "valid_to: found 2023-02-01; accepted: a day from 2023-02-02 (valid_from) on",
    "small,silent,,,,0.2,s20,2023-02-02,,-1,x": "minimum_size: found '-1'; accepted: a whole number from 0 to 1000000000",
    "global_1,,,,true,0.1,s21,2023-01-06,2023-12-31,20,x": "",
    "global_2,,,,true,0.1,s22,2023-12-31,,20,x": "is_global: found a second global experiment on days that row 22 has too; accepted: one global experiment at a time",
    "no_reason,silent,,,,0.2,s23,2023-02-02,,1,": "rationale: found a blank cell; accepted: a value",
}


def build_bad_rows(project: Project) -> tuple[bool, list[str]]:
    write_policy(project, list(BAD_ROWS))
    run = project.dbt("run", "--select", "+policy_gate")
    return run.success, [line.strip() for line in run.log.splitlines()]


@builds(on("duckdb", build_bad_rows), on("postgres", build_bad_rows))
def test_a_bad_row_is_named(built):
    success, lines = built
    assert not success
    found = sorted(line for line in lines if line.startswith("holdout_policy.csv"))
    expected = sorted(
        f"holdout_policy.csv, row {number}, column {line}"
        for number, line in enumerate(BAD_ROWS.values(), start=2)
        if line
    )
    assert found == expected


# ---------------------------------------------------------------------------------------------
# Power, and the report of the global experiment
# ---------------------------------------------------------------------------------------------

# The second is the first day of a quarter: who is assigned on it counts in that quarter.
REPORT_DAYS = [dt.date(2022, 5, 20), dt.date(2022, 7, 1), dt.date(2022, 8, 20), dt.date(2022, 10, 28)]
QUARTERS = [(REPORT_DAYS[0], dt.date(2022, 7, 1)), (dt.date(2022, 7, 1), dt.date(2022, 10, 1))]
MEASURED = [
    f"everybody,,,,true,0.4,all,{REPORT_DAYS[0]},,100,Programme",
    f"barely,gone,,,,0.0001,barely,{REPORT_DAYS[0]},,20,Chance holds out nobody",
    f"lists,anybody,,,,0.25,lists 1,{REPORT_DAYS[0]},2028-12-31,150,Too small",
    "planned,anybody,,,,0.3,later,2029-01-01,,20,Has not begun",
]
# Of another tool: one with a code of ours, and one with a code of its own.
OUTSIDE = [("lists", 30), ("letter", 40)]


def build_report(project: Project) -> dict[str, pd.DataFrame]:
    """The marts after four builds, with contacts of some who are held out."""
    land(project)
    held = [name for name in sorted(set(the_shop()["customer_id"])) if bucket("all", name) < 4000]
    days = [QUARTERS[0][0], QUARTERS[1][0], QUARTERS[1][1], QUARTERS[1][0]]
    contacts = [
        (f"contact {number}", "spring", held[number % 9], days[number % 4]) for number in range(24)
    ]
    contacts += [(f"early {number}", "spring", name, REPORT_DAYS[0] - dt.timedelta(1)) for number, name in enumerate(held)]
    columns = ["contact_id", "campaign_id", "customer_id", "contacted_at"]
    types = dict.fromkeys(columns, "varchar") | {"contacted_at": "date"}
    project.land("fact_campaign_contacts", object_frame(columns, contacts), types)
    names = sorted(set(the_shop()["customer_id"]))
    assigned = [
        (code, name, ("a", "b")[number % 2], number % 2 == 0, REPORT_DAYS[0])
        for code, count in OUTSIDE
        for number, name in enumerate(names[:count])
    ]
    keys = ["experiment_code", "customer_id", "arm", "is_control", "assigned_at"]
    more = dict.fromkeys(keys, "varchar") | {"is_control": "boolean", "assigned_at": "date"}
    project.land("fact_experiment_assignments", object_frame(keys, assigned), more)
    write_policy(project, MEASURED)
    given = {
        "using_campaign_contacts": True,
        "using_experiment_assignments": True,
        "history_periods": 4,
    }
    for day in REPORT_DAYS:
        # The vars of the empty shop were others.
        command = ["run", "--select", "+holdout_assignments"]
        command += ["--full-refresh"] if day == REPORT_DAYS[0] else []
        if day == REPORT_DAYS[-1]:
            command = [
                *("build", "--select", "+experiment_power", "+global_holdout_report"),
                *("+campaign_results", "+campaign_lift", "+activation_warnings"),
                *("--exclude-resource-type", "unit_test", "--indirect-selection", "cautious"),
            ]
        run = project.dbt(*command, vars=settings(day) | given)
        assert run.success, run.problems
    tables = (
        *("experiment_power", "global_holdout_report", "holdout_assignments", "campaign_results"),
        *("campaign_lift", "activation_warnings", "score_retention_validation"),
    )
    return {name: project.read(f"rfm_marts.{name}") for name in tables} | {
        "contacts": object_frame(columns, contacts),
        "fits": project.query(
            "select customer_id, segment_key from rfm_intermediate.int_audience_fits"
            " where audience_code = 'anybody' and suppression_reason is null"
        ),
        "strategies": pd.read_csv(project.seeds / "strategy_policy.csv"),
        "log": run.log,
    }


@builds(on("duckdb", build_report), *([on("postgres", build_report)] if FULL else []))
def test_the_report_of_the_global_experiment(built):
    log = built["holdout_assignments"]
    log = log[log["is_global"]]
    assert set(REPORT_DAYS[:3]) <= set(log["assigned_on"])
    report = built["global_holdout_report"].set_index(["report_scope", "period_start"])
    assert len(report) == 6
    sales, contacts = the_shop(), built["contacts"]
    per_quarter: list[pd.DataFrame] = []
    for start, end in QUARTERS:
        rows = log[log["assigned_on"] <= start][["customer_id", "is_control"]].copy()
        inside = sales[(sales["sale_date"] >= start) & (sales["sale_date"] < end)]
        orders = inside.groupby("customer_id")["sale_date"].count()
        revenue = inside.groupby("customer_id")["revenue"].sum()
        in_time = contacts[(contacts["contacted_at"] >= start) & (contacts["contacted_at"] < end)]
        rows["orders"] = rows["customer_id"].map(orders).fillna(0)
        rows["revenue"] = rows["customer_id"].map(revenue).fillna(0).map(float)
        rows["contacted"] = rows["customer_id"].isin(in_time["customer_id"])
        rows["is_control"] = rows["is_control"].astype(bool)
        per_quarter.append(rows)
        whole = pd.concat(per_quarter).groupby(["customer_id", "is_control"], as_index=False).sum()
        for scope, people in (("quarter", rows), ("cumulative", whole)):
            row = report.loc[(scope, start)]
            assert row["is_finished"] and row["period_end"] == end
            held, treated = people[people["is_control"]], people[~people["is_control"]]
            sizes = np.array([len(treated), len(held)])
            assert (row["treated_count"], row["holdout_count"]) == tuple(sizes)
            assert min(sizes) > 50
            retained = np.array([(treated["orders"] > 0).sum(), (held["orders"] > 0).sum()])
            assert row["retention_lift"] == pytest.approx(retained[0] / sizes[0] - retained[1] / sizes[1])
            _, p_value = proportions_ztest(retained, sizes)
            assert row["retention_p_value"] == pytest.approx(p_value, rel=1e-6)
            low, high = confint_proportions_2indep(
                *(retained[0], sizes[0], retained[1], sizes[1]), method="newcomb", compare="diff"
            )
            assert row["retention_lift_low"] == pytest.approx(low, rel=1e-6)
            assert row["retention_lift_high"] == pytest.approx(high, rel=1e-6)
            welch = stats.ttest_ind(treated["revenue"], held["revenue"], equal_var=False)
            interval = welch.confidence_interval()
            difference = treated["revenue"].mean() - held["revenue"].mean()
            assert row["revenue_lift"] == pytest.approx(difference)
            assert row["revenue_p_value"] == pytest.approx(welch.pvalue, rel=1e-6)
            assert row["revenue_lift_low"] == pytest.approx(interval.low, rel=1e-6)
            assert row["revenue_lift_high"] == pytest.approx(interval.high, rel=1e-6)
            assert float(row["incremental_revenue"]) == pytest.approx(difference * sizes[0], abs=0.011)
            orders_each = held["orders"].mean()
            assert row["holdout_orders_per_customer"] == pytest.approx(orders_each, abs=1e-8)
            contacted = (held["contacted"] > 0).sum()
            assert contacted > 0 and row["holdout_contacted_count"] == contacted
            assert row["contamination_share"] == pytest.approx(contacted / sizes[1], abs=1e-8)
            # 40 % are to be held out.
            srm = stats.chisquare(sizes, sizes.sum() * np.array([0.6, 0.4])).pvalue
            assert row["srm_p_value"] == pytest.approx(srm, abs=1e-8) and srm > 0.001
            found = power_proportions_2indep(
                row["detectable_lift"], retained[1] / sizes[1], sizes[0], ratio=sizes[1] / sizes[0]
            ).power
            assert found == pytest.approx(0.8, abs=1e-6)
            expected = sizes.min() * min(retained.sum(), (sizes - retained).sum()) / sizes.sum()
            is_adequate = expected >= 5 and 20 * contacted <= sizes[1]
            assert row["is_adequate"] == is_adequate, (scope, start)
            word = "works" if low > 0 else "harms" if high < 0 else ""
            decided = is_adequate and p_value < 0.05 and word
            assert row["verdict"] == (decided or "cannot tell yet")
            said = "more than 5 %: the lift is not adequate" in row["note"]
            assert said == (20 * contacted > sizes[1])
    running = report.loc[("quarter", QUARTERS[-1][1])]
    assert not running["is_finished"] and running["note"] == "The quarter is not over"
    assert running["verdict"] is None and not running["is_adequate"]
    assert running["revenue_lift"] is None and running["treated_count"] > 0


def as_given(value: Any) -> Any:
    """None for what a database calls null, whatever pandas makes of it."""
    return None if pd.isna(value) else value


def retention_without_contact(
    built: dict[str, Any], held: pd.DataFrame, segment: str
) -> tuple[float | None, str | None]:
    """Of a hundred held-out customers or more whose window is over, else of past dates."""
    held = held[[day + dt.timedelta(HORIZON) <= REPORT_DAYS[-1] for day in held["assigned_on"]]]
    if len(held) >= 100:
        days = the_shop().groupby("customer_id")["sale_date"].agg(list).to_dict()
        back = [
            any(start <= day < start + dt.timedelta(HORIZON) for day in days[name])
            for name, start in zip(held["customer_id"], held["assigned_on"], strict=True)
        ]
        return sum(back) / len(back), "held-out customers"
    past = built["score_retention_validation"]
    past = past[(past["scope"] == "pooled") & (past["dimension"] == "segment")]
    past = past[(past["horizon_code"] == "horizon") & (past["level"] == segment)]
    if past.empty:
        return None, None
    (rate,) = past["retention_rate"]
    return float(rate), "past dates"


def weighted_mean(pairs: list[tuple[int, float | None]]) -> float | None:
    known = [(size, value) for size, value in pairs if value is not None]
    if not known:
        return None
    return sum(size * value for size, value in known) / sum(size for size, _ in known)


def expected_power(built: dict[str, Any], code: str) -> dict[str, dict[str, Any]]:
    """What experiment_power says of an experiment, by segment, from the log and the policy."""
    log, last = built["holdout_assignments"], REPORT_DAYS[-1]
    experiment = dict(zip(HEADER.split(","), next(row for row in MEASURED if row.startswith(code)).split(","), strict=True))
    share = float(experiment["holdout_share"])
    own = log[log["experiment_code"] == code]
    is_planned = experiment["valid_from"] > last.isoformat()
    sizes: dict[str, tuple[int, int]] = {}
    if is_planned:
        held_from_all = set(log[log["is_global"] & log["is_control"]]["customer_id"])
        barely = set(log[log["experiment_code"] == "barely"]["customer_id"])
        people = built["fits"]
        people = people[~people["customer_id"].isin(held_from_all | barely)]
        counts = people["segment_key"].value_counts().to_dict()
        for name, count in (counts | {TOTAL: len(people)}).items():
            held = math.floor(count * share + 0.5 + 1e-9)
            sizes[name] = (count - held, held)
    else:
        for name in (*own["segment_key"].unique(), TOTAL):
            part = own if name == TOTAL else own[own["segment_key"] == name]
            held = int(part["is_control"].sum())
            sizes[name] = (len(part) - held, held)
    save_rates = {
        f"{row.segment_scheme}:{row.segment_code}": row.expected_save_rate
        for row in built["strategies"].itertuples()
    }
    found: dict[str, dict[str, Any]] = {}
    for name in sorted(sizes, key=lambda name: name == TOTAL):
        part = own if name == TOTAL else own[own["segment_key"] == name]
        control, source = retention_without_contact(built, part[part["is_control"].astype(bool)], name)
        if name == TOTAL:
            pairs = [(sum(sizes[other]), row["control_retention"]) for other, row in found.items()]
            if control is None:
                control = weighted_mean(pairs)
                source = None if control is None else "its segments"
            lift = weighted_mean(
                [(sum(sizes[other]), row["expected_lift"]) for other, row in found.items()]
            )
        else:
            lift = None if control is None else save_rates[name] * (1 - control)
        found[name] = {
            "sizes": sizes[name],
            "control_retention": control,
            "control_retention_source": source,
            "expected_lift": lift,
            "days": sorted(zip(part["assigned_on"], part["is_control"], strict=True)),
            "is_planned": is_planned,
        }
    return found


def days_until_read(row: dict[str, Any], expected: dict[str, Any], treated: float, held: float) -> int | None:
    """Until the windows of so many of each arm are over, at the pace of the days after the first."""
    last = REPORT_DAYS[-1]
    if expected["is_planned"]:
        if expected["sizes"][0] < treated or expected["sizes"][1] < held:
            return None
        return (row["valid_from"] - last).days + HORIZON
    counts = [0, 0]
    for day, is_control in expected["days"]:
        counts[is_control] += 1
        if counts[0] >= treated and counts[1] >= held:
            return max(0, (day - last).days + HORIZON)
    share, pace = float(row["holdout_share"]), row["assigned_per_day"]
    missing = max((treated - counts[0]) / (1 - share), (held - counts[1]) / share)
    if missing >= 100000 * pace:
        return None
    days = math.ceil(missing / pace - 1e-6)
    is_too_late = row["valid_to"] is not None and days > (row["valid_to"] - last).days
    return None if is_too_late else days + HORIZON


@builds(on("duckdb", build_report), *([on("postgres", build_report)] if FULL else []))
def test_power_of_the_experiments(built):
    rows = built["experiment_power"].astype(object)
    log = built["holdout_assignments"]
    last = REPORT_DAYS[-1]
    found = {"detectable": 0, "needed": 0, "past": 0, "days": 0, "readable": 0}
    for code in ("everybody", "barely", "lists", "planned"):
        own = log[log["experiment_code"] == code]
        expected = expected_power(built, code)
        its_rows = rows[rows["experiment_code"] == code]
        assert sorted(its_rows["segment_key"]) == sorted(expected)
        for row in its_rows.to_dict("records"):
            row = {name: as_given(value) for name, value in row.items()}
            derived = expected[row["segment_key"]]
            treated, held = derived["sizes"]
            names = ["treatment_count", "holdout_count"]
            if code == "planned":
                assert (row["treatment_count"], row["holdout_count"]) == (0, 0)
                names = ["expected_treatment_count", "expected_holdout_count"]
            assert tuple(row[name] for name in names) == (treated, held)
            assert code == "planned" or row["expected_holdout_count"] is None
            for name in ("control_retention", "expected_lift"):
                assert row[name] == pytest.approx(derived[name], abs=2e-9), (code, name)
            assert row["control_retention_source"] == derived["control_retention_source"]
            found["past"] += row["control_retention_source"] == "past dates"
            if code != "planned":
                part = own if row["segment_key"] == TOTAL else own[own["segment_key"] == row["segment_key"]]
                rate = (part["assigned_on"] > own["assigned_on"].min()).sum()
                rate = rate / (last - own["assigned_on"].min()).days
                assert row["assigned_per_day"] == pytest.approx(rate, abs=1e-8)
            base, lift = row["control_retention"], row["detectable_lift"]

            def power(lift, treated=treated, held=held, base=base):
                return power_proportions_2indep(lift, base, treated, ratio=held / treated, alpha=0.05).power

            can_tell = base is not None and min(treated, held) > 0 and power(1 - base - 1e-9) > 0.8
            assert (lift is not None) == can_tell, (code, row["segment_key"])
            if lift is not None:
                assert power(lift) == pytest.approx(0.8, abs=1e-5)
                found["detectable"] += 1
            if row["needed_count"]:
                share = float(row["holdout_share"])
                for size, is_enough in ((row["needed_count"], True), (0.99 * row["needed_count"], False)):
                    reached = power(row["expected_lift"], size * (1 - share), size * share)
                    assert (reached >= 0.8 - 1e-6) == is_enough
                found["needed"] += 1
            if row["needed_count"] and code != "planned":
                days_then = [day for day, _ in derived["days"]]
                days_left = (row["valid_to"] - last).days if row["valid_to"] else math.inf
                missing = row["needed_count"] - len(days_then)
                days = None
                if missing <= 0:
                    days = max(0, (days_then[row["needed_count"] - 1] - last).days + HORIZON)
                    found["readable"] += 1
                elif missing < 100000 * rate and math.ceil(missing / rate) <= days_left:
                    days = math.ceil(missing / rate) + HORIZON
                assert row["days_to_expected_lift"] == days
            if row["segment_key"] == TOTAL:
                minimum = row["minimum_size"]
                days = days_until_read(row, derived, minimum, minimum)
                assert row["days_to_minimum_size"] == days, code
                found["days"] += days is not None
                assert row["is_large_enough"] == (min(treated, held) >= minimum)
    assert found["detectable"] >= 6 and found["needed"] >= 10 and found["past"] >= 6, found
    assert found["days"] >= 3, found

    totals = rows[rows["segment_key"] == TOTAL].set_index("experiment_code")
    assert totals.loc["everybody", "control_retention_source"] == "held-out customers"
    assert totals.loc["everybody", "is_large_enough"] and not totals.loc["lists", "is_large_enough"]
    planned = totals.loc["planned"]
    assert planned["experiment_state"] == "planned"
    assert planned["note"].startswith("Begins on 2029-01-01; sizes as of today. ")
    fits, barely = set(built["fits"]["customer_id"]), log[log["experiment_code"] == "barely"]
    assert planned["elsewhere_count"] == len(fits & set(barely["customer_id"])) > 0
    # Chance held out nobody of an experiment: said, and no lift. (How many are on that list is not
    # what is tested: a few are enough to have an arm.)
    assert len(barely) > 5 and not barely["is_control"].any()
    assert "One arm is empty" in totals.loc["barely", "note"]
    lifts = built["campaign_lift"].astype(object)
    lifts = lifts[lifts["experiment_code"] == "barely"]
    assert TOTAL in set(lifts["segment_key"]) and set(lifts["arm"]) == {"treatment"}
    assert lifts["note"].str.contains("No lift: the experiment has no control arm").all()
    for name in ("retention_lift", "retention_lift_low", "revenue_lift", "cuped_lift", "detectable_lift"):
        assert lifts[name].isna().all(), name

    lists = totals.loc["lists"]
    warnings = built["activation_warnings"]
    warnings = warnings.groupby("warning_code")["message"].agg(list).to_dict()
    messages = sorted(warnings["holdout_too_small"])
    assert messages[1].startswith(f"The experiment lists has {lists['holdout_count']} held-out and ")
    assert messages[1].endswith(f" there is something to read in {lists['days_to_minimum_size']} days")
    assert messages[0].startswith("The experiment barely has 0 held-out and ")
    # Our experiments are measured like those from outside. What an outside one with our code holds
    # is left out and said, and the data tests of the build let it pass.
    (message,) = warnings["experiment_code_taken"]
    assert message.startswith("30 rows of the experiment assignments are left out: lists is ")
    results = built["campaign_results"]
    results = results[results["segment_key"] == TOTAL].set_index(["experiment_code", "arm"])
    counted = (results["assigned_count"] + results["unfinished_count"]).to_dict()
    for code, arm, size in (("letter", "a", 20), ("letter", "b", 20)):
        assert counted[code, arm] == size
    for (code, arm), size in log.groupby(["experiment_code", "arm"]).size().items():
        assert counted[code, arm] == size
    assert {arm for code, arm in counted if code == "lists"} == {"treatment", "holdout"}
    assert "PASS assert_everybody_assigned_is_counted_once" in built["log"]
