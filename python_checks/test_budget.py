"""The budget: the plan against an independent one and an exact solver on generated cases, and upside,
costs and plan derived again in pandas for a generated shop."""

from __future__ import annotations

import csv
import datetime as dt
from decimal import ROUND_HALF_UP, Decimal
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from python_checks.dbt_project import FULL, TARGETS, Project, builds, object_frame, on
from python_checks.test_validation import shop

ENGINES = TARGETS if FULL else ("duckdb",)
DAY = dt.date(2024, 3, 1)
NINE, FOUR = Decimal("1e-9"), Decimal("1e-4")
TYPES = {
    "policy_code": "varchar",
    "customer_id": "varchar",
    "as_of_date": "date",
    "segment_key": "varchar",
    "strategy_code": "varchar",
    "channel": "varchar",
    "low_touch_channel": "varchar",
    "save_rate": "double precision",
    "low_touch_save_rate": "double precision",
    "contact_cost": "decimal(18, 4)",
    "incentive_cost": "decimal(18, 4)",
    "total_cost": "decimal(18, 4)",
    "incremental_margin": "decimal(18, 4)",
    "low_touch_contact_cost": "decimal(18, 4)",
    "low_touch_incentive_cost": "decimal(18, 4)",
    "low_touch_total_cost": "decimal(18, 4)",
    "low_touch_incremental_margin": "decimal(18, 4)",
    "is_high_touch": "boolean",
    "block_reason": "varchar",
}
BUDGETS = (0, 0.0001, 7.25, 23.4567, 1000)
CAPACITIES = (0, 2)


def money(value: float) -> Decimal:
    return Decimal(repr(value)).quantize(FOUR, ROUND_HALF_UP)


def generated(cases: int, seed: int) -> pd.DataFrame:
    """Small cases, one policy_code each: equal returns, costs of nothing, unknown costs, customers who
    are blocked, and cases in which nothing pays. The last case is `current`."""
    random = np.random.default_rng(seed)
    rows = []
    for case in range(cases):
        last = case == cases - 1
        code = "current" if last else f"case_{case:03d}"
        pays = 3.0 if last else random.choice([0.3, 3.0, 6.0])
        equal = random.random() < 0.3 and not last
        for number in range(40 if last else random.integers(1, 13)):
            cost = random.choice([0, 0.0001, 1, 2.5, random.uniform(0, 12)])
            cost = float(cost) if random.random() < 0.9 else None
            margin = (cost or 1) * (3 if equal else random.uniform(0, 2 * pays))
            high = bool(random.random() < 0.4)
            low = random.uniform(0, 2) if high and random.random() < 0.8 else None
            rows.append(
                dict.fromkeys(TYPES)
                | {
                    "policy_code": code,
                    "customer_id": f"c{number:02d}",
                    "as_of_date": DAY,
                    "segment_key": f"lifecycle:{random.choice(['champions', 'at_risk'])}",
                    "strategy_code": "s",
                    "channel": "phone",
                    "low_touch_channel": None if low is None else "email",
                    "total_cost": None if cost is None else money(cost),
                    "incremental_margin": money(margin),
                    "low_touch_total_cost": None if low is None else money(low),
                    "low_touch_incremental_margin": None if low is None else money(margin / 2),
                    "is_high_touch": high,
                    "block_reason": "opted_out" if random.random() < 0.1 else None,
                }
            )
    return object_frame(list(TYPES), [tuple(row[name] for name in TYPES) for row in rows])


def build_plans(project: Project) -> tuple[pd.DataFrame, dict[Any, dict[str, pd.DataFrame]]]:
    """The cases, and plan and curve for (budget, capacity)."""
    options = generated(120 if FULL else 60, 11)
    project.land("int_treatment_options", options, TYPES, schema="rfm_intermediate")
    found = {}
    for budget, capacity in [(budget, None) for budget in (None, *BUDGETS)] + [
        (budget, capacity) for capacity in CAPACITIES for budget in (7.25, 23.4567)
    ]:
        run = project.dbt(
            "run",
            *("--select", "int_budget_plan", "retention_budget_curve"),
            vars={"retention_budget": budget, "high_touch_capacity": capacity},
        )
        assert run.success, run.problems
        found[budget, capacity] = {
            "plan": project.read("rfm_intermediate.int_budget_plan"),
            "curve": project.read("rfm_marts.retention_budget_curve"),
        }
    return options, found


