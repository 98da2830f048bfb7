"""The measured lift: every statistic against scipy and statsmodels on the same customers, what is said
where there is nothing to measure, and experiments of which the truth is known."""

from __future__ import annotations

import datetime as dt
import re
from contextlib import closing
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from scipy import optimize, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
    power_proportions_2indep,
    proportion_confint,
    proportions_ztest,
)

from python_checks import demo_experiment
from python_checks.dbt_project import FULL, PROJECT_ROOT, TARGETS, Project, builds, object_frame, on

# Here PostgreSQL is for the full run.
ENGINES = TARGETS if FULL else ("duckdb",)
HORIZON = 30
START = dt.date(2024, 3, 1)
AS_OF = dt.date(2024, 6, 1)
MARGIN_RATE = Decimal("0.3")
TOTAL = "(total)"

# The experiments' table as a user could have it: every column under another name.
COLUMNS = {
    "experiment_code": "Test No",
    "customer_id": "Kunde",
    "arm": "treatment",
    "is_control": "no mail?",
    "assigned_at": "Sent",
    "segment_code": "cluster",
    "pre_period_revenue": "history",
    "planned_share": "planned",
}
TYPES = {
    COLUMNS["experiment_code"]: "varchar",
    COLUMNS["customer_id"]: "varchar",
    COLUMNS["arm"]: "varchar",
    COLUMNS["is_control"]: "varchar",
    COLUMNS["assigned_at"]: "varchar",
    COLUMNS["segment_code"]: "varchar",
    COLUMNS["pre_period_revenue"]: "varchar",
    COLUMNS["planned_share"]: "varchar",
}


class Shop:
    """Rows of the sources, and of each customer what the experiments are to find."""

    def __init__(self) -> None:
        self.assignments: list[tuple] = []
        self.sales: list[tuple] = []
        self.contacts: list[tuple] = []

    def assign(
        self, code: str, customer: str, arm: str, *, control: Any = None, day: Any = START,
        segment: str | None = None, before: Any = None, share: Any = None,
    ) -> None:
        """One row; the arm `control` is the control unless said otherwise."""
        is_control = arm == "control" if control is None else control
        text = [is_control, day, segment, before, share]
        self.assignments.append(
            (code, customer, arm, *(None if value is None else str(value) for value in text))
        )

    def sell(self, customer: str, day: dt.date, revenue: Any, product: str = "plain") -> None:
        order = f"o{len(self.sales)}"
        self.sales.append((customer, order, product, day, Decimal(str(revenue))))

    def contact(
        self, campaign: str, customer: str, cost: Any = "0.10", incentive: Any = None,
        day: dt.date = START,
    ) -> None:
        money = [None if value is None else Decimal(value) for value in (cost, incentive)]
        self.contacts.append((f"k{len(self.contacts)}", campaign, customer, day, *money))

    def land(self, project: Project) -> None:
        names = ["customer_id", "order_id", "product_id", "sale_date", "revenue"]
        types = dict.fromkeys(names[:3], "varchar") | {"sale_date": "date"}
        project.land(
            "fact_sales", object_frame(names, self.sales), types | {"revenue": "decimal(18, 2)"}
        )
        project.land("fact_tests", object_frame(list(TYPES), self.assignments), TYPES)
        names = [
            *("contact_id", "campaign_id", "customer_id"),
            *("contacted_at", "contact_cost", "incentive_cost"),
        ]
        types = dict.fromkeys(names[:3], "varchar") | {"contacted_at": "date"}
        types |= dict.fromkeys(names[4:], "decimal(18, 2)")
        project.land("fact_campaign_contacts", object_frame(names, self.contacts), types)
        products = [("rich", Decimal("0.6")), ("odd", Decimal("30")), ("plain", None)]
        project.land(
            "dim_products",
            object_frame(["product_id", "margin_rate"], products),
            {"product_id": "varchar", "margin_rate": "decimal(9, 4)"},
        )


def buy_at_random(shop: Shop, random: np.random.Generator, customer: str, chance: float) -> None:
    """Orders and returns before, within and after the window."""
    for _ in range(random.poisson(1.2)):
        day = START - dt.timedelta(int(random.integers(1, HORIZON + 20)))
        shop.sell(customer, day, round(random.gamma(2, 20), 2))
    if random.random() < chance:
        for _ in range(1 + random.poisson(0.5)):
            day = START + dt.timedelta(int(random.integers(0, HORIZON)))
            product = str(random.choice(["plain", "rich", "odd"]))
            shop.sell(customer, day, round(random.gamma(2, 25), 2), product)
    if random.random() < 0.1:
        shop.sell(customer, START + dt.timedelta(5), -round(random.gamma(2, 5), 2))
    if random.random() < 0.3:
        shop.sell(customer, START + dt.timedelta(HORIZON + int(random.integers(0, 9))), 50)


