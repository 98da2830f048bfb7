"""The budget: the plan against an independent one and an exact solver on generated cases, and upside,
costs and plan derived again in pandas for a generated shop."""

from __future__ import annotations

import csv
import datetime as dt
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import confint_proportions_2indep

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
    "is_capped": "boolean",
    "is_low_touch_capped": "boolean",
    "block_reason": "varchar",
}
BUDGETS = (0, 0.0001, 7.25, 23.4567, 1000)
CAPACITIES = (0, 2)


def money(value: float) -> Decimal:
    return Decimal(repr(value)).quantize(FOUR, ROUND_HALF_UP)


def option(code: str, number: int, **cells: Any) -> dict[str, Any]:
    return (
        dict.fromkeys(TYPES)
        | {
            "policy_code": code,
            "customer_id": f"c{number:02d}",
            "as_of_date": DAY,
            "segment_key": "lifecycle:champions",
            "strategy_code": "s",
            "channel": "phone",
            "is_high_touch": False,
            "is_capped": False,
            "is_low_touch_capped": False,
        }
        | cells
    )


def generated(cases: int, seed: int) -> pd.DataFrame:
    """Small cases, one policy_code each: equal returns, costs of nothing, unknown costs, customers who
    are blocked or at the limit of contacts of a channel, cases in which nothing pays, and ways without
    a person that are cheaper, as dear and dearer. In the case `mails` a call nets less than a mail.
    The last case is `current`."""
    random = np.random.default_rng(seed)
    rows = [
        option(
            "mails",
            number,
            **{"is_high_touch": True, "low_touch_channel": "email"},
            **{"total_cost": money(4), "incremental_margin": money(5)},
            **{"low_touch_total_cost": money(1), "low_touch_incremental_margin": money(2.5)},
        )
        for number in range(10)
    ]
    for case in range(cases):
        last = case == cases - 1
        code = "current" if last else f"case_{case:03d}"
        pays = 3.0 if last else random.choice([0.3, 3.0, 6.0])
        equal = random.random() < 0.3 and not last
        for number in range(80 if last else random.integers(1, 13)):
            cost = float(random.choice([0, 0.0001, 1, 2.5, random.uniform(0, 12)]))
            margin = (cost or 1) * (3 if equal else random.uniform(-0.2, 2 * pays))
            high = bool(random.random() < 0.5)
            low = high and random.random() < 0.9
            factor = float(random.choice([0.3, 0.5, 0.9, 1]))
            part = random.uniform(0, factor)
            low_cost = float(random.choice([0, cost, part * cost, part * cost, random.uniform(0, 12)]))
            ways = {
                "total_cost": None if random.random() < 0.1 else money(cost),
                "incremental_margin": money(margin),
                "is_high_touch": high,
                "is_capped": bool(high and random.random() < 0.1),
            }
            if low:
                ways |= {
                    "low_touch_channel": "email",
                    "low_touch_total_cost": None if random.random() < 0.1 else money(low_cost),
                    "low_touch_incremental_margin": money(margin * factor),
                    "is_low_touch_capped": bool(random.random() < 0.1),
                }
            segment = random.choice(["champions", "at_risk"])
            rows.append(
                option(
                    code,
                    number,
                    segment_key=f"lifecycle:{segment}",
                    block_reason="opted_out" if random.random() < 0.1 else None,
                    **ways,
                )
            )
    return object_frame(list(TYPES), [tuple(row[name] for name in TYPES) for row in rows])