def ratio_order(row: dict[str, Any]) -> tuple[Any, ...]:
    """By return, then margin, then id; what costs nothing first."""
    cost, margin = row["cost"], row["margin"]
    back = (margin / cost).quantize(NINE, ROUND_HALF_UP) if cost else None
    return (cost != 0, -(back or 0), -margin, row["customer_id"])


def expected_plan(options: pd.DataFrame, capacity: int | None) -> list[dict[str, Any]]:
    """Those for whom a treatment pays, in the order of the plan."""
    chosen, people = [], []
    for row in options.to_dict("records"):
        if row["block_reason"]:
            continue
        full = {
            "customer_id": row["customer_id"],
            "treatment": "high_touch" if row["is_high_touch"] else "standard",
            "cost": row["total_cost"],
            "margin": row["incremental_margin"],
        }
        low = full | {
            "treatment": "low_touch",
            "cost": row["low_touch_total_cost"],
            "margin": row["low_touch_incremental_margin"],
        }
        ways = [way for way in (full, low) if way["cost"] is not None]
        paying = [way for way in ways if way["margin"] > way["cost"]]
        if full in paying and row["is_high_touch"]:
            people.append((full, low if low in paying else None))
        elif paying:
            chosen.append(paying[0])
    people.sort(key=lambda pair: ratio_order(pair[0]))
    for place, (full, low) in enumerate(people):
        way = full if capacity is None or place < capacity else low
        if way:
            chosen.append(way)
    return sorted(chosen, key=ratio_order)


def best_margin(ways: list[dict[str, Any]], budget: Decimal, value: str) -> Decimal:
    """The largest value that any choice within the budget has, by trying all of them."""
    if not ways:
        return Decimal(0)
    bits = np.array(list(product((0, 1), repeat=len(ways))))
    costs = bits @ np.array([int(way["cost"] / FOUR) for way in ways])
    values = bits @ np.array([int(way[value] / FOUR) for way in ways])
    return int(values[costs <= int(budget / FOUR)].max()) * FOUR


@builds(*[on(target, build_plans) for target in ENGINES])
def test_plans_of_generated_cases(built):
    options, found = built
    options = dict(iter(options.groupby("policy_code")))
    assert len(options) > 40
    over, cut = 0, 0
    for (budget, capacity), tables in found.items():
        plans = dict(iter(tables["plan"].groupby("policy_code")))
        assert set(plans) == set(options)
        for code, rows in options.items():
            plan = plans[code].set_index("customer_id")
            assert sorted(plan.index) == sorted(rows["customer_id"])
            ways = expected_plan(rows, capacity)
            spent, treated, first_excluded = Decimal(0), [], None
            for rank, way in enumerate(ways, 1):
                line = plan.loc[way["customer_id"]]
                assert line["plan_rank"] == rank, (budget, capacity, code)
                assert line["treatment"] == way["treatment"]
                assert (line["total_cost"], line["incremental_margin"]) == (way["cost"], way["margin"])
                spent += way["cost"]
                assert line["cumulative_cost"] == spent
                fits = budget is None or spent <= Decimal(str(budget))
                assert bool(line["is_treated"]) == fits
                assert line["exclusion_reason"] == (None if fits else "over_budget")
                if fits:
                    treated.append(way)
                elif first_excluded is None:
                    first_excluded = way
            others = plan.drop([way["customer_id"] for way in ways])
            assert not others["is_treated"].any() and others["exclusion_reason"].notna().all()
            assert others["plan_rank"].isna().all()
            if capacity is not None:
                assert (plan["treatment"][plan["is_treated"]] == "high_touch").sum() <= capacity
                cut += int((plan["exclusion_reason"] == "beyond_capacity").sum())
            if budget is None:
                continue
            limit = Decimal(str(budget))
            cost = sum((way["cost"] for way in treated), Decimal(0))
            assert cost <= limit
            # Against trying every choice: at most the first who did not fit is lost.
            if capacity is None and code != "current":
                for way in ways:
                    way["net"] = way["margin"] - way["cost"]
                for value in ("margin", "net"):
                    loss = best_margin(ways, limit, value) - sum(way[value] for way in treated)
                    allowed = first_excluded[value] if first_excluded else Decimal(0)
                    assert 0 <= loss <= allowed + Decimal("1e-6"), (budget, code, value)
                    over += loss > 0
    assert over > 5 and cut > 5, "the cases never lose anything or never meet the capacity"

    # Nested: whoever a budget treats, a larger one treats too, in the same way.
    for smaller, larger in zip(BUDGETS, (*BUDGETS[1:], None), strict=True):
        sets = []
        for budget in (smaller, larger):
            plan = found[budget, None]["plan"]
            plan = plan[plan["is_treated"].astype(bool)]
            sets.append(set(zip(plan["policy_code"], plan["customer_id"], plan["treatment"])))
        assert sets[0] <= sets[1]


