"""What must not change the marts: the order of rows, building again, and what happened later."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd

from python_checks import hard_cases
from python_checks.dbt_project import (
    PROJECT_ROOT,
    SOURCES_TO_MARTS,
    TARGETS,
    Build,
    Project,
    builds,
    object_frame,
    on,
)
from python_checks.expected_marts import KEYS, RELATIONS, differences, plain
from python_checks.hard_cases import CUSTOMER_TYPES, LATEST_PLAUSIBLE_DATE
from python_checks.test_holdouts import write_policy
from python_checks.test_validation import (
    BEHAVIOUR,
    FIRST,
    land_and_build,
    shop,
    with_behaviour,
)

UNTIDY = hard_cases.untidy_text(rows=1500, customers=150)
CUSTOMERS = hard_cases.two_score_groups().customers
VARS = {
    "latest_plausible_date": LATEST_PLAUSIBLE_DATE.isoformat(),
    "tie_method": "split",
    "history_periods": 2,
    "score_group": "sales.channel",
    "min_group_customers": 20,
    "using_customers": True,
}


def near_repeats() -> pd.DataFrame:
    """Per column a sale id that is there three times, with rows that differ in this column only."""
    common = {
        "sale_date": "2023-03-03",
        "customer_id": "c000",
        "revenue": "10",
        "order_id": "o",
        "product_id": "p",
        "channel": "shop",
        "quantity": "1",
        "is_return": "no",
        "discount_amount": "0",
    }
    others = {
        "sale_date": ("2023-03-04", "2023-03-03 00:00"),
        "customer_id": ("c001", "C000"),
        "revenue": ("11", "10.00"),
        "is_return": ("yes", None),
        "quantity": ("2", None),
        "discount_amount": ("1", None),
    }
    rows = [common | {"sale_id": f"near-{name}"} for name in common]
    rows += [
        common | {"sale_id": f"near-{name}", name: value}
        for name in common
        for value in others.get(name, ("x", None))
    ]
    columns = list(UNTIDY.sales.columns)
    return object_frame(columns, [[row[name] for name in columns] for row in rows])


SALES = pd.concat([UNTIDY.sales, near_repeats()], ignore_index=True)


def _build(project: Project, sales: pd.DataFrame | None = None) -> dict[str, pd.DataFrame]:
    """Every relation after landing these sales (None: those that are there already)."""
    if sales is not None:
        project.land("fact_sales", sales, UNTIDY.column_types)
    run = project.dbt(*SOURCES_TO_MARTS, vars=VARS)
    assert run.success, run.problems
    return {name: plain(project.read(name)) for name in RELATIONS}


def build_four_times(project: Project) -> list[dict[str, pd.DataFrame]]:
    """[first, built again, rows of both sources in another order, with later sales as well]."""
    project.land("dim_customers", CUSTOMERS, CUSTOMER_TYPES)
    first = _build(project, SALES)
    again = _build(project)
    project.land("dim_customers", CUSTOMERS.iloc[::-1], CUSTOMER_TYPES)
    shuffled = SALES.sample(frac=1, random_state=5)
    return [
        first,
        again,
        _build(project, shuffled),
        _build(project, pd.concat([later_sales(), shuffled])),
    ]


def later_sales() -> pd.DataFrame:
    """Sales after the last one, in the same month: old customers, new ones, and returns."""
    last = pd.to_datetime(SALES["sale_date"].str[:10], errors="coerce")
    last = last[last <= pd.Timestamp(LATEST_PLAUSIBLE_DATE)].max()
    day = (last + dt.timedelta(days=1)).date()
    assert day.month == last.month, "the later sales have to leave the grid dates where they are"
    rng = np.random.default_rng(8)
    rows = [
        {
            "sale_id": f"later-{number}",
            "customer_id": f"{'c' if number % 3 else 'new'}{number:03d}",
            "sale_date": day.isoformat(),
            "revenue": str(int(rng.integers(1, 10_000))),
            "order_id": f"later-{number}",
            "is_return": "yes" if number % 7 == 0 else None,
            "channel": "shop",
        }
        for number in range(100)
    ]
    columns = list(SALES.columns)
    return object_frame(columns, [[row.get(name) for name in columns] for row in rows])


BUILDS = {target: on(target, build_four_times) for target in TARGETS}
on_each_engine = builds(*BUILDS.values())


def changed(before: dict[str, pd.DataFrame], after: dict[str, pd.DataFrame]) -> dict[str, str]:
    """What differs between two builds, every column of every row, the rejected ones too."""
    found = {name: differences(rows, after[name], KEYS[name]) for name, rows in before.items()}
    return {name: difference for name, difference in found.items() if difference}


@on_each_engine
def test_building_again_changes_nothing(built):
    first, again, _, _ = built
    assert len(first["rfm_marts.customer_rfm"]) > 100
    assert changed(first, again) == {}


@on_each_engine
def test_the_order_of_rows_does_not_matter(built):
    first, _, shuffled, _ = built
    assert changed(first, shuffled) == {}


@builds(BUILDS["postgres"])
def test_both_engines_build_the_same(under_way, built):
    on_duckdb = under_way(BUILDS["duckdb"]).result()
    assert changed(on_duckdb[0], built[0]) == {}


@on_each_engine
def test_later_sales_do_not_change_earlier_dates(built):
    before, _, _, after = built
    dates = before["rfm_intermediate.int_as_of_dates"]
    past = set(dates.loc[~dates["is_current"].astype(bool), "as_of_date"])
    assert len(past) == 2
    for name in ("int_customer_metrics", "int_rfm_scores"):
        relation = f"rfm_intermediate.{name}"
        assert _slices(before, relation, past) == _slices(after, relation, past)
    relation = "rfm_marts.score_cut_points"
    assert _slices(before, relation, past) == _slices(after, relation, past)
    # The current date has moved on: the comparison above is one of different builds.
    relation = "rfm_intermediate.int_rfm_scores"
    assert len(after[relation]) > len(before[relation])


def _slices(build: dict[str, pd.DataFrame], relation: str, dates: set[dt.date]) -> list[str]:
    rows = build[relation]
    rows = rows[rows["as_of_date"].isin(dates)]
    assert len(rows) > 0
    return sorted(map(repr, rows.itertuples(index=False, name=None)))


# ---------------------------------------------------------------------------------------------
# What scores, probabilities, clusters, campaigns and budgets are judged by
# ---------------------------------------------------------------------------------------------

# {mart: its key}
JUDGEMENTS: dict[str, tuple[str, ...]] = {
    "score_retention_validation": ("scope", "horizon_code", "dimension", "level"),
    "score_validation_summary": ("scope", "horizon_code", "dimension", "segment_scheme"),
    "validation_findings": ("finding_code", "subject"),
    "scheme_comparison": ("scope", "horizon_code", "segment_scheme"),
    "scheme_inversions": ("lifecycle_stage", "segment_key", "other_segment_key"),
    "segment_separation": ("horizon_code", "segment_key", "other_segment_key"),
    "signal_importance": ("signal",),
    "customer_propensity": ("customer_id",),
    "propensity_scorecard": ("fit_code", "signal"),
    "propensity_performance": ("fit_code", "variant"),
    "propensity_deciles": ("fit_code", "variant", "decile"),
    "discovered_segments": ("cluster_number",),
    "discovered_segment_choices": ("cluster_count",),
    "discovered_segment_crosswalk": ("cluster_number", "segment_key"),
    "campaign_results": ("experiment_code", "segment_key", "arm"),
    "campaign_lift": ("experiment_code", "segment_key", "arm"),
    "experiment_power": ("experiment_code", "segment_key"),
    "global_holdout_report": ("experiment_code", "report_scope", "period_start"),
    "segment_upside": ("segment_key",),
    "retention_budget_plan": ("customer_id",),
    "retention_budget_by_segment": ("segment_key",),
    "retention_budget_curve": ("curve_point",),
    "retention_what_if": ("policy_code", "segment_key"),
    "segment_review": ("segment_key",),
}
AREAS = ("validation", "propensity", "discovery", "measurement", "budget")
# Returning and lost ones enough for a model, and many customers alike, so that ties matter.
IN_ORDER = with_behaviour(shop(480, 21, orders_a_year=5), 6)


EXPERIMENTS = ["everybody,,,,true,0.2,all,2022-01-01,,50,Programme"]


def experiment() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Three arms of uneven sizes among the customers of the shop, and the contacts of two."""
    random = np.random.default_rng(4)
    assignments, contacts = [], []
    for number, customer in enumerate(sorted(set(IN_ORDER["fact_sales"]["customer_id"]))):
        arm = str(random.choice(["nothing", "mail", "call"], p=[0.3, 0.4, 0.3]))
        share = {"nothing": "0.3", "mail": "0.4", "call": "0.3"}[arm]
        day = FIRST + dt.timedelta(300 + number % 20)
        assignments.append(("autumn", customer, arm, str(arm == "nothing"), day, share))
        if arm != "nothing" or random.random() < 0.02:
            cost = Decimal(f"{random.uniform(0.05, 4):.2f}")
            contacts.append((f"k{number}", "autumn", customer, day, cost))
    names = ["experiment_code", "customer_id", "arm", "is_control", "assigned_at", "planned_share"]
    more = ["contact_id", "campaign_id", "customer_id", "contacted_at", "contact_cost"]
    return object_frame(names, assignments), object_frame(more, contacts)