def add_measured(shop: Shop) -> None:
    """Experiments with two, three and five arms, in segments, with given and own revenue before."""
    random = np.random.default_rng(8)
    plans = {
        "two": {"control": 0.25, "mail": 0.75},
        "three": {"control": 0.2, "a": 0.3, "b": 0.5},
        "five": {"control": 0.4, "a": 0.15, "b": 0.15, "c": 0.15, "d": 0.15},
        "skewed": {"control": 0.5, "mail": 0.5},
        "worse": {"control": 0.5, "mail": 0.5},
        "half_given": {"control": 0.4, "mail": 0.6},
    }
    for code, plan in plans.items():
        arms, shares = list(plan), list(plan.values())
        drawn = [0.62, 0.38] if code == "skewed" else shares
        for number in range(900):
            customer = f"{code}{number}"
            arm = str(random.choice(arms, p=drawn))
            level, lift = {"A": (0.2, 0.04), "B": (0.5, 0.15), "C": (0.1, 0)}[
                segment := "ABC"[number % 3]
            ]
            chance = level + (-2 if code == "worse" else 1) * lift * arms.index(arm)
            buy_at_random(shop, random, customer, chance)
            shop.assign(
                code, customer, arm,
                # A segment of the user's own, one of the scheme, and none.
                segment={"A": "North", "B": "champions", "C": None}[segment],
                # Of `half_given` the treated alone have it, and a larger one than the sales say.
                before=round(random.gamma(2, 30), 2)
                if code == "three" or (code, arm) == ("half_given", "mail")
                else None,
                share=plan[arm],
            )
            if number % 40 == 0:
                # The day before, and the day after the last one: no contacts of the experiment.
                for day in (-1, HORIZON):
                    shop.contact(code, customer, "9.99", day=START + dt.timedelta(day))
            if arm == "mail" or number % 50 == 0:
                shop.contact(code, customer, "0.15", "1.25" if number % 2 else None)


def add_three_arm_mailing(shop: Shop) -> None:
    """64,000 customers, two mailings and no mailing, what they spent in two weeks."""
    random = np.random.default_rng(5)
    arms = {"Mens E-Mail": 0.0125, "Womens E-Mail": 0.0088, "No E-Mail": 0.0057}
    drawn = random.choice(list(arms), 64_000)
    bought = random.random(64_000) < pd.Series(drawn).map(arms).to_numpy()
    spend, before = random.gamma(3, 35, 64_000).round(2), random.gamma(1.5, 160, 64_000).round(2)
    for number, arm in enumerate(drawn):
        shop.assign(
            "mailing", f"h{number}", str(arm), control=arm == "No E-Mail", before=before[number],
            segment=("Web", "Phone", "Multichannel")[number % 3], share="0.333333333",
        )
        if bought[number]:
            shop.sell(f"h{number}", START + dt.timedelta(int(number % 14)), spend[number])


def build_measured(project: Project) -> dict[str, pd.DataFrame]:
    shop = Shop()
    add_measured(shop)
    add_three_arm_mailing(shop)
    add_odd(shop)
    shop.land(project)
    found = measure(project)
    found["assignments"] = object_frame(
        ["code", "customer", "arm", "is_control", "day", "segment", "before", "share"],
        shop.assignments,
    )
    found["sales"] = object_frame(["customer", "order", "product", "day", "revenue"], shop.sales)
    found["contacts"] = object_frame(
        ["contact", "campaign", "customer", "day", "cost", "incentive"], shop.contacts
    )
    return found


def measure(project: Project, **more: Any) -> dict[str, pd.DataFrame]:
    run = project.dbt(
        "run",
        *("--select", "+campaign_lift", "+campaign_results", "--full-refresh"),
        vars={
            "as_of_date": AS_OF.isoformat(),
            "latest_plausible_date": "2030-01-01",
            "retention_horizon_days": HORIZON,
            "using_experiment_assignments": True,
            "using_campaign_contacts": True,
            "using_products": True,
            "experiment_assignments_table": "fact_tests",
            "experiment_assignments_columns": COLUMNS,
        }
        | more,
    )
    assert run.success, run.problems
    return {
        "lift": project.read("rfm_marts.campaign_lift"),
        "results": project.read("rfm_marts.campaign_results"),
        "rejected": project.read("rfm_staging.stg_experiment_assignments_rejected"),
    }


# ---------------------------------------------------------------------------------------------
# Derived again
# ---------------------------------------------------------------------------------------------


def outcomes(built: dict[str, pd.DataFrame], code: str) -> pd.DataFrame:
    """What each member of an experiment did, from the landed rows."""
    members = built["assignments"]
    members = members[members["code"] == code].set_index("customer")
    sales = built["sales"][built["sales"]["customer"].isin(members.index)].copy()
    days = sales["day"].map(lambda day: (day - START).days)
    inside = sales[(days >= 0) & (days < HORIZON)]
    rates = {"rich": Decimal("0.6")}
    margins = inside["revenue"] * inside["product"].map(lambda name: rates.get(name, MARGIN_RATE))
    before = sales[(days < 0) & (days >= -HORIZON)].groupby("customer")["revenue"].sum()
    contacts = built["contacts"]
    contact_days = contacts["day"].map(lambda day: (day - START).days)
    contacts = contacts[
        (contacts["campaign"] == code) & (contact_days >= 0) & (contact_days < HORIZON)
    ]
    members["retained"] = members.index.isin(inside[inside["revenue"] > 0]["customer"])
    members["revenue"] = _sums(inside["revenue"], inside["customer"], members.index)
    members["margin"] = _sums(margins, inside["customer"], members.index)
    # One definition for all of them: the given one if nobody lacks it.
    if members["before"].isna().any():
        members["before"] = before.reindex(members.index).fillna(0)
    members["before"] = members["before"].astype(float)
    members["contacted"] = members.index.isin(contacts["customer"])
    costs = contacts["cost"].fillna(0) + contacts["incentive"].fillna(0)
    members["cost"] = _sums(costs, contacts["customer"], members.index)
    members["segment_key"] = members["segment"].map(
        {"champions": "lifecycle:champions"}
    ).fillna(members["segment"])
    return members


def _sums(values: pd.Series, customers: pd.Series, index: pd.Index) -> pd.Series:
    return values.groupby(customers).sum().reindex(index).fillna(0).astype(float)