@builds(*[on(target, build_plans) for target in ENGINES])
def test_the_curve_is_the_plan_at_every_budget(built):
    options, found = built
    ways = expected_plan(options[options["policy_code"] == "current"], None)
    assert len(ways) > 20
    sums = np.cumsum([way["cost"] for way in ways])
    for (budget, capacity), tables in found.items():
        if capacity is not None:
            continue
        curve = tables["curve"].set_index("curve_point")
        assert len(curve) == 22 and curve["is_asked"].sum() == 1
        asked = sums[-1] if budget is None else Decimal(str(budget))
        assert curve.loc["asked", "budget"] == asked
        assert curve.loc["step 20", "budget"] == sums[-1] and curve.loc["step 00", "budget"] == 0
        for point, line in curve.iterrows():
            inside = [way for way, spent in zip(ways, sums) if spent <= line["budget"]]
            assert line["treated_count"] == len(inside), point
            assert line["spend"] == sum((way["cost"] for way in inside), Decimal(0))
            assert line["spend"] <= line["budget"]
            assert line["incremental_margin"] == sum((way["margin"] for way in inside), Decimal(0))
            for column, way in (
                ("last_treated_return", inside[-1] if inside else None),
                ("first_excluded_return", ways[len(inside)] if len(inside) < len(ways) else None),
            ):
                if way is None or not way["cost"]:
                    assert pd.isna(line[column]), (point, column)
                else:
                    assert abs(line[column] - float(way["margin"] / way["cost"])) < 1e-8


# ---------------------------------------------------------------------------------------------
# A shop
# ---------------------------------------------------------------------------------------------

CHANGES = {
    "channel_costs": [
        ("email", {"cost_per_contact": "0.05"}),
        ("onsite", {"cost_per_contact": ""}),
    ],
    "strategy_policy": [
        ("lifecycle,needs_attention", {"primary_channel": "onsite", "secondary_channel": ""})
    ],
}
ALLOCATION = {"at_risk": "3.5", "promising": "100000", "lost": "50"}
WHAT_IF = "lifecycle,lost,0.01,2,email,Would a mail to the lost pay?"
BUDGET, CAPACITY = 60, 5


def change_cells(project: Project) -> None:
    for seed, changes in CHANGES.items():
        file = project.seeds / f"{seed}.csv"
        header, *rows = csv.reader(file.read_text().splitlines())
        for key, cells in changes:
            start = key.split(",")
            (row,) = (row for row in rows if row[: len(start)] == start)
            for column, value in cells.items():
                row[header.index(column)] = value
        with file.open("w", newline="") as handle:
            csv.writer(handle).writerows([header, *rows])
    with (project.seeds / "current_budget_allocation.csv").open("a") as handle:
        for segment, amount in ALLOCATION.items():
            handle.write(f"lifecycle,{segment},{amount},Last quarter\n")
    with (project.seeds / "what_if_policy.csv").open("a") as handle:
        handle.write(f"{WHAT_IF}\n")