def build_judgements(project: Project, order: str) -> dict[str, pd.DataFrame]:
    """All marts that judge, of the same sales, products, events, assignments and contacts."""
    tables = [*IN_ORDER.values(), *experiment()]
    if order != "in order":
        tables = [rows.sample(frac=1, random_state=7) for rows in tables]
    *of_shop, assignments, contacts = tables
    sources = dict(zip(IN_ORDER, of_shop, strict=True))
    dates = {"assigned_at": "date", "contacted_at": "date", "contact_cost": "decimal(18, 2)"}
    for name, rows in (
        ("fact_experiment_assignments", assignments),
        ("fact_campaign_contacts", contacts),
    ):
        project.land(name, rows, {column: dates.get(column, "varchar") for column in rows})
    write_policy(project, EXPERIMENTS)
    run = land_and_build(
        project,
        sources,
        "run",
        " ".join(f"+marts.{area}" for area in AREAS),
        **BEHAVIOUR,
        history_periods=9,
        using_experiment_assignments=True,
        using_campaign_contacts=True,
        retention_budget=60,
        high_touch_capacity=5,
    )
    assert run.success, run.problems
    return {name: plain(project.read(f"rfm_marts.{name}")) for name in JUDGEMENTS}


def judged(target: str, order: str) -> Build:
    return on(target, build_judgements, order)


