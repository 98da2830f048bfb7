"""History, movement, triggers and audiences: replayed, and derived again in Python."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from python_checks import behaviour_cases, expected_history, oracle
from python_checks.behaviour_cases import AS_OF_DATE, COLUMN_TYPES
from python_checks.dbt_project import (
    FULL,
    PROJECT_ROOT,
    TARGETS,
    VALIDATION,
    Project,
    builds,
    object_frame,
    on,
)
from python_checks.expected_marts import differences, plain, read_policy
from python_checks.test_behaviour_agree import TABLES
from python_checks.test_marts_agree import load_part

# What goes on from stored dates is replayed on both engines; the rest of it on PostgreSQL too with
# RFM_FULL=1.
SOME_TARGETS = TARGETS if FULL else ("duckdb",)
MARTS = {
    "customer_segment_history": ("as_of_date", "customer_id"),
    "segment_transitions": ("as_of_date", "customer_id"),
    "segment_migration": ("as_of_date", "from_segment_key", "to_segment_key"),
    "retention_triggers": ("as_of_date", "customer_id", "trigger_code"),
    "history_slices": ("as_of_date",),
}
SLICED = tuple(
    path.stem
    for path in sorted((PROJECT_ROOT / "models/intermediate").glob("*.sql"))
    if "config(**sliced(" in path.read_text()
)
MONTHS = [
    (pd.Timestamp(AS_OF_DATE).replace(day=1) - pd.DateOffset(months=back)).date()
    for back in reversed(range(4))
]
TEN_MONDAYS = [
    AS_OF_DATE - dt.timedelta(AS_OF_DATE.weekday() + 7 * back) for back in reversed(range(10))
]
# The first date of the history moves for four builds and then stays for six, which go on from what
# is stored.
TEN_BUILDS = [(day, 10 + max(number - 3, 0)) for number, day in enumerate(TEN_MONDAYS)]
PEOPLE_TYPES = COLUMN_TYPES["customers"] | {
    **{"email": "varchar", "phone": "varchar", "is_internal": "varchar"},
    **{f"{channel}_consent": "varchar" for channel in ("email", "sms", "ads")},
}


def the_case() -> behaviour_cases.BehaviourCase:
    """Customers with addresses and consents in every form that a source writes."""
    case = behaviour_cases.behaviour_case(customers=150, event_types=read_policy().event_types)
    cycles = {
        "email": [" Ann@Example.com ", "b@c.nl", None, "nobody", "x@y.org\t"],
        "phone": ["+49 (0)30 123-456", "0049 30 123456", None, "030 123456", "+1.555.123.4567", "x"],
        "is_internal": ["no", None, "false", "0", "no", "f", "no", "no", "no", "no", "YES"],
        "email_consent": ["yes", "true", None, "no", "1", "perhaps", "t"],
        "sms_consent": ["yes", None, "no"],
        "ads_consent": ["1", "0", "", "yes"],
    }
    customers = case.customers.copy()
    for name, values in cycles.items():
        customers[name] = oracle._text_series(
            values[number % len(values)] for number in range(len(customers))
        )
    return replace(case, customers=customers)


def land(project: Project, case: behaviour_cases.BehaviourCase) -> None:
    for table, entity in TABLES.items():
        types = PEOPLE_TYPES if entity == "customers" else COLUMN_TYPES[entity]
        project.land(table, getattr(case, entity), types)


def settings_at(day: dt.date) -> dict[str, Any]:
    """The vars of a run with that current date."""
    return {
        "latest_plausible_date": behaviour_cases.LATEST_PLAUSIBLE_DATE.isoformat(),
        "using_customers": True,
        "using_products": True,
        "using_engagement_events": True,
        "using_campaign_contacts": True,
        "phone_country_code": 49,
        "score_group": "score_group",
        "min_group_customers": 20,
        "history_periods": 4,
        "as_of_date": day.isoformat(),
    }


def build(project: Project, day: dt.date, *arguments: str, **more: Any) -> None:
    command = ("run", "--exclude", "build_warnings", "marts.reporting", *VALIDATION, *arguments)
    run = project.dbt(*command, vars=settings_at(day) | more)
    assert run.success, run.problems


OVERRIDES = """customer_id,segment_scheme,segment_code,reason,decided_by,valid_from,valid_to
{0},lifecycle,champions,Owner's sister,Ann,,
{1},lifecycle,lost,Moved abroad,Ann,{from_},{to}
{2},core_five,others,Other scheme,Ann,,
nobody,lifecycle,lost,Typo,Ann,,
"""
RULES = """into_risk,lifecycle,,high_value_at_risk,,,,,0,0
into_risk_waits,lifecycle,,high_value_at_risk,,,,,0,60
out_of_loyal,lifecycle,loyal_customers,,,,,,21,14
silent,,,,active,lapsing,,,14,45
any_lapsing,,,,,lapsing,,,0,7
flag_on,,,,,,,is_frequency_declining,0,30
flag_off,,,,,,is_single_channel,,28,0
mixed,lifecycle,promising,,,lapsing,,,0,0
"""
AUDIENCES = """risk_call,lifecycle,high_value_at_risk,,,,,,,phone,false,10,1,60
new_mail,,,new,,,,,,email,true,20,,
lapsing_mail,,,lapsing,,,,,,email,false,30,1,700
woken_post,,,,,,,any_lapsing,100,direct_mail,false,9,,
garden_push,,,,,Garden,1.1,,,push,false,5,,
decliners_push,,,,is_frequency_declining,,,flag_on,60,push,false,6,,
silent_sms,,,,,,,silent,100,sms,true,7,,
lapsed_ads,,,lapsed,,,,,,ads,true,8,,
everybody_mail,,,,,,,,,email,true,90,,
"""
HOLDOUT_SALT = "everybody's"


def write_policy(project: Project) -> list[str]:
    """Rules, audiences and overrides of the test's own, seeded; the customers with overrides."""
    ids = [oracle.id_text(value) for value in the_case().customers["customer_id"]][:3]
    dates = {"from_": AS_OF_DATE - dt.timedelta(90), "to": AS_OF_DATE - dt.timedelta(30)}
    seeds = project.seeds
    (seeds / "segment_overrides.csv").write_text(OVERRIDES.format(*ids, **dates))
    rules = "segment_scheme,trigger_code,from_segment,to_segment,from_stage,to_stage,from_flag,"
    rules += "to_flag,minimum_days_before,reentry_wait_days,priority,valid_from,valid_to,rationale\n"
    for number, line in enumerate(RULES.splitlines()):
        code, scheme, *cells = line.split(",")
        valid = f"{AS_OF_DATE - dt.timedelta(100)},{AS_OF_DATE}" if code == "any_lapsing" else ","
        rules += ",".join([scheme, code, *cells, str(number // 2 + 1), valid, "why"]) + "\n"
    (seeds / "trigger_rules.csv").write_text(rules)
    header = (seeds / "audience_definitions.csv").read_text().splitlines()[0]
    text = header + "\n"
    for line in AUDIENCES.splitlines():
        code, scheme, *cells = line.split(",")
        text += ",".join([scheme, code, code.title(), *cells, "30", "", "", "why"]) + "\n"
    (seeds / "audience_definitions.csv").write_text(text)
    experiment = f"everybody,,,,true,0.2,{HOLDOUT_SALT},2000-01-01,,10,why\n"
    with (seeds / "holdout_policy.csv").open("a") as file:
        file.write(experiment)
    run = project.dbt("seed")
    assert run.success, run.problems
    return ids


def in_order(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows ordered by all that they hold."""
    text = pd.Series(["|".join(map(str, row)) for row in rows.itertuples(index=False)], dtype=object)
    return rows.iloc[text.argsort(kind="stable")].reset_index(drop=True)


def relations(project: Project, names: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Relations in one order of their rows."""
    found = {}
    for name in names:
        schema = "rfm_marts" if name in MARTS else "rfm_intermediate"
        found[name] = in_order(plain(project.read(f"{schema}.{name}")))
    return found


# ---------------------------------------------------------------------------------------------
# Replay
# ---------------------------------------------------------------------------------------------


def build_series(project: Project) -> list[Any]:
    """[after ten builds at successive grid dates, after a full refresh at the last of them, the
    log of the audiences and its members after each of the ten, ... and after the refresh]."""
    land(project, the_case())
    write_policy(project)
    weekly = {"history_grain": "week", "min_stay_days": 14}
    members = []
    for day, periods in TEN_BUILDS:
        build(project, day, **weekly, history_periods=periods)
        members.append(_audiences(project))
    names = [*SLICED, *MARTS]
    series = relations(project, names)
    build(project, day, "--full-refresh", **weekly, history_periods=periods)
    members.append(_audiences(project))
    build(project, day, **weekly, history_periods=periods)
    members.append(_audiences(project))
    return [series, relations(project, names), members]


def _audiences(project: Project) -> tuple[list[tuple[Any, ...]], set[tuple[Any, ...]]]:
    """(the log by change_number, the members as (audience, customer, row_hash))."""
    log = project.query(
        "select change_number, audience_code, customer_id, change_type, row_hash, as_of_date"
        " from rfm_marts.audience_changes order by 1, 2, 3"
    )
    members = project.query(
        "select audience_code, customer_id, row_hash from rfm_marts.audience_members"
    )
    return list(log.itertuples(index=False, name=None)), set(
        members.itertuples(index=False, name=None)
    )


@builds(*(on(target, build_series) for target in TARGETS))
def test_ten_builds_are_one_full_refresh(built):
    series, refreshed, members = built
    for name, rows in refreshed.items():
        assert len(rows), name
        pd.testing.assert_frame_equal(series[name], rows, obj=name)

    # Members(t) = members(t-1) + adds - removes, for every build and every audience.
    held: dict[tuple[str, str], str] = {}
    seen = 0
    for (log, found), day in zip(members, [*TEN_MONDAYS, *TEN_MONDAYS[-1:] * 2], strict=True):
        for _, audience, customer, change, row_hash, logged in log[seen:]:
            assert logged == day
            if change == "remove":
                del held[audience, customer]
            else:
                assert (change == "update") == ((audience, customer) in held)
                held[audience, customer] = row_hash
        assert found == {(*key, row_hash) for key, row_hash in held.items()}
        seen = len(log)
    # A rerun adds nothing, and neither does a full refresh: the log is never refreshed.
    assert len(members[9][0]) == len(members[10][0]) == len(members[11][0])
    changes = {change for _, _, _, change, _, _ in members[-1][0]}
    assert changes == {"add", "update", "remove"}


# ---------------------------------------------------------------------------------------------
# Later data, late rows, edited policy, other settings
# ---------------------------------------------------------------------------------------------


def build_with_late_rows(project: Project) -> list[Any]:
    """What is stored by date after: the data up to a day, later sales, late sales, reopened periods in a
    run that ends with the history and the next one, and a full refresh."""
    case = the_case()
    day = MONTHS[-1]
    loaded = dt.datetime.combine(day, dt.time(3))
    types = COLUMN_TYPES["sales"] | {"loaded_at": "timestamp"}
    sales = case.sales.assign(loaded_at=loaded)
    dates = pd.to_datetime(sales["sale_date"].astype(str)).dt.date
    early = sales[dates < day]
    later = sales[dates >= day].assign(loaded_at=loaded + dt.timedelta(days=9))
    # One late sale dated before two of the four grid dates.
    late = early.head(1).assign(
        sale_id="late",
        customer_id="late customer",
        sale_date=MONTHS[-3],
        revenue=12,
        loaded_at=loaded + dt.timedelta(days=2),
    )
    land(project, case)
    project.land("fact_sales", early, types)
    names = [*SLICED, *MARTS]
    found = []
    for rows in (early, pd.concat([early, later]), pd.concat([early, later, late])):
        project.land("fact_sales", rows.reset_index(drop=True), types)
        build(project, day)
        found.append(relations(project, names))
    settings = settings_at(day) | {"reopen_periods": 4}
    run = project.dbt("run", "--select", "+customer_segment_history", vars=settings)
    assert run.success, run.problems
    for arguments in ((), ("--full-refresh",)):
        build(project, day, *arguments)
        found.append(relations(project, names))
    return found


@builds(*(on(target, build_with_late_rows) for target in SOME_TARGETS))
def test_finished_slices_stay_and_late_rows_are_counted(built):
    first, later, late, reopened, refreshed = built
    history = "customer_segment_history"
    pd.testing.assert_frame_equal(first[history], later[history])

    grid_before_the_last = MONTHS[:-1]

    def finished(found: dict[str, pd.DataFrame]) -> pd.DataFrame:
        rows = found[history]
        rows = rows[rows["as_of_date"].isin(grid_before_the_last)]
        return rows.reset_index(drop=True)

    pd.testing.assert_frame_equal(finished(first), finished(late))
    assert set(first["history_slices"]["late_sale_count"]) == {0}
    counted = dict(
        zip(late["history_slices"]["as_of_date"], late["history_slices"]["late_sale_count"])
    )
    assert counted == dict(zip(MONTHS, [0, 0, 1, 0], strict=True))
    assert set(reopened["history_slices"]["late_sale_count"]) == {0}
    known = reopened[history]
    dates = known.loc[known["customer_id"] == "late customer", "as_of_date"]
    assert set(dates) == set(MONTHS[-2:])
    for name, rows in refreshed.items():
        pd.testing.assert_frame_equal(reopened[name], rows, obj=name)
    moved = {name for name in MARTS if not late[name].equals(reopened[name])}
    assert moved >= {history, "segment_transitions", "segment_migration"}


LATER = dt.date(2017, 11, 20)


def build_with_later_real_sales(project: Project) -> list[Any]:
    """The demo's households: all slices with the sales before a day, then with all sales."""
    project.load(load_part)
    sales = "create table raw.all_sales as select * from raw.fact_sales"
    project.execute(sales)
    project.execute(f"delete from raw.fact_sales where sale_date >= date '{LATER}'")
    names = [*SLICED, "customer_segment_history", "segment_transitions", "retention_triggers"]
    settings = {
        "latest_plausible_date": "2018-12-31",
        "history_periods": 12,
        "using_customers": True,
        "using_products": True,
        "using_engagement_events": True,
        "using_campaign_contacts": True,
    }
    found = []
    for more in ({}, {"as_of_date": LATER.isoformat()}, {}):
        if found:
            project.execute("delete from raw.fact_sales")
            project.execute("insert into raw.fact_sales select * from raw.all_sales")
        run = project.dbt("run", "--exclude", "marts.reporting", *VALIDATION, vars=settings | more)
        assert run.success, run.problems
        found.append(relations(project, names))
    return found


@builds(on("duckdb", build_with_later_real_sales))
def test_past_slices_of_real_data_stay_when_later_sales_arrive(built):
    before, same_day, after = built
    for name, rows in before.items():
        assert len(rows) or name == "int_customer_score_groups", name
        pd.testing.assert_frame_equal(rows, same_day[name], obj=name)
    # Two months later the history begins two months later: what looks back to its first date differs
    # there, scores, stages, flags and segments do not.
    looking_back = (
        *("previous_as_of_date", "previous_segment_key", "previous_lifecycle_stage"),
        *("segment_since_date", "days_in_segment", "is_current"),
    )
    for name in (*SLICED, "customer_segment_history"):
        earlier, later = before[name], after[name]
        common = sorted(set(later["as_of_date"]) & set(earlier["as_of_date"]) - {LATER})
        assert len(common) == 10 or earlier.empty, name
        rows = [
            in_order(
                frame[frame["as_of_date"].isin(common)].drop(
                    columns=[column for column in looking_back if column in frame]
                )
            )
            for frame in (earlier, later)
        ]
        pd.testing.assert_frame_equal(*rows, obj=name)


def build_ahead_of_the_data(project: Project) -> list[pd.DataFrame]:
    """History of a date that the var names before the sales of its month have come, and after; the
    same refreshed; and after a run without rows."""
    case = the_case()
    land(project, case)
    days = pd.to_datetime(case.sales["sale_date"].astype(str)).dt.date
    middle = MONTHS[-2] + dt.timedelta(14)
    early = case.sales[days < middle].reset_index(drop=True)
    project.land("fact_sales", early, COLUMN_TYPES["sales"])
    build(project, MONTHS[-1] + dt.timedelta(3))
    project.land("fact_sales", case.sales, COLUMN_TYPES["sales"])
    build(project, MONTHS[-1] + dt.timedelta(9))
    names = [*SLICED, *MARTS]
    found = relations(project, names)
    build(project, MONTHS[-1] + dt.timedelta(9), "--full-refresh")
    refreshed = relations(project, names)
    # On PostgreSQL dbt's subquery for --empty leaves no room for an alias of ours.
    if project.target == "duckdb":
        build(project, MONTHS[-1] + dt.timedelta(9), "--empty")
    build(project, MONTHS[-1] + dt.timedelta(9))
    return [found, refreshed, relations(project, names)]


@builds(*(on(target, build_ahead_of_the_data) for target in SOME_TARGETS))
def test_a_date_that_the_data_have_not_reached_is_not_finished(built):
    found, refreshed, after_empty = built
    for name, rows in refreshed.items():
        assert len(rows), name
        pd.testing.assert_frame_equal(found[name], rows, obj=name)
        pd.testing.assert_frame_equal(after_empty[name], rows, obj=name)


def build_after_edits(project: Project) -> list[Any]:
    """History of a policy edit built upon and refreshed; what other settings say."""
    land(project, the_case())
    day = MONTHS[-1]
    build(project, day)
    seeds = project.seeds
    for name, old, new in (
        ("lifecycle_thresholds", "active_until,2,", "active_until,1.5,"),
        ("behaviour_thresholds", "single_channel_min_orders,3,", "single_channel_min_orders,2,"),
        ("engagement_event_types", "site_visit,site,0.5,", "site_visit,site,3,"),
    ):
        text = (seeds / f"{name}.csv").read_text()
        assert old in text
        (seeds / f"{name}.csv").write_text(text.replace(old, new))
    run = project.dbt("seed")
    assert run.success, run.problems
    names = [*SLICED, *MARTS]
    build(project, day)
    edited = relations(project, names)
    build(project, day, "--full-refresh")
    refreshed = relations(project, names)
    run = project.dbt(
        "run",
        "--select",
        "int_rfm_scores",
        vars={"as_of_date": day.isoformat(), "history_periods": 4, "tie_method": "split"},
    )
    return [edited, refreshed, run.success, run.log]


@builds(*(on(target, build_after_edits) for target in SOME_TARGETS))
def test_an_edited_policy_recomputes_and_other_settings_ask(built):
    edited, refreshed, success, log = built
    for name, rows in refreshed.items():
        pd.testing.assert_frame_equal(edited[name], rows, obj=name)
    assert not success
    assert "tie_method shared → split" in log
    assert "--full-refresh" in log


# ---------------------------------------------------------------------------------------------
# Derived again
# ---------------------------------------------------------------------------------------------

def build_weeks(project: Project) -> dict[str, Any]:
    """A weekly history of thirty weeks under rules, audiences and overrides of the test's own."""
    case = the_case()
    land(project, case)
    ids = write_policy(project)
    seeds = project.seeds
    more = {"history_grain": "week", "history_periods": 30, "min_stay_days": 14}
    build(project, AS_OF_DATE, **more)
    names = {
        **dict.fromkeys(MARTS, "rfm_marts"),
        **{"audiences": "rfm_marts", "audience_members": "rfm_marts"},
        **{"audience_suppressions": "rfm_marts", "segment_override_status": "rfm_marts"},
        **{"int_customer_flags": "rfm_intermediate", "policy_segments": "rfm_policy"},
        **{"customer_category_affinity": "rfm_marts", "customer_segments": "rfm_marts"},
        **{"stg_customers": "rfm_staging", "stg_campaign_contacts": "rfm_staging"},
        **{"stg_engagement_events": "rfm_staging"},
    }
    found = {name: plain(project.read(f"{schema}.{name}")) for name, schema in names.items()}
    seeds_read = {
        name: oracle.read_rules(seeds / f"{name}.csv").to_dict("records")
        for name in ("segment_overrides", "trigger_rules", "audience_definitions")
    }
    return {"found": found, "seeds": seeds_read, "ids": ids}


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return frame.to_dict("records")


def _agree(name: str, expected: list[dict[str, Any]], found: pd.DataFrame) -> None:
    assert expected, f"{name}: the test expects nothing"
    columns = list(expected[0])
    rows = object_frame(columns, [[row[c] for c in columns] for row in expected])
    key = MARTS.get(name) or ("audience_code", "customer_id")
    difference = differences(plain(rows), found[columns], key)
    assert not difference, f"{name}: {difference}"


@builds(*(on(target, build_weeks) for target in TARGETS))
def test_movement_triggers_and_audiences_derived_again(built):
    found, seeds = built["found"], built["seeds"]
    value_rank = {
        row["segment_key"]: row["value_rank"] for row in _rows(found["policy_segments"])
    }
    flags = {
        (row["as_of_date"], row["customer_id"]): {
            name for name, value in row.items() if name.startswith(("is_", "has_")) and value is True
        }
        for row in _rows(found["int_customer_flags"])
    }
    history = found["customer_segment_history"]

    # Overrides: by the rules' own segment and the file.
    states = []
    for row in _rows(history):
        rule_code = row["rule_segment_key"].partition(":")[2]
        override = next(
            (
                rule["segment_code"]
                for rule in seeds["segment_overrides"]
                if rule["customer_id"] == row["customer_id"]
                and rule["segment_scheme"] == "lifecycle"
                and expected_history.is_valid(rule, row["as_of_date"])
            ),
            None,
        )
        code = override or rule_code
        kept = ("as_of_date", "customer_id", "lifecycle_stage", "order_count", "net_revenue")
        kept += ("last_order_date", "recency_score", "frequency_score", "monetary_score", "is_grid")
        states.append(
            {name: row[name] for name in kept}
            | {
                "segment_code": code,
                "segment_key": f"lifecycle:{code}",
                "is_overridden": override is not None,
            }
        )
    assert any(state["is_overridden"] for state in states)
    moved = expected_history.add_movement(states, min_stay_days=14)
    _agree("customer_segment_history", moved, history)
    published = {state["published_segment_key"] != state["segment_key"] for state in moved}
    assert published == {True, False}

    expected = expected_history.transitions(states, value_rank)
    _agree("segment_transitions", expected, found["segment_transitions"])
    reasons = {row["change_reason"] for row in expected}
    assert reasons == {"purchase", "ageing", "others", "override"}
    _agree("segment_migration", expected_history.migration(states), found["segment_migration"])

    for state in states:
        state["flags"] = flags[state["as_of_date"], state["customer_id"]]
    fired = expected_history.triggers(states, seeds["trigger_rules"], "lifecycle")
    _agree("retention_triggers", fired, found["retention_triggers"])
    codes = {rule["trigger_code"] for rule in seeds["trigger_rules"]}
    assert {row["trigger_code"] for row in fired} == codes

    _check_audiences(found, seeds, fired, flags)
    status = {row["customer_id"]: row["override_status"] for row in _rows(found["segment_override_status"])}
    assert status == dict(
        zip([*built["ids"], "nobody"], ["applied", "expired", "other_scheme", "unknown_customer"])
    )


def _check_audiences(found, seeds, fired, flags) -> None:
    policy = read_policy()
    of_scheme = policy.strategies[policy.strategies["segment_scheme"] == "lifecycle"]
    suppressed = {
        row["segment_code"] for row in _rows(of_scheme) if oracle.truth(row["is_suppressed"])
    }
    customers = [
        {
            "customer_id": row["customer_id"],
            "segment": row["published_segment_key"].partition(":")[2],
            "lifecycle_stage": row["lifecycle_stage"],
            "last_order_date": row["last_order_date"],
            "actual": row["segment_key"].partition(":")[2],
            "flags": flags[AS_OF_DATE, row["customer_id"]],
        }
        for row in _rows(found["customer_segments"])
    ]
    top: dict[str, dict[str, float]] = defaultdict(dict)
    for row in _rows(found["customer_category_affinity"]):
        if row["affinity_type"] == "category":
            category, index = row["item"].lower(), row["affinity_index"]
            held = top[row["customer_id"]]
            held[category] = max(index, held.get(category, 0))
    contacts = defaultdict(list)
    for row in _rows(found["stg_campaign_contacts"]):
        contacts[row["customer_id"]].append(row["contact_date"])
    meaning = {
        row["event_type"].strip().lower(): row["channel_effect"] for row in _rows(policy.event_types)
    }
    effects = defaultdict(list)
    for row in _rows(found["stg_engagement_events"]):
        effect = meaning.get(row["event_type"])
        if effect:
            effects[row["customer_id"]].append((row["event_date"], effect))
    people = _people(the_case().customers)
    rows = expected_history.audience_rows(
        AS_OF_DATE,
        customers,
        seeds["audience_definitions"],
        "lifecycle",
        suppressed,
        fired,
        top,
        contacts,
        effects,
        people,
        has_email=True,
        has_phone=True,
        held_out=frozenset(
            row["customer_id"]
            for row in customers
            if int(hashlib.md5(f"{HOLDOUT_SALT}:{row['customer_id']}".encode()).hexdigest()[:8], 16)
            % 10000
            < 2000
        ),
    )
    members = [row for row in rows if row["suppression_reason"] is None]
    expected = [
        {
            "audience_code": row["audience_code"],
            "customer_id": row["customer_id"],
            "channel": row["channel"],
            "email_sha256": expected_history.sha256(
                people.get(row["customer_id"], {}).get("email")
            ),
            "phone_sha256": expected_history.sha256(
                people.get(row["customer_id"], {}).get("phone")
            ),
        }
        for row in members
    ]
    _agree("audience_members", expected, found["audience_members"])
    counted = defaultdict(int)
    for row in rows:
        if row["suppression_reason"]:
            counted[row["audience_code"], row["suppression_reason"]] += 1
    assert counted == {
        (row["audience_code"], row["suppression_reason"]): row["customer_count"]
        for row in _rows(found["audience_suppressions"])
    }
    assert len({reason for _, reason in counted}) == 10, sorted(counted)


def _people(customers: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Addresses as they are to be hashed, written out for the forms that `the_case` lands."""
    emails = {
        " Ann@Example.com ": "ann@example.com",
        "b@c.nl": "b@c.nl",
        "x@y.org\t": "x@y.org",
    }
    phones = {
        "+49 (0)30 123-456": "+4930123456",
        "0049 30 123456": "+4930123456",
        "030 123456": "+4930123456",
        "+1.555.123.4567": "+15551234567",
    }
    words = {"yes": True, "true": True, "1": True, "t": True, "no": False, "0": False}
    result: dict[str, dict[str, Any]] = {}
    for row in customers.to_dict("records"):
        result[oracle.id_text(row["customer_id"])] = {
            "email": emails.get(row["email"]),
            "phone": phones.get(row["phone"]),
            "is_internal": row["is_internal"] == "YES",
            **{
                f"{channel}_consent": words.get(row[f"{channel}_consent"])
                for channel in ("email", "sms", "ads")
            },
        }
    return result