def build_budget(project: Project) -> dict[str, pd.DataFrame]:
    sales = shop(700, 33, orders_a_year=5)
    project.land(
        "fact_sales",
        sales,
        {"customer_id": "varchar", "sale_date": "date", "revenue": "decimal(18, 2)"},
    )
    names = sorted(set(sales["customer_id"]))
    people = [
        (name, f"{name}@example.com" if at % 5 else None, at % 7 != 0, at % 11 == 0)
        for at, name in enumerate(names)
    ]
    project.land(
        "dim_customers",
        object_frame(["customer_id", "email", "email_consent", "is_internal"], people),
        {"customer_id": "varchar", "email": "varchar", "email_consent": "boolean", "is_internal": "boolean"},
    )
    last = max(sales["sale_date"])
    contacts = [
        (str(at), "m", name, last - dt.timedelta(at % 40), "email")
        for at, name in enumerate(names[::6])
    ]
    project.land(
        "fact_campaign_contacts",
        object_frame(["contact_id", "campaign_id", "customer_id", "contacted_at", "channel"], contacts),
        dict.fromkeys(["contact_id", "campaign_id", "customer_id", "channel"], "varchar")
        | {"contacted_at": "date"},
    )
    change_cells(project)
    settings = {
        "latest_plausible_date": "2030-01-01",
        "history_periods": 12,
        "using_customers": True,
        "using_campaign_contacts": True,
        "retention_budget": BUDGET,
        "high_touch_capacity": CAPACITY,
    }
    for command in (["seed"], ["run", "--full-refresh", "--select", "+marts.budget", "segment_summary"]):
        run = project.dbt(*command, vars=settings)
        assert run.success, run.problems
    found = {
        name: project.read(f"rfm_marts.{name}")
        for name in (
            *("customer_segments", "customer_propensity", "segment_upside", "segment_summary"),
            *("retention_budget_plan", "retention_budget_by_segment", "retention_what_if"),
            *("segment_review", "retention_budget_curve"),
        )
    }
    for name in ("int_retained_values", "int_treatment_options", "int_audience_candidates"):
        found[name] = project.read(f"rfm_intermediate.{name}")
    for seed in ("strategy_policy", "channel_costs"):
        found[seed] = pd.read_csv(project.seeds / f"{seed}.csv", dtype=str, keep_default_na=False)
    found["people"] = pd.DataFrame(people, columns=["customer_id", "email", "consent", "internal"])
    found["contacts"] = pd.DataFrame(contacts, columns=["id", "c", "customer_id", "day", "channel"])
    # Nothing is known about costs: nobody is planned, and nothing costs 0.
    costs = project.seeds / "channel_costs.csv"
    costs.write_text(costs.read_text().splitlines()[0] + "\n")
    for command in (
        ["seed", "--select", "channel_costs"],
        ["run", "--select", "+policy_gate"],
        ["run", "--select", "int_treatment_options+", "--exclude", "segment_summary+"],
    ):
        run = project.dbt(*command, vars=settings)
        assert run.success, run.problems
    found["plan_without_costs"] = project.read("rfm_marts.retention_budget_plan")
    found["upside_without_costs"] = project.read("rfm_marts.segment_upside")
    return found