@builds(*(judged(target, "shuffled") for target in TARGETS), judged("postgres", "in order"))
def test_judgements_do_not_depend_on_the_order_of_rows_or_the_engine(under_way, build, built):
    marts = {
        path.stem for area in AREAS for path in (PROJECT_ROOT / "models/marts" / area).glob("*.sql")
    }
    assert marts == set(JUDGEMENTS)
    (order,) = build.arguments
    other = judged(build.target if order == "shuffled" else "duckdb", "in order")
    before = under_way(other).result()
    found = {
        name: differences(before[name], built[name], key) for name, key in JUDGEMENTS.items()
    }
    assert {name: difference for name, difference in found.items() if difference} == {}
    # There was something to compare: a model and clusters, figures of all kinds and all sources.
    kinds = before["signal_importance"].dropna(subset="auc")["signal_kind"]
    assert set(kinds) == {"rfm", "metric", "flag", "engagement", "affinity"}
    assert "ln_events_90d" in set(before["propensity_scorecard"]["signal"])
    levels = before["score_retention_validation"]
    assert (levels["dimension"] == "engagement_score").any()
    assert set(before["customer_propensity"]["method"]) == {"model"}
    assert len(before["discovered_segments"]) > 2
    empty = [name for name, rows in before.items() if rows.empty and name != "validation_findings"]
    assert empty == []
    lift = before["campaign_lift"]
    lift = lift[lift["experiment_code"] == "autumn"].set_index(["segment_key", "arm"])
    assert lift.loc["(total)"].notna().loc[:, ["retention_lift_low", "cuped_lift", "cost"]].all(None)
    assert before["retention_budget_plan"]["is_treated"].astype(bool).any()