def build_plans(project: Project) -> tuple[pd.DataFrame, dict[Any, dict[str, pd.DataFrame]]]:
    """The cases, and steps, plan and curve for (budget, capacity)."""
    options = generated(120 if FULL else 60, 11)
    project.land("int_treatment_options", options, TYPES, schema="rfm_intermediate")
    found = {}
    for budget, capacity in [(budget, None) for budget in (None, *BUDGETS)] + [
        (budget, capacity) for capacity in CAPACITIES for budget in (7.25, 23.4567)
    ]:
        run = project.dbt(
            "run",
            *("--select", "int_budget_steps", "int_budget_plan", "retention_budget_curve"),
            vars={"retention_budget": budget, "high_touch_capacity": capacity},
        )
        assert run.success, run.problems
        found[budget, capacity] = {
            "steps": project.read("rfm_intermediate.int_budget_steps"),
            "plan": project.read("rfm_intermediate.int_budget_plan"),
            "curve": project.read("rfm_marts.retention_budget_curve"),
        }
    return options, found


def ratio(cost: Decimal, margin: Decimal) -> Decimal:
    return (margin / cost).quantize(NINE, ROUND_HALF_UP) if cost else Decimal("Infinity")


def net(way: dict[str, Any]) -> Decimal:
    return way["margin"] - way["cost"]


NOTHING = {"treatment": None, "cost": Decimal(0), "margin": Decimal(0)}