def derived(found: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Margin, cost and obstacle of every customer, from the definitions."""
    policy = found["strategy_policy"]
    policy = policy[policy["segment_scheme"] == "lifecycle"].set_index("segment_code")
    costs = found["channel_costs"].set_index("channel")
    chances = found["customer_propensity"].set_index("customer_id")
    share = found["int_retained_values"].set_index("frequency_score")["year_share"].astype(float)
    people = found["people"].set_index("customer_id")
    last_contact = found["contacts"].groupby("customer_id")["day"].max()
    lists = found["int_audience_candidates"]
    rows = []
    for row in found["customer_segments"].itertuples():
        strategy = policy.loc[row.segment_code]
        person = people.loc[row.customer_id]
        chance = chances.loc[row.customer_id]
        p = float(chance["purchase_probability"])
        revenue = float(chance["expected_revenue_12m"])
        value = revenue * 0.3 / max(p, 0.001) * share[row.frequency_score]
        orders = float(chance["expected_orders"])
        basket = (
            float(chance["expected_revenue"]) / orders
            if orders >= 0.01
            else max(float(row.net_revenue) / row.order_count, 0)
        )

        # There is no column of phones, so nobody is known to have none.
        def why_not(channel: str, person=person) -> str | None:
            if person["internal"]:
                return "internal_customer"
            if channel in ("", "none"):
                return "no_channel"
            if channel == "email":
                if not person["consent"]:
                    return "opted_out"
                return None if isinstance(person["email"], str) else "no_address"
            return "no_consent" if channel == "sms" else None

        def costing(channel: str, save: float, extra: bool, strategy=strategy, basket=basket, p=p):
            cost = costs.loc[channel]
            if cost["cost_per_contact"] == "":
                return None
            contacts = float(cost["cost_per_contact"]) * int(cost["contacts_per_treatment"])
            depth = float(strategy["incentive_depth_pct"]) / 100
            used = float(cost["redemption_rate"]) * (p + (1 - p) * save)
            person_cost = float(cost["high_touch_extra_cost"]) if extra else 0
            return contacts + person_cost + depth * basket * used

        ways = [strategy["primary_channel"], strategy["secondary_channel"]]
        blocks = [why_not(way) for way in ways]
        channel = next((way for way, block in zip(ways, blocks) if not block), None)
        high = strategy["is_high_touch"] == "true"
        save = float(strategy["expected_save_rate"])
        cost = costing(channel, save, high) if channel else None
        low_cost = low_margin = None
        if high:
            low = next(
                (
                    way
                    for way, block in zip(ways, blocks)
                    if not block and costs.loc[way, "low_touch_save_factor"] != ""
                ),
                None,
            )
            if low:
                factor = float(costs.loc[low, "low_touch_save_factor"])
                low_cost = costing(low, save * factor, False)
                low_margin = (1 - p) * save * factor * value
        suppressed = strategy["is_suppressed"] == "true"
        own = lists[(lists["customer_id"] == row.customer_id) & (lists["channel"] == channel)]
        recent = row.customer_id in last_contact.index and (
            row.as_of_date - last_contact[row.customer_id]
        ).days < int(strategy["contact_cadence_days"] or 0)
        recent = recent or (
            len(own) > 0 and (own["suppression_reason"] == "contacted_too_recently").all()
        )
        block = None
        if person["internal"]:
            block = "internal_customer"
        elif suppressed:
            block = "suppressed_segment"
        elif channel is None:
            block = blocks[0]
        elif recent:
            block = "contacted_too_recently"
        elif cost is None and low_cost is None:
            block = "cost_unknown"
        rows.append(
            {
                "customer_id": row.customer_id,
                "segment_key": row.segment_key,
                "lapse": 1 - p,
                "value": value,
                "channel": channel,
                "cost": cost,
                "margin": (1 - p) * save * value,
                "low_cost": low_cost,
                "low_margin": low_margin,
                "block": block,
                "reachable": not person["internal"] and not suppressed and channel is not None,
            }
        )
    # Of objects: None stays None.
    return pd.DataFrame(rows, dtype=object).set_index("customer_id")


def same(found: Any, expected: Any, tolerance: float) -> bool:
    if pd.isna(found) or pd.isna(expected):
        return pd.isna(found) and pd.isna(expected)
    return abs(float(found) - float(expected)) <= tolerance * (1 + abs(float(expected)))


@builds(*[on(target, build_budget) for target in ENGINES])
def test_options_of_a_shop_are_derived_again(built):
    expected = derived(built)
    options = built["int_treatment_options"]
    options = options[options["policy_code"] == "current"].set_index("customer_id")
    assert set(options.index) == set(expected.index)
    reasons = set()
    for customer, row in expected.iterrows():
        found = options.loc[customer]
        assert found["block_reason"] == row["block"], (customer, found["block_reason"], row["block"])
        reasons.add(row["block"])
        assert found["channel"] == row["channel"], customer
        assert bool(found["is_reachable"]) == row["reachable"]
        for name, column in {
            "lapse": "lapse_probability",
            "value": "value_given_retention",
            "margin": "incremental_margin",
            "low_cost": "low_touch_total_cost",
            "low_margin": "low_touch_incremental_margin",
            "cost": "total_cost",
        }.items():
            assert same(found[column], row[name], 2e-3), (customer, column, found[column], row[name])
    assert reasons >= {
        *(None, "internal_customer", "suppressed_segment", "opted_out", "no_address"),
        *("contacted_too_recently", "cost_unknown"),
    }


@builds(*[on(target, build_budget) for target in ENGINES])
def test_upside_and_budget_by_segment_add_up(built):
    expected = derived(built)
    options = built["int_treatment_options"]
    options = options[options["policy_code"] == "current"]
    upside = built["segment_upside"].set_index("segment_key")
    summary = built["segment_summary"].set_index("segment_key")
    for key, rows in expected.groupby("segment_key"):
        line = upside.loc[key]
        own = options[options["segment_key"] == key]
        reachable = own[own["is_reachable"].astype(bool)]
        assert line["customer_count"] == len(rows) and line["reachable_count"] == len(reachable)
        assert same(line["expected_lapse_count"], rows["lapse"].sum(), 1e-6)
        value = (rows["lapse"] * rows["value"]).sum() / rows["lapse"].sum()
        assert same(line["value_per_saved_12m"], value, 1e-3)
        if len(reachable):
            assert line["upside"] == reachable["incremental_margin"].sum()
            unknown = reachable["total_cost"].isna().sum()
            assert line["cost_unknown_count"] == unknown
            cost = None if unknown else reachable["total_cost"].sum()
            assert line["treatment_cost"] == cost and same(
                line["expected_return"], None if unknown else line["upside"] - cost, 0
            )
        else:
            assert line["upside"] is None and line["expected_return"] is None and line["note"]
        for column in ("expected_lapse_count", "upside", "expected_return", "return_rank"):
            assert same(summary.loc[key, column], line[column], 0), column
    ranked = upside[upside["return_rank"].notna()].sort_values("return_rank")
    assert ranked["expected_return"].is_monotonic_decreasing
    assert list(ranked["return_rank"]) == list(range(1, len(ranked) + 1)) and len(ranked) > 3
    assert upside.loc["lifecycle:needs_attention", "cost_unknown_count"] > 0

    plan = built["retention_budget_plan"]
    treated = plan[plan["is_treated"].astype(bool)]
    assert 0 < treated["expected_cost"].sum() <= BUDGET
    assert (treated["treatment"] == "high_touch").sum() <= CAPACITY
    assert set(plan["exclusion_reason"]) >= {"over_budget", "cost_unknown", "suppressed_segment"}
    assert (plan["explanation"].str.len() > 5).all()
    segments = built["retention_budget_by_segment"].set_index("segment_key")
    assert segments["planned_cost"].sum() == treated["expected_cost"].sum()
    assert segments["planned_return"].sum() == treated["expected_return"].sum()
    asked = built["retention_budget_curve"]
    asked = asked[asked["is_asked"].astype(bool)].iloc[0]
    assert (asked["spend"], asked["treated_count"]) == (treated["expected_cost"].sum(), len(treated))

    # Money of today: evenly over all who can be treated, no more than they cost.
    promising, lost = (segments.loc[f"lifecycle:{name}"] for name in ("promising", "lost"))
    can = plan[plan["exclusion_reason"].isin([None, "over_budget", "unprofitable", "beyond_capacity"])]
    can = can[can["segment_key"] == "lifecycle:promising"]
    assert promising["treatable_count"] == len(can) and promising["allocated_share"] == 1
    assert promising["allocated_incremental_margin"] == can["expected_incremental_margin"].sum()
    assert promising["note"] == "More is allocated than treating everybody costs"
    assert lost["allocated_return"] == -50 and lost["allocated_share"] == 0
    at_risk = segments.loc["lifecycle:at_risk"]
    can = plan[(plan["segment_key"] == "lifecycle:at_risk")]
    can = can[can["exclusion_reason"].isin([None, "over_budget", "unprofitable"])]
    part = min(3.5 / float(can["expected_cost"].sum()), 1)
    assert same(at_risk["allocated_share"], part, 1e-8)
    margin = part * float(can["expected_incremental_margin"].sum())
    assert same(at_risk["allocated_incremental_margin"], margin, 1e-4)

    # The second policy differs by its one row: the lost get a mail.
    policies = dict(iter(built["retention_what_if"].groupby("policy_code")))
    assert set(policies) == {"current", "what_if"}
    what_if = policies["what_if"].set_index("segment_key")
    assert what_if.loc["lifecycle:lost", "is_changed"] and what_if["is_changed"].sum() == 1
    assert policies["current"].set_index("segment_key").loc["lifecycle:lost", "treatable_count"] == 0
    assert what_if.loc["lifecycle:lost", "treatable_count"] > 0
    assert what_if["planned_cost"].sum() <= BUDGET
    review = built["segment_review"].set_index("segment_key")
    assert review.loc["lifecycle:promising", "proposal"] == "cut"
    assert review.loc["lifecycle:lost", "proposal"] == "hold"
    assert ((review["review_due_date"] >= review["as_of_date"])).all()
    assert ((review["last_review_date"] < review["as_of_date"])).all()


@builds(*[on(target, build_budget) for target in ENGINES])
def test_without_costs_nobody_is_planned_and_nothing_costs_nothing(built):
    plan, upside = built["plan_without_costs"], built["upside_without_costs"]
    assert not plan["is_treated"].any() and plan["plan_rank"].isna().all()
    assert plan["expected_cost"].isna().all() and "cost_unknown" in set(plan["exclusion_reason"])
    assert upside["treatment_cost"].isna().all() and upside["expected_return"].isna().all()
    assert upside["return_rank"].isna().all() and upside["upside"].notna().any()