def close(found: Any, expected: Any, what: Any, relative: float = 1e-6) -> None:
    """Equal to a millionth; None, NaN and nothing are the same."""
    if expected is None or np.isnan(expected):
        assert found is None or np.isnan(found), (what, found)
    else:
        assert found is not None, what
        assert abs(float(found) - expected) <= relative * abs(expected) + 1e-15, (
            what, float(found), expected,
        )


def expected_detectable(rate: float, treated: int, control: int) -> float:
    def missing(difference: float) -> float:
        return 0.8 - power_proportions_2indep(
            difference, rate, treated, ratio=control / treated, return_results=False
        )

    return optimize.brentq(missing, 1e-9, 1 - rate - 1e-12, xtol=1e-15)


def srm_p_value(members: pd.DataFrame) -> float:
    """The sizes of all arms against the planned shares."""
    counts = members["arm"].value_counts()
    shares = members.groupby("arm")["share"].first().astype(float)
    expected = shares / shares.sum() * counts.sum()
    return stats.chisquare(counts[shares.index], expected).pvalue


def check_row(
    row: Any, all_rows: pd.DataFrame, controls: set[str], members: pd.DataFrame
) -> None:
    """One row of campaign_lift against the libraries; `all_rows`: members of the segment."""
    treated = all_rows[all_rows["arm"] == row.arm]
    control = all_rows[all_rows["arm"].isin(controls)]
    key = (row.experiment_code, row.segment_key, row.arm)
    n1, n0 = len(treated), len(control)
    x1, x0 = int(treated["retained"].sum()), int(control["retained"].sum())
    assert (row.assigned_count, row.control_count) == (n1, n0), key
    assert (row.retained_count, row.control_retained_count) == (x1, x0), key

    lift = x1 / n1 - x0 / n0
    low, high = confint_proportions_2indep(x1, n1, x0, n0, compare="diff", method="newcomb")
    _, p_value = proportions_ztest([x1, x0], [n1, n0])
    close(row.retention_lift, lift, key)
    close(row.retention_lift_low, low, key)
    close(row.retention_lift_high, high, key)
    close(row.retention_lift_p_value, p_value, key)
    ratio_low, ratio_high = confint_proportions_2indep(
        x1, n1, x0, n0, compare="ratio", method="log"
    )
    close(row.retention_relative_lift, (x1 / n1) / (x0 / n0) - 1, key)
    close(row.retention_relative_lift_low, ratio_low - 1, key)
    close(row.retention_relative_lift_high, ratio_high - 1, key)
    for name, value in {"": lift, "_low": low, "_high": high}.items():
        close(getattr(row, f"incremental_retained{name}"), value * n1, key)
    close(row.detectable_lift, expected_detectable(x0 / n0, n1, n0), key)

    check_money(row, "revenue_lift", treated["revenue"], control["revenue"], key)
    centred = all_rows[["revenue", "before"]] - all_rows.groupby("arm")[
        ["revenue", "before"]
    ].transform("mean")
    theta = (centred["revenue"] * centred["before"]).sum() / (centred["before"] ** 2).sum()
    close(row.cuped_theta, theta, key)
    adjusted = [arm["revenue"] - theta * arm["before"] for arm in (treated, control)]
    check_money(row, "cuped_lift", *adjusted, key)
    for name in ("revenue", "margin"):
        difference = treated[name].sum() - control[name].sum() * n1 / n0
        assert abs(float(getattr(row, f"incremental_{name}")) - difference) < 0.51, key
        interval = stats.ttest_ind(
            treated[name], control[name], equal_var=False
        ).confidence_interval()
        for side in ("low", "high"):
            found = float(getattr(row, f"incremental_{name}_{side}"))
            assert abs(found - getattr(interval, side) * n1) < 0.51, (key, name, side)
    assert abs(float(row.revenue_per_treated) - treated["revenue"].mean()) < 0.00501

    close(row.srm_p_value, srm_p_value(all_rows), key)

    # What the row may be used for, from the landed rows alone.
    is_mismatched = min(srm_p_value(all_rows), srm_p_value(members)) < 0.001
    assert is_mismatched == (row.experiment_code == "skewed"), key
    contacted = int(control["contacted"].sum())
    is_large_enough = (
        min(n1, n0) >= 30 and min(n1, n0) * min(x1 + x0, n1 + n0 - x1 - x0) >= 5 * (n1 + n0)
    )
    is_adequate = is_large_enough and not is_mismatched and 20 * contacted <= n0
    assert row.is_adequate == is_adequate, key

    if key[0] != "mailing":
        assert row.contacted_count == treated["contacted"].sum(), key
        assert row.contaminated_count == contacted, key
        close(row.contamination_share, contacted / n0, key)
        cost = treated["cost"].sum()
        if cost:
            assert abs(float(row.cost) - cost) < 0.005, key
        else:
            assert row.cost is None
        if cost and is_adequate:
            close(row.return_on_spend, float(row.incremental_margin) / cost, key)
        else:
            assert row.return_on_spend is None or np.isnan(row.return_on_spend), key
        if cost and is_adequate and low > 0:
            expected_cost = cost / (lift * n1)
            assert abs(float(row.cost_per_incremental_retained) - expected_cost) < 0.00501, key
        else:
            assert row.cost_per_incremental_retained is None
    # The adjusted p-values are compared with the library's by whoever calls.
    if is_mismatched:
        assert row.verdict == "not to be trusted" and "cannot be trusted" in row.note, key
    elif is_adequate and row.retention_lift_adjusted_p_value < 0.05:
        assert row.verdict == ("works" if lift > 0 else "harms"), key
    else:
        assert row.verdict == "cannot tell yet", key
        assert f"a lift of {points(row.detectable_lift)} points or more" in row.note, (key, row.note)
        rise = f"A rise above {points(high)} points" if high > 0 else "Any rise"
        assert (f"{rise} can be ruled out" in row.note) == is_adequate, (key, row.note)
        too_few = "Too few customers to judge" in row.note
        assert too_few == (not is_large_enough), (key, row.note)