def ways_of(row: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What can be done for the customer, by treatment: cost and margin."""
    if row["block_reason"]:
        return {}
    full = "high_touch" if row["is_high_touch"] else "standard"
    columns = {
        full: ("total_cost", "incremental_margin", "is_capped"),
        "low_touch": ("low_touch_total_cost", "low_touch_incremental_margin", "is_low_touch_capped"),
    }
    return {
        name: {"treatment": name, "cost": row[cost], "margin": row[margin]}
        for name, (cost, margin, capped) in columns.items()
        if row[cost] is not None and not row[capped]
    }


def person_gain(ways: dict[str, dict[str, Any]]) -> Decimal:
    """What a person adds to the net margin over the best without one."""
    if "high_touch" not in ways:
        return Decimal(0)
    return net(ways["high_touch"]) - max(net(ways.get("low_touch", NOTHING)), Decimal(0))


def envelope(customer: str, ways: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """From no treatment by the steepest rise of the margin per cost to the best net margin; of equally
    steep ones to the larger net margin, then without a person."""
    at, steps = NOTHING, []
    while better := [way for way in ways if net(way) > net(at)]:
        to = max(
            better,
            key=lambda way: (
                ratio(way["cost"] - at["cost"], way["margin"] - at["margin"]),
                net(way),
                way["treatment"] == "low_touch",
            ),
        )
        step = {"customer_id": customer, "step_number": len(steps) + 1, "treatment": to["treatment"]}
        steps.append(step | {name: to[name] - at[name] for name in ("cost", "margin")} | {"to": to})
        at = to
    return steps


def expected_steps(options: pd.DataFrame, capacity: int | None) -> list[dict[str, Any]]:
    """Every step that pays, in the order of the plan."""
    ways = {row["customer_id"]: ways_of(row) for row in options.to_dict("records")}
    gains = {customer: person_gain(own) for customer, own in ways.items()}
    people = sorted((c for c, gain in gains.items() if gain > 0), key=lambda c: (-gains[c], c))
    for customer in people[capacity:] if capacity is not None else []:
        del ways[customer]["high_touch"]
    steps = [step for customer, own in ways.items() for step in envelope(customer, [*own.values()])]
    return sorted(
        steps,
        key=lambda step: (
            -ratio(step["cost"], step["margin"]),
            -step["margin"],
            step["customer_id"],
        ),
    )


def is_worth(way: dict[str, Any], own: list[dict[str, Any]]) -> bool:
    by_treatment = {other["treatment"]: other for other in own}
    return way["treatment"] == "low_touch" or person_gain(by_treatment) > 0


def best_by_budget(customers: list[list[tuple[int, int]]]) -> tuple[np.ndarray, np.ndarray]:
    """Ascending costs, and the largest value that any choice of one way or none per customer has at no
    more than the cost. Choices that cost no less and bring no more than another are dropped."""
    costs, values = np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
    for ways in customers:
        costs = np.concatenate([costs, *(costs + cost for cost, _ in ways)])
        values = np.concatenate([values, *(values + value for _, value in ways)])
        order = np.lexsort((-values, costs))
        costs, values = costs[order], values[order]
        best = np.maximum.accumulate(values)
        kept = np.concatenate([[True], best[1:] > best[:-1]])
        costs, values = costs[kept], values[kept]
    return costs, values


def units(amount: Decimal) -> int:
    return int(amount / FOUR)


def check_against_the_best(options: pd.DataFrame, steps: list[dict[str, Any]]) -> int:
    """At every budget at which something changes, just before and in between: never overspent, and at
    most the first step left out is lost against trying every choice. How often something is lost."""
    ways = [list(ways_of(row).values()) for row in options.to_dict("records")]
    # By net margin any choice; by margin any that pays, a person only for what a person adds.
    paying = [
        [way for way in own if net(way) > 0 and (len(own) == 1 or is_worth(way, own))] for own in ways
    ]
    allowed = {"net": (ways, net), "margin": (paying, lambda way: way["margin"])}
    best = {
        name: best_by_budget([[(units(way["cost"]), units(value(way))) for way in own] for own in choices])
        for name, (choices, value) in allowed.items()
    }
    sums = np.cumsum([0, *(units(step["cost"]) for step in steps)])
    spread = np.linspace(0, sums[-1] + 10_000, 60).astype(np.int64)
    losses = 0
    for budget in sorted({0, *sums, *(sums[1:] - 1).clip(0), *spread}):
        taken = int((sums[1:] <= budget).sum())
        assert sums[taken] <= budget
        for name, (_, value) in allowed.items():
            costs, values = best[name]
            most = values[np.searchsorted(costs, budget, side="right") - 1]
            loss = most - sum(units(value(step)) for step in steps[:taken])
            limit = units(value(steps[taken])) if taken < len(steps) else 0
            assert 0 <= loss <= limit, (name, budget, loss, limit)
            losses += loss > 0
    return losses


def expected_reason(row: dict[str, Any], has_place: bool) -> str:
    """Why a customer without a step is not treated."""
    if row["block_reason"]:
        return row["block_reason"]
    if not has_place and person_gain(ways_of(row)) > 0:
        return "beyond_capacity"
    free = ways_of(row | {"is_capped": False, "is_low_touch_capped": False})
    waits = any(net(way) > 0 for name, way in free.items() if name not in ways_of(row))
    return "contacted_too_recently" if waits else "unprofitable"


LEVELS = {"standard": 1, "low_touch": 1, "high_touch": 2}


@builds(*[on(target, build_plans) for target in ENGINES])
def test_plans_of_generated_cases(built):
    options, found = built
    options = dict(iter(options.groupby("policy_code")))
    assert len(options) > 40
    seen = dict.fromkeys(("lost", "second step", "at once", "beyond_capacity"), 0)
    for (budget, capacity), tables in found.items():
        plans = dict(iter(tables["plan"].groupby("policy_code")))
        ranked = tables["steps"][tables["steps"]["plan_rank"].notna()]
        ranked = dict(iter(ranked.sort_values("plan_rank").groupby("policy_code")))
        assert set(plans) == set(options)
        for code, rows in options.items():
            plan = plans[code].set_index("customer_id")
            assert sorted(plan.index) == sorted(rows["customer_id"])
            steps = expected_steps(rows, capacity)
            lines = ranked[code].to_dict("records") if code in ranked else []
            assert len(lines) == len(steps), (budget, capacity, code)
            spent, treated = Decimal(0), {}
            for rank, (line, step) in enumerate(zip(lines, steps), 1):
                spent += step["cost"]
                fits = budget is None or spent <= Decimal(str(budget))
                expected = (rank, *(step[name] for name in ("customer_id", "step_number", "treatment")))
                columns = ("plan_rank", "customer_id", "step_number", "treatment")
                assert tuple(line[name] for name in columns) == expected, (budget, capacity, code)
                assert (line["step_cost"], line["step_margin"]) == (step["cost"], step["margin"])
                assert line["cumulative_cost"] == spent and bool(line["is_taken"]) == fits
                if fits:
                    treated[step["customer_id"]] = step["to"]
                seen["second step"] += step["step_number"] == 2
                seen["at once"] += (step["step_number"], step["treatment"]) == (1, "high_touch")
            first = {step["customer_id"]: step["to"] for step in reversed(steps)}
            for row in rows.to_dict("records"):
                customer = row["customer_id"]
                line = plan.loc[customer]
                own = treated.get(customer, first.get(customer))
                assert bool(line["is_treated"]) == (customer in treated)
                if own is None:
                    reason = expected_reason(row, capacity is None)
                    assert line["exclusion_reason"] == reason, (code, customer)
                    assert line["plan_rank"] is None or pd.isna(line["plan_rank"])
                    seen["beyond_capacity"] += reason == "beyond_capacity"
                    continue
                assert line["exclusion_reason"] == (None if customer in treated else "over_budget")
                shown = tuple(line[name] for name in ("treatment", "total_cost", "incremental_margin"))
                assert shown == (own["treatment"], own["cost"], own["margin"]), (budget, code)
                most = [step["to"] for step in steps if step["customer_id"] == customer][-1]
                full = (line["full_cost"], line["full_incremental_margin"])
                assert full == (most["cost"], most["margin"])
            planned = plan[plan["is_treated"].astype(bool)]
            assert budget is None or planned["total_cost"].sum() <= Decimal(str(budget))
            if capacity is not None:
                assert (planned["treatment"] == "high_touch").sum() <= capacity
            # Without a limit of the budget: every budget at once.
            if (budget, capacity) == (None, None) and code != "current":
                seen["lost"] += check_against_the_best(rows, steps)
    assert min(seen.values()) > 5, seen

    # Ten mails net 15 where two calls would net 2.
    mails = expected_steps(options["mails"], None)
    assert [step["treatment"] for step in mails] == ["low_touch"] * 10
    assert sum(net(step) for step in mails) == 15 and sum(step["cost"] for step in mails) == 10

    # Nested: whoever a budget treats, a larger one treats too, with a person where there was one.
    # And monotone: no larger budget is expected to earn less.
    for smaller, larger in zip(BUDGETS, (*BUDGETS[1:], None), strict=True):
        levels, earned = [], []
        for budget in (smaller, larger):
            plan = found[budget, None]["plan"]
            plan = plan[plan["is_treated"].astype(bool)]
            keys = zip(plan["policy_code"], plan["customer_id"])
            levels.append(dict(zip(keys, plan["treatment"].map(LEVELS))))
            gains = (plan["incremental_margin"] - plan["total_cost"]).groupby(plan["policy_code"])
            earned.append(gains.sum())
        assert all(levels[1].get(key, 0) >= level for key, level in levels[0].items())
        assert all(earned[1].get(code, 0) >= value for code, value in earned[0].items())


@builds(*[on(target, build_plans) for target in ENGINES])
def test_the_curve_is_the_plan_at_every_budget(built):
    options, found = built
    steps = expected_steps(options[options["policy_code"] == "current"], None)
    assert len(steps) > 20 and any(step["step_number"] == 2 for step in steps)
    sums = np.cumsum([step["cost"] for step in steps])
    for (budget, capacity), tables in found.items():
        if capacity is not None:
            continue
        curve = tables["curve"].set_index("curve_point")
        assert len(curve) == 22 and curve["is_asked"].sum() == 1
        asked = sums[-1] if budget is None else Decimal(str(budget))
        assert curve.loc["asked", "budget"] == asked
        assert curve.loc["step 20", "budget"] == sums[-1] and curve.loc["step 00", "budget"] == 0
        for point, line in curve.iterrows():
            inside = [step for step, spent in zip(steps, sums) if spent <= line["budget"]]
            assert line["treated_count"] == len({step["customer_id"] for step in inside}), point
            persons = sum(step["treatment"] == "high_touch" for step in inside)
            assert line["high_touch_count"] == persons, point
            assert line["spend"] == sum((step["cost"] for step in inside), Decimal(0))
            assert line["spend"] <= line["budget"]
            assert line["incremental_margin"] == sum((step["margin"] for step in inside), Decimal(0))
            for column, step in (
                ("last_treated_return", inside[-1] if inside else None),
                ("first_excluded_return", steps[len(inside)] if len(inside) < len(steps) else None),
            ):
                if step is None or not step["cost"]:
                    assert pd.isna(line[column]), (point, column)
                else:
                    assert abs(line[column] - float(step["margin"] / step["cost"])) < 1e-8


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


# Experiments from elsewhere: code, segment, days before the last sale, arms, and whether those who came
# back are more (True) or less (False) often in an arm than in the control.
EXPERIMENTS = (
    ("spring", "loyal_customers", 200, ("mail", "letter"), True),
    ("spring", "at_risk", 200, ("mail", "letter"), False),
    ("autumn", "loyal_customers", 320, ("mail",), True),
)
HORIZON = 90


def came_back(sales: pd.DataFrame, day: dt.date) -> set[str]:
    inside = (sales["sale_date"] >= day) & (sales["sale_date"] < day + dt.timedelta(HORIZON))
    return set(sales["customer_id"][inside])


def assigned(sales: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Customers of the shop in the experiments, as if drawn before; what they did is known already."""
    random = np.random.default_rng(4)
    rows = []
    for number, (code, segment, ago, arms, helps) in enumerate(EXPERIMENTS):
        day = max(sales["sale_date"]) - dt.timedelta(ago)
        back = came_back(sales, day)
        known = sorted(set(sales["customer_id"][sales["sale_date"] < day]))
        for customer in known[number % 2 :: 2]:
            treated = random.random() < (0.7 if (customer in back) == helps else 0.45)
            arm = str(random.choice(arms)) if treated else "control"
            rows.append((code, customer, arm, arm == "control", day, segment))
    return rows


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
        (f"{start} {at} {ago}", "m", name, last - dt.timedelta(ago), "email")
        for start, days in ((0, None), (1, (22, 25, 28)), (2, (16, 20)))
        for at, name in enumerate(names[start::6])
        for ago in days or (at % 40,)
    ]
    project.land(
        "fact_campaign_contacts",
        object_frame(["contact_id", "campaign_id", "customer_id", "contacted_at", "channel"], contacts),
        dict.fromkeys(["contact_id", "campaign_id", "customer_id", "channel"], "varchar")
        | {"contacted_at": "date"},
    )
    assignments = object_frame(
        ["experiment_code", "customer_id", "arm", "is_control", "assigned_at", "segment_code"],
        assigned(sales),
    )
    types = dict.fromkeys(assignments, "varchar") | {"is_control": "boolean", "assigned_at": "date"}
    project.land("fact_experiment_assignments", assignments, types)
    change_cells(project)
    settings = {
        "latest_plausible_date": "2030-01-01",
        "history_periods": 12,
        "using_customers": True,
        "using_campaign_contacts": True,
        "using_experiment_assignments": True,
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
    found |= {"sales": sales, "assignments": assignments}
    for seed in ("strategy_policy", "channel_costs", "audience_definitions"):
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


def strategies_of(found: dict[str, pd.DataFrame]) -> pd.DataFrame:
    policy = found["strategy_policy"]
    return policy[policy["segment_scheme"] == "lifecycle"].set_index("segment_code")


def measured_rates(found: dict[str, pd.DataFrame]) -> dict[str, dict[str, float]]:
    """Save rates that the experiments measured, by segment: the lift by 1 minus the retention of the
    control. Arms of one experiment are averaged by precision and are as precise as the best of them;
    experiments are pooled by precision; the mean is drawn to the assumption."""
    rows, assumed = found["assignments"], strategies_of(found)["expected_save_rate"].astype(float)
    measured: dict[str, list[tuple[float, float]]] = {}
    for (_, segment, day), members in rows.groupby(["experiment_code", "segment_code", "assigned_at"]):
        back = members["customer_id"].isin(came_back(found["sales"], day))
        size, count = members.groupby("arm").size(), back.groupby(members["arm"]).sum()
        lapsing = 1 - count["control"] / size["control"]
        arms = []
        for arm in size.index.drop("control"):
            both = [count[arm], size[arm], count["control"], size["control"]]
            assert min(both[0], both[2], both[1] - both[0], both[3] - both[2]) >= 10, "too few to judge"
            low, high = confint_proportions_2indep(*both, method="newcomb", compare="diff")
            lift = both[0] / both[1] - both[2] / both[3]
            arms.append((lift / lapsing, (high - low) / 2 / 1.959963984540054 / lapsing))
        precision = np.array([error**-2 for _, error in arms])
        mean = np.average([rate for rate, _ in arms], weights=precision)
        measured.setdefault(segment, []).append((mean, min(error for _, error in arms)))
    found_rates = {}
    for segment, experiments in measured.items():
        precision = np.array([error**-2 for _, error in experiments])
        rate = np.average([rate for rate, _ in experiments], weights=precision)
        prior = max(assumed[segment], 0.02) ** 2
        weight = prior / (prior + 1 / precision.sum())
        used = min(max(weight * rate + (1 - weight) * assumed[segment], 0), 1)
        found_rates[segment] = {
            "measured_save_rate": rate,
            "measured_standard_error": precision.sum() ** -0.5,
            "measured_weight": weight,
            "experiment_count": len(experiments),
            "save_rate": used,
        }
    return found_rates


def derived(found: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Margin, cost and obstacle of every customer, from the definitions."""
    policy = strategies_of(found)
    rates = measured_rates(found)
    costs = found["channel_costs"].set_index("channel")
    chances = found["customer_propensity"].set_index("customer_id")
    share = found["int_retained_values"].set_index("frequency_score")["year_share"].astype(float)
    people = found["people"].set_index("customer_id")
    contact_days = found["contacts"].groupby("customer_id")["day"].agg(list)
    # Who fits which list; whether a list has reached its limit is derived here.
    limits = found["audience_definitions"].set_index("audience_code")
    lists = found["int_audience_candidates"]
    lists = {key: own for key, own in lists.groupby(["customer_id", "channel"])}
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
        save = rates.get(row.segment_code, {}).get("save_rate", float(strategy["expected_save_rate"]))
        cost = costing(channel, save, high) if channel else None
        low = low_cost = low_margin = None
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
        days = contact_days.get(row.customer_id, [])

        def is_capped(channel: str | None, row=row, days=days) -> bool:
            """A list would take the customer but for its limit, and no other one does."""
            own = lists.get((row.customer_id, channel))
            if own is None:
                return False
            full = []
            for line in own.itertuples():
                if line.trigger_date is None or row.last_order_date < line.trigger_date:
                    limit = limits.loc[line.audience_code]
                    window = dt.timedelta(int(limit["contact_window_days"]))
                    recent = sum(day >= row.as_of_date - window for day in days)
                    full.append(recent >= int(limit["max_contacts"]))
            return len(full) > 0 and all(full)

        capped, low_capped = is_capped(channel), is_capped(low)
        resting = any(
            (row.as_of_date - day).days < int(strategy["contact_cadence_days"] or 0) for day in days
        )
        block = None
        if person["internal"]:
            block = "internal_customer"
        elif suppressed:
            block = "suppressed_segment"
        elif channel is None:
            block = blocks[0]
        elif resting or (capped and (low is None or low_capped)):
            block = "contacted_too_recently"
        elif (cost is None or capped) and (low_cost is None or low_capped):
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
                "is_capped": capped,
                "is_low_touch_capped": low_capped,
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
        for flag in ("is_capped", "is_low_touch_capped"):
            assert bool(found[flag]) == row[flag], (customer, flag)
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
    # Called too often, but a mail may still go out.
    no_call = expected[(expected["is_capped"] == True) & expected["block"].isna()]  # noqa: E712
    assert len(no_call) > 2 and no_call["low_cost"].notna().all()
    plan = built["retention_budget_plan"].set_index("customer_id").loc[no_call.index]
    assert set(plan["treatment"][plan["is_treated"].astype(bool)]) <= {"low_touch"}


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
    assert review.loc["lifecycle:at_risk", "proposal"] == "stop"

    # Reviews fall at equal distances from the first order on; those up to the last first of a month
    # before today are done.
    first = min(built["sales"]["sale_date"])
    done = (review["as_of_date"].iloc[0] - dt.timedelta(1)).replace(day=1)
    for line in review.to_dict("records"):
        cadence = line["review_cadence_days"]
        last = first + dt.timedelta((done - first).days // cadence * cadence)
        due = last + dt.timedelta(cadence)
        assert (line["last_review_date"], line["review_due_date"]) == (last, due)
        assert bool(line["is_due"]) == (due <= line["as_of_date"])
        assert line["days_until_due"] == (due - line["as_of_date"]).days
    assert review["is_due"].nunique() == 2


@builds(*[on(target, build_budget) for target in ENGINES])
def test_what_experiments_measure_reaches_upside_and_review(built):
    rates = measured_rates(built)
    assert set(rates) == {"loyal_customers", "at_risk"}
    assert rates["loyal_customers"]["experiment_count"] == 2
    upside = built["segment_upside"].set_index("segment_code")
    assert set(upside.index[upside["save_rate_source"] == "measured"]) == set(rates)
    for segment, figures in rates.items():
        for column, figure in figures.items():
            assert same(upside.loc[segment, column], figure, 1e-6), (segment, column)
    others = upside.drop(list(rates))
    assert (others["save_rate"] == others["assumed_save_rate"]).all()
    assert (others["measured_weight"] == 0).all() and others["measured_save_rate"].isna().all()

    # Measured gain moves the assumption up, measured harm to nothing: nobody is treated there.
    loyal, at_risk = upside.loc["loyal_customers"], upside.loc["at_risk"]
    assert loyal["assumed_save_rate"] < loyal["save_rate"] < loyal["measured_save_rate"]
    assert 0 < loyal["measured_weight"] < 1 and at_risk["upside"] == 0 == at_risk["save_rate"]
    plan = built["retention_budget_plan"]
    assert not plan["is_treated"][plan["segment_key"] == "lifecycle:at_risk"].any()
    review = built["segment_review"].set_index("segment_key")
    for segment, figures in rates.items():
        line = review.loc[f"lifecycle:{segment}"]
        for side, sign in (("low", -1), ("high", 1)):
            bound = sign * 1.959963984540054 * figures["measured_standard_error"]
            bound += figures["measured_save_rate"]
            assert same(line[f"measured_save_rate_{side}"], bound, 1e-6)
    stopped, kept = review.loc["lifecycle:at_risk"], review.loc["lifecycle:loyal_customers"]
    assert stopped["measured_save_rate_high"] < 0 and stopped["proposal"] == "stop"
    assert stopped["proposal_reason"].startswith("Measured: the strategy saves nobody")
    assert kept["proposal"] in ("raise", "hold")
    assert kept["proposal_reason"].endswith("(save rate measured)")


@builds(*[on(target, build_budget) for target in ENGINES])
def test_without_costs_nobody_is_planned_and_nothing_costs_nothing(built):
    plan, upside = built["plan_without_costs"], built["upside_without_costs"]
    assert not plan["is_treated"].any() and plan["plan_rank"].isna().all()
    assert plan["expected_cost"].isna().all() and "cost_unknown" in set(plan["exclusion_reason"])
    assert upside["treatment_cost"].isna().all() and upside["expected_return"].isna().all()
    assert upside["return_rank"].isna().all() and upside["upside"].notna().any()