def points(lift: float) -> str:
    """A lift in words: one digit after the point from 1 point on, two from a tenth on, else four."""
    digits = 1 if lift >= 0.01 else 2 if lift >= 0.001 else 4
    return str(Decimal(100 * lift).quantize(Decimal(10) ** -digits, ROUND_HALF_UP))


def check_money(row: Any, name: str, treated: pd.Series, control: pd.Series, key: Any) -> None:
    test = stats.ttest_ind(treated, control, equal_var=False)
    interval = test.confidence_interval()
    # Money has nine digits.
    for suffix, value in {
        "": treated.mean() - control.mean(), "_low": interval.low, "_high": interval.high,
    }.items():
        found = float(getattr(row, f"{name}{suffix}"))
        assert abs(found - value) < 1e-6 * abs(value) + 1e-9, (key, name, suffix, found, value)
    close(getattr(row, f"{name}_p_value"), test.pvalue, (key, name))


MEASURED = dict.fromkeys(("two", "three", "five", "skewed", "worse", "half_given"), {"control"})


@builds(*[on(target, build_measured) for target in ENGINES])
def test_every_statistic_equals_the_libraries(built):
    for code, controls in {**MEASURED, "mailing": {"No E-Mail"}}.items():
        lift = built["lift"][built["lift"]["experiment_code"] == code]
        members = outcomes(built, code)
        arms = set(members["arm"]) - controls
        segments = {*members["segment_key"].fillna("(none)"), TOTAL}
        assert set(lift[["segment_key", "arm"]].itertuples(index=False, name=None)) == {
            (segment, arm) for segment in segments for arm in arms
        }
        for row in lift.itertuples():
            part = members
            if row.segment_key != TOTAL:
                part = members[members["segment_key"].fillna("(none)") == row.segment_key]
            check_row(row, part, controls, members)
            assert row.is_finished and row.horizon_days == HORIZON
            assert row.assignment_origin == "experiment_assignments"
            if code == "mailing":
                assert row.contacted_count is None and row.cost is None
                assert row.contaminated_count is None and row.return_on_spend is None
                assert "cost and contamination are unknown" in row.note
        for name in ("retention", "revenue", "cuped"):
            for family in (lift[lift["segment_key"] == TOTAL], lift[lift["segment_key"] != TOTAL]):
                plain = family[f"{name}_lift_p_value"].astype(float)
                expected = multipletests(plain, method="fdr_bh")[1]
                found = family[f"{name}_lift_adjusted_p_value"].astype(float)
                np.testing.assert_allclose(found, expected, rtol=1e-6)
    rows = built["lift"].set_index(["experiment_code", "segment_key", "arm"])
    assert rows.loc[("five", TOTAL, "d"), "verdict"] == "works"
    assert rows.loc[("worse", TOTAL, "mail"), "verdict"] == "harms"
    counts = built["lift"].loc[built["lift"]["experiment_code"].isin(MEASURED), "verdict"]
    assert set(counts) == {"works", "harms", "cannot tell yet", "not to be trusted"}
    assert (counts == "works").sum() >= 5
    # Which revenue before, and whose segment is not known.
    assignments = built["assignments"]
    given = assignments.groupby("code")["before"].count()
    totals = built["lift"][built["lift"]["segment_key"] == TOTAL].set_index("experiment_code")
    for code, arm in (("two", "mail"), ("three", "a"), ("half_given", "mail")):
        (note,) = totals.loc[[code]].query("arm == @arm")["note"]
        said = f"Revenue before the assignment is given for {given[code]} of 900 customers"
        assert (said in note) == (code == "half_given"), note
        people = assignments[
            (assignments["code"] == code) & assignments["arm"].isin([arm, "control"])
        ]
        # Assigned three months ago, and the history has two dates.
        assert (
            f"The segment of {people['segment'].isna().sum()} customers is not known"
            " (the history begins on 2024-05-01): give segment_code"
        ) in note, note
    assert not totals.loc["mailing", "note"].str.contains("The segment of").any()


@builds(*[on(target, build_measured) for target in ENGINES])
def test_results_are_what_the_customers_of_each_arm_did(built):
    for code in (*MEASURED, "mailing"):
        members = outcomes(built, code)
        results = built["results"][built["results"]["experiment_code"] == code]
        for row in results.itertuples():
            part = members[members["arm"] == row.arm]
            if row.segment_key != TOTAL:
                part = part[part["segment_key"].fillna("(none)") == row.segment_key]
            assert (row.assigned_count, row.retained_count) == (len(part), part["retained"].sum())
            low, high = proportion_confint(
                part["retained"].sum(), len(part), method="wilson"
            )
            close(row.retention_rate, part["retained"].mean(), row)
            close(row.retention_rate_low, low, row)
            close(row.retention_rate_high, high, row)
            assert abs(float(row.revenue) - part["revenue"].sum()) < 0.005
            assert abs(float(row.margin) - part["margin"].sum()) < 0.005 * len(part) + 0.005
            assert row.is_randomised and row.arm_kind in ("control", "treated")


# ---------------------------------------------------------------------------------------------
# Where there is nothing to measure
# ---------------------------------------------------------------------------------------------


def add_odd(shop: Shop) -> None:
    """Small experiments, each with something wrong; a hundred customers in an arm where it matters."""

    def both(code: str, retained: dict[str, float], **more: Any) -> None:
        for arm, share in retained.items():
            for number in range(100):
                customer = f"{code}_{arm}_{number}"
                shop.assign(code, customer, arm, **more)
                if number < 100 * share:
                    shop.sell(customer, START + dt.timedelta(number % HORIZON), 10 + number)

    both("no_control", {"mail": 0.4, "letter": 0.3})
    both("only_control", {"control": 0.4})
    both("nobody", {"mail": 0, "control": 0})
    both("everybody", {"mail": 1, "control": 1})
    both("none_of_control", {"mail": 0.2, "control": 0})
    both("two_controls", {"mail": 0.6, "hold a": 0.2, "hold b": 0.3}, control=False)
    for place, row in enumerate(shop.assignments):
        if row[2].startswith("hold "):
            shop.assignments[place] = (*row[:3], "yes", *row[4:])
    # Everybody of both arms spends the same.
    for arm in ("mail", "control"):
        for number in range(50):
            shop.assign("same", f"same_{arm}_{number}", arm)
            if number < 25:
                shop.sell(f"same_{arm}_{number}", START, 20)
                shop.sell(f"same_{arm}_{number}", START, -20)
    # Half of the arm is marked as control.
    for number in range(100):
        shop.assign("mixed", f"mixed_{number}", "all", control=number % 2 == 0)
        shop.assign("mixed", f"mixed_c{number}", "control")
    # The control has nobody in the segment West, the arm nobody in East.
    for number in range(60):
        shop.assign("hole", f"hole_t{number}", "mail", segment="West" if number < 30 else "Mid")
        shop.assign("hole", f"hole_c{number}", "control", segment="East" if number < 30 else "Mid")
        if number % 3 == 0:
            shop.sell(f"hole_t{number}", START, 10)
            shop.sell(f"hole_c{number}", START, 12)
    # Costs: none at all, 0, in part.
    for code, cost, incentive in (
        ("costless", None, None), ("free", "0", "0"), ("partly", "0.50", None),
        ("one_costless", "0.50", "1"),
    ):
        both(code, {"mail": 0.7, "control": 0.2})
        for number in range(100):
            gap = code == "one_costless" and number == 7
            shop.contact(code, f"{code}_mail_{number}", None if gap else cost,
                         None if gap else incentive)
        shop.contact(code, f"{code}_control_5", cost, incentive)
    # Controls who got the mail: one in twenty, and one more.
    for code, count in (("clean", 5), ("blurred", 6)):
        both(code, {"mail": 0.7, "control": 0.2})
        for number in range(100):
            shop.contact(code, f"{code}_mail_{number}", "0.50", "0")
            if number < count:
                shop.contact(code, f"{code}_control_{number}", "0.50", "0")
    # Assigned before the first sale of all: a tenth of the days, and one day more.
    first = min(sale[3] for sale in shop.sales)
    for code, days in (("just_before", HORIZON // 10), ("long_before", HORIZON // 10 + 1)):
        for arm, share in (("mail", 70), ("control", 20)):
            for number in range(100):
                customer = f"{code}_{arm}_{number}"
                shop.assign(code, customer, arm, day=first - dt.timedelta(days))
                if number < share:
                    shop.sell(customer, first + dt.timedelta(number % 20), 10 + number)
    # The same customers in two experiments a week apart, and again when the first is over.
    for code, day in (
        ("early", START), ("soon_after", START + dt.timedelta(HORIZON - 1)),
        ("late", START + dt.timedelta(2 * HORIZON - 1)),
    ):
        for number in range(80):
            arm = "mail" if number % 2 else "control"
            shop.assign(code, f"shared_{number}" if number < 20 else f"{code}_{number}", arm, day=day)
    # Not over: nobody of one, half of the other.
    for number in range(80):
        arm = "mail" if number % 2 else "control"
        late = AS_OF - dt.timedelta(HORIZON - 1)
        shop.assign("running", f"running_{number}", arm, day=late)
        last = AS_OF - dt.timedelta(HORIZON)
        shop.assign("rolling", f"rolling_{number}", arm, day=late if number < 40 else last)
        if number % 5 == 0:
            shop.sell(f"rolling_{number}", AS_OF - dt.timedelta(1), 10)
        shop.assign("ahead", f"ahead_{number}", arm, day=AS_OF + dt.timedelta(3))
    # Planned shares that say nothing.
    for code, shares in {
        "no_share": (None, None), "bad_share": ("1.5", "0.5"), "short_share": ("0.2", "0.5"),
        "half_share": ("0.5", None),
    }.items():
        for number in range(80):
            arm, share = ("mail", shares[0]) if number % 2 else ("control", shares[1])
            shop.assign(code, f"{code}_{number}", arm, share=share)
            if number % 7 == 0:
                shop.sell(f"{code}_{number}", START, 10)
    for number in range(80):
        shop.assign("two_shares", f"ts_{number}", "mail" if number % 2 else "control",
                    share="0.5" if number % 3 else "0.4")
    # One customer each.
    shop.assign("tiny", "tiny_1", "mail")
    shop.assign("tiny", "tiny_2", "control")
    shop.sell("tiny_1", START, 10)
    # Only contacts.
    for number in range(40):
        shop.contact("newsletter", f"two{number}", "0.05", "0.10", START + dt.timedelta(number % 3))
        shop.contact("newsletter", f"two{number}", "0.05", None, START + dt.timedelta(9))
    # Rows that cannot be used.
    for row in (
        ("dirty", "d1", "mail", "no", "2024-03-01", None, None, None),
        ("dirty", "d1", "mail", "no", "2024-03-04", None, None, None),
        ("dirty", "d2", "mail", "no", "2024-03-01", None, None, None),
        ("dirty", "d2", "control", "yes", "2024-03-01", None, None, None),
        ("dirty", "d3", "control", "yes", "2024-03-01", None, None, None),
        ("dirty", "d4", "control", "perhaps", "2024-03-01", None, None, None),
        ("dirty", "d5", "control", " ", "2024-03-01", None, None, None),
        ("dirty", "d6", "control", "yes", "2024-02-30", None, None, None),
        ("dirty", "d7", None, "yes", "2024-03-01", None, None, None),
        (None, "d8", "control", "yes", "2024-03-01", None, None, None),
        ("dirty", None, "control", "yes", "2024-03-01", None, None, None),
        ("dirty", "d9", "control", "yes", None, None, None, None),
        ("dirty", "d10", "control", "yes", "2024-03-01", None, "much", None),
        ("dirty", "d11", "control", "yes", "2024-03-01", None, None, "half"),
        ("dirty", "d12", "control", "yes", "1024-03-01", None, None, None),
        ("dirty", "d13", "mail", "no", "2024-03-01", None, None, None),
        ("dirty", "d13", "mail", "yes", "2024-03-01", None, None, None),
    ):
        shop.assignments.append(row)


LIFTS = [
    f"{name}_lift{suffix}"
    for name in ("retention", "revenue", "cuped")
    for suffix in ("", "_low", "_high", "_p_value", "_adjusted_p_value")
]
FIGURES = [
    *LIFTS, "retention_treated", "retention_control", "incremental_retained", "incremental_revenue",
    "incremental_margin", "cost_per_incremental_retained", "return_on_spend", "detectable_lift",
    "retention_relative_lift", "verdict",
]


@builds(*[on(target, build_measured) for target in ENGINES])
def test_what_cannot_be_measured_is_null_and_said(built):
    rows = built["lift"].set_index(["experiment_code", "segment_key", "arm"]).sort_index()
    results = built["results"].set_index(["experiment_code", "segment_key", "arm"]).sort_index()

    def at(code: str, segment: str = TOTAL, arm: str = "mail") -> pd.Series:
        return rows.loc[(code, segment, arm)]

    def empty(row: pd.Series, names: list[str]) -> None:
        assert row[names].isna().all(), row[names].dropna()

    for arm in ("mail", "letter"):
        row = at("no_control", arm=arm)
        assert "has no control arm" in row["note"] and row["assigned_count"] == 100
        assert row["control_count"] == 0 and row["control_arm"] is None
        empty(row, FIGURES)
    assert "only_control" not in rows.index.get_level_values("experiment_code")
    assert "Nobody was treated" in results.loc[("only_control", TOTAL, "control"), "note"]

    for code, word in (("nobody", "Nobody"), ("everybody", "Everybody")):
        row = at(code)
        assert f"{word} was retained in the arm" in row["note"], row["note"]
        empty(row, [name for name in LIFTS if name.startswith("retention")])
        empty(row, ["retention_relative_lift", "incremental_retained"])
        assert row["verdict"] == "cannot tell yet" and not row["is_adequate"]
        assert row["retention_treated"] == (code == "everybody")
    assert "Revenue does not vary" in at("nobody")["note"]
    empty(at("nobody"), ["revenue_lift_low", "revenue_lift_p_value", "cuped_lift"])

    row = at("none_of_control")
    assert "Nobody was retained in the control: there is no relative lift" in row["note"]
    empty(row, ["retention_relative_lift", "retention_relative_lift_low"])
    assert abs(row["retention_lift"] - 0.2) < 1e-12 and row["retention_lift_low"] > 0

    row = at("two_controls")
    assert row["control_arm"] == "hold a, hold b" and row["control_count"] == 200
    assert abs(row["retention_control"] - 0.25) < 1e-12 and "are taken together" in row["note"]
    assert row["verdict"] == "works"

    row = at("same")
    assert row["revenue_per_treated"] == 0 and "Revenue does not vary" in row["note"]
    assert row["retention_lift"] == 0 and row["retention_lift_p_value"] == 1
    empty(row, ["revenue_lift_low", "revenue_lift_p_value"])

    row = at("mixed", arm="all")
    assert "some customers of the arm all are marked as control" in row["note"]
    empty(row, FIGURES)

    row = at("hole", "West")
    assert "the control has nobody here" in row["note"]
    empty(row, FIGURES)
    row = at("hole", "East")
    assert "the arm has nobody here" in row["note"] and row["assigned_count"] == 0
    empty(row, FIGURES)
    assert at("hole", "Mid")["retention_lift"] is not None

    row = at("costless")
    assert "100 contacts of the arm have no cost" in row["note"]
    assert row["contacted_count"] == 100 and row["contaminated_count"] == 1
    assert row["contamination_share"] == 0.01 and "1 of 100 controls were contacted" in row["note"]
    empty(row, ["cost", "cost_per_incremental_retained", "return_on_spend"])
    row = at("free")
    assert "cost 0, which is taken for unknown" in row["note"]
    empty(row, ["cost", "cost_per_incremental_retained", "return_on_spend"])
    row = at("partly")
    assert row["cost"] == 50 and row["cost_per_incremental_retained"] == 1
    assert "100 contacts have only the cost of the contact" in row["note"]
    row = at("one_costless")
    assert "1 contacts of the arm have no cost" in row["note"]
    empty(row, ["cost", "return_on_spend"])

    row = at("clean")
    assert row["contaminated_count"] == 5 and row["is_adequate"] and row["verdict"] == "works"
    assert row["cost_per_incremental_retained"] == 1 and row["return_on_spend"] is not None
    row = at("blurred")
    assert row["verdict"] == "cannot tell yet" and not row["is_adequate"] and row["cost"] == 50
    assert "6 of 100 controls were contacted, more than 5 %: the lift is not" in row["note"]
    empty(row, ["cost_per_incremental_retained", "return_on_spend"])

    begin = min(built["sales"]["day"])
    said = f"The sales begin on {begin}, after 200 of 200 customers were assigned"
    row = at("just_before")
    assert row["is_adequate"] and row["verdict"] == "works" and said in row["note"]
    row = at("long_before")
    assert not row["is_adequate"] and row["verdict"] == "cannot tell yet"
    assert f"{said}: more than a tenth of the days is missing" in row["note"]
    assert "The sales begin" not in (at("clean")["note"] or "")

    for code, count in (("early", 20), ("soon_after", 20), ("late", 0)):
        row = at(code)
        assert row["overlapping_count"] == count, code
        said = (
            "20 of 80 customers are in another experiment whose days overlap, more than 5 %"
            in (row["note"] or "")
        )
        assert said == bool(count)

    for code in ("running", "ahead"):
        row = at(code)
        assert row["assigned_count"] == 0 and row["unfinished_count"] == 40
        said = f"No lift yet: nobody of the arm or of the control is through all {HORIZON} days"
        assert said in row["note"] and not row["is_finished"]
        assert row["note"].startswith("Interim: 80 of 80 customers still have days to go")
        assert "Looked at every day" not in row["note"]
        empty(row, FIGURES)
    row = at("rolling")
    assert (row["assigned_count"], row["unfinished_count"]) == (20, 20)
    assert not row["is_finished"]
    assert row["note"].startswith(
        "Interim: 40 of 80 customers still have days to go and do not count yet. Looked at every day"
    )
    assert "The segment of" not in row["note"]
    assert row["retained_count"] + row["control_retained_count"] == 8

    for code, reason in {
        "no_share": "planned shares are not known",
        "half_share": "planned shares are not known",
        "bad_share": "a planned share does not lie between 0 and 1",
        "short_share": "planned shares add up to 0.7",
        "two_shares": "the planned share differs within an arm",
    }.items():
        assert at(code)["srm_p_value"] is None or np.isnan(at(code)["srm_p_value"]), code
        assert f"No check of the sizes of the arms: {reason}" in at(code)["note"], code

    row = at("tiny")
    assert "needs two customers" in row["note"] and row["retention_lift"] == 1
    empty(row, ["revenue_lift_low", "revenue_lift_p_value"])
    assert row["verdict"] == "cannot tell yet" and "Too few customers to judge" in row["note"]

    # Campaigns that nobody assigned for: what they did, and no lift.
    assert "newsletter" not in rows.index.get_level_values("experiment_code")
    row = results.loc[("newsletter", TOTAL, "(contacted)")]
    assert row["arm_kind"] == "observational" and not row["is_randomised"]
    assert "Observational: nobody was held out" in row["note"]
    assert row["assigned_count"] == row["contacted_count"] == 40 and row["cost"] == 8


@builds(*[on(target, build_measured) for target in ENGINES])
def test_assignments_that_cannot_be_used_are_rejected(built):
    rejected = built["rejected"]
    reasons = rejected.groupby("customer_id", dropna=False)["rejection_reason"].agg(list).to_dict()
    reasons = {name if isinstance(name, str) else None: found for name, found in reasons.items()}
    assert reasons == {
        "d1": ["repeated_assignment"],
        "d2": ["several_arms"] * 2,
        "d4": ["unusable_is_control"],
        "d5": ["missing_is_control"],
        "d6": ["unparsable_assigned_at"],
        "d7": ["missing_arm"],
        "d8": ["missing_experiment_code"],
        None: ["missing_customer_id"],
        "d9": ["missing_assigned_at"],
        "d10": ["unusable_pre_period_revenue"],
        "d11": ["unusable_planned_share"],
        "d12": ["implausible_assigned_at"],
        "d13": ["several_arms"] * 2,
    }
    row = built["lift"].set_index("experiment_code").loc["dirty"]
    assert (row["assigned_count"], row["control_count"]) == (1, 1)
    assert "14 rows of the experiment are rejected" in row["note"]


# ---------------------------------------------------------------------------------------------
# Experiments of which the truth is known
# ---------------------------------------------------------------------------------------------

EXPERIMENTS, ARM_SIZE = 2000, 133


def build_planted(project: Project) -> tuple[pd.DataFrame, pd.DataFrame]:
    """2,000 experiments in one build, each with a control, a mail that works (or harms) by a known
    amount and a letter that does nothing."""
    random = np.random.default_rng(20240301)
    level = random.uniform(0.1, 0.6, EXPERIMENTS)
    truth = pd.DataFrame(
        {"experiment_code": [f"e{n}" for n in range(EXPERIMENTS)],
         "lift": random.uniform(-0.08, 0.3, EXPERIMENTS)}
    )
    arms = np.array(["control", "mail", "letter"])
    size = EXPERIMENTS * ARM_SIZE * 3
    experiment, arm = np.arange(size) // (3 * ARM_SIZE), np.arange(size) % 3
    chance = level[experiment] + np.where(arm == 1, truth["lift"].to_numpy()[experiment], 0)
    retained = random.random(size) < chance
    # What customers spend goes by what they had spent: 20 + half of it, give or take.
    before = random.gamma(3, 20, size).round(2)
    spend = (20 + before / 2 + random.gamma(2, 5, size) - 10).round(2)
    truth["revenue_lift"] = truth["lift"] * (20 + 60 / 2 + 10 - 10)
    customers = pa.array([f"p{n}" for n in range(size)])
    days = pa.array([START] * size, pa.date32())
    tables = {
        "fact_experiment_assignments": pa.table(
            {"experiment_code": truth["experiment_code"].to_numpy()[experiment],
             "customer_id": customers, "arm": arms[arm], "is_control": arm == 0,
             "assigned_at": days, "pre_period_revenue": before}
        ),
        "fact_sales": pa.table(
            {"customer_id": customers, "sale_date": days, "revenue": spend}
        ).filter(pa.array(retained)),
    }
    with closing(project.connect()) as connection:
        for name, rows in tables.items():
            connection.register("landing", rows)
            connection.execute(f"create or replace table raw.{name} as select * from landing")
            connection.unregister("landing")
    run = project.dbt(
        "run",
        *("--select", "+campaign_lift", "--full-refresh"),
        vars={
            "as_of_date": (START + dt.timedelta(HORIZON)).isoformat(),
            "latest_plausible_date": "2030-01-01",
            "retention_horizon_days": HORIZON,
            "using_experiment_assignments": True,
            "history_periods": 0,
        },
    )
    assert run.success, run.problems
    return project.read("rfm_marts.campaign_lift"), truth


@pytest.mark.skipif(not FULL, reason="800,000 customers: RFM_FULL=1")
@builds(on("duckdb", build_planted))
def test_intervals_cover_the_truth_as_often_as_they_say(built):
    lift, truth = built
    assert len(lift) == 2 * EXPERIMENTS and set(lift["segment_key"]) == {TOTAL}
    mail = lift[lift["arm"] == "mail"].merge(truth, on="experiment_code", suffixes=("", "_true"))
    figures: dict[str, float] = {}
    for name, true in (
        ("retention_lift", mail["lift"]),
        ("revenue_lift", mail["revenue_lift_true"]),
        ("cuped_lift", mail["revenue_lift_true"]),
    ):
        low, high = (mail[f"{name}_{side}"].astype(float) for side in ("low", "high"))
        figures[f"{name} covered"] = ((low <= true) & (true <= high)).mean()
        letter = lift[lift["arm"] == "letter"]
        figures[f"{name} false"] = (letter[f"{name}_p_value"].astype(float) < 0.05).mean()
    print(figures)
    for name, value in figures.items():
        if name.endswith("covered"):
            assert 0.935 <= value <= 0.965, (name, value)
        else:
            assert value <= 0.065, (name, value)
    # What CUPED takes off is noise: its intervals are narrower.
    widths = {
        name: (mail[f"{name}_high"] - mail[f"{name}_low"]).astype(float).mean()
        for name in ("revenue_lift", "cuped_lift")
    }
    assert widths["cuped_lift"] < 0.99 * widths["revenue_lift"], widths
    # A letter that does nothing works in the words of the mart no more often than chance allows.
    said = lift[lift["arm"] == "letter"]["verdict"].value_counts(normalize=True)
    assert said.get("works", 0) + said.get("harms", 0) <= 0.065, said


# ---------------------------------------------------------------------------------------------
# make demo-experiment
# ---------------------------------------------------------------------------------------------

# As many as the demo has: with fewer, what is planted is less than the sizes can find.
DEMO_CUSTOMERS = demo_experiment.CUSTOMERS


def build_demo(project: Project) -> pd.DataFrame:
    """The steps of `make demo-experiment`: true beside measured lift."""
    project.load(lambda _: demo_experiment.land_history(DEMO_CUSTOMERS))
    run = project.dbt("run", "--select", "+customer_segments", "--full-refresh")
    assert run.success, run.problems
    project.load(lambda _: demo_experiment.land_outcome(DEMO_CUSTOMERS), keep_sales=True)
    # As the Makefile says it: the build must not stop before the table is shown.
    makefile = (PROJECT_ROOT / "Makefile").read_text()
    text = re.search(r"^EXPERIMENT_VARS := ((?:.*\\\n)*.*)", makefile, re.M)
    settings = yaml.safe_load(text.group(1).replace("\\\n", ""))
    models = ("+campaign_lift", "+validation_findings")
    run = project.dbt("run", "--select", *models, vars=settings)
    assert run.success, run.problems
    kept = project.dbt("test", "--select", "assert_scores_keep_their_promise", vars=settings)
    assert kept.success, kept.problems
    return project.query(demo_experiment.LIFT_QUERY)


@builds(on("duckdb", build_demo))
def test_the_demo_measures_the_lift_that_it_planted(built):
    rows = built.set_index(["segment_key", "arm"])
    assert set(rows.index.get_level_values("arm")) == set(demo_experiment.CHANNELS)
    judged = rows[rows["retention_lift"].notna()]
    inside = (judged["retention_lift_low"] <= judged["true_lift"]) & (
        judged["true_lift"] <= judged["retention_lift_high"]
    )
    # 19 of 20 intervals cover the truth in the long run: fewer than 80 % would be no chance.
    assert len(judged) >= 14 and inside.mean() >= 0.8
    total = rows.loc["(total)"]
    assert inside.loc["(total)"].all() and set(total["verdict"]) == {"works"}
    # Nothing was planted for champions.
    champions = rows.xs("lifecycle:champions")
    assert (champions["true_lift"] == 0).all() and "works" not in set(champions["verdict"])
