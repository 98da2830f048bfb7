"""Stages, engagement, behaviour and affinity of all five sources against the pandas oracle."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from python_checks import behaviour_cases, behaviour_oracle, oracle
from python_checks.behaviour_cases import COLUMN_TYPES, BehaviourCase
from python_checks.dbt_project import TARGETS, VALIDATION, Build, Project, Run, builds, default_vars, on
from python_checks.expected_marts import (
    Policy,
    as_of_dates,
    differences,
    plain,
    read_policy,
)

TABLES = {
    "fact_sales": "sales",
    "dim_customers": "customers",
    "dim_products": "products",
    "fact_engagement_events": "events",
    "fact_campaign_contacts": "contacts",
}
COLUMNS = {
    "rfm_intermediate.int_lifecycle_stages": (
        "as_of_date customer_id lifecycle_stage order_date_count own_gap_days group_gap_days"
        " expected_gap_days expected_gap_before_last_days silence_ratio first_order_date"
        " previous_order_date third_last_order_date"
    ),
    "rfm_intermediate.int_customer_engagement": (
        "as_of_date customer_id days_since_last_event days_since_last_engagement event_count"
        " event_count_30d event_count_90d event_trend engagement_value engagement_score"
        " last_event_date"
    ),
    "rfm_intermediate.int_customer_behaviour": (
        "as_of_date customer_id top_category order_count returned_order_count"
        " discounted_order_count channel_count category_count season_year_count sales_amount"
        " return_amount discount_amount largest_order_amount return_rate_by_value"
        " return_rate_by_orders discounted_order_share discount_depth largest_order_share"
        f" recent_gap_days earlier_gap_days top_category_share season_share"
        f" {' '.join(behaviour_oracle.FLAGS)}"
    ),
    "rfm_marts.customer_engagement": (
        "as_of_date customer_id event_family days_since_last_event days_since_last_engagement"
        " event_count event_count_30d event_count_90d event_trend engagement_value last_event_date"
    ),
    "rfm_marts.purchase_cycles": (
        "as_of_date score_group customer_count order_date_count gap_days_q1 gap_days_median"
        " gap_days_q3 gap_days_p90"
    ),
    "rfm_marts.customer_category_affinity": (
        "as_of_date customer_id affinity_type affinity_rank item item_name spend_amount"
        " spend_share base_share affinity_index"
    ),
    "rfm_marts.customer_segments": (
        "as_of_date customer_id lifecycle_stage top_category engagement_score expected_gap_days"
        " silence_ratio days_since_last_event days_since_last_engagement event_count_30d"
        " event_count_90d event_trend"
        f" category_count {' '.join(behaviour_oracle.FLAGS)}"
        " is_engaged_not_buying is_buying_not_engaged"
    ),
}
KEYS = {
    **dict.fromkeys(COLUMNS, ("as_of_date", "customer_id")),
    "rfm_marts.customer_engagement": ("as_of_date", "customer_id", "event_family"),
    "rfm_marts.purchase_cycles": ("as_of_date", "score_group"),
    "rfm_marts.customer_category_affinity": ("customer_id", "affinity_type", "affinity_rank"),
}


# Read whole, and derived from the customers in their segments (which test_marts_agree.py derives).
DERIVED = {
    "rfm_marts.next_best_categories": ("segment_key", "top_category", "category"),
    "rfm_marts.customer_next_best_category": ("customer_id",),
    "rfm_marts.segment_profile": ("segment_key", "trait_type", "trait_value"),
}
SEGMENTED = "customers in their segments"
# The shipped thresholds leave no proposal among a few hundred customers.
FEW_CUSTOMERS = {"next_best_min_buyers": "3", "next_best_min_share": "0.1"}


@dataclass(frozen=True)
class Variant:
    """Vars, cells of the threshold seeds that differ, sales columns and categories left out."""

    vars: Mapping[str, Any]
    thresholds: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    excluded_category: str | None = None


VARIANTS = {
    "all_sources": Variant({"history_periods": 3, "history_grain": "quarter"}),
    "other_settings": Variant(
        {
            "score_group": "score_group",
            "min_group_customers": 20,
            "tie_method": "split",
            "score_tiles": 5,
            "lookback_days": 120,
            "gap_prior_strength": 0,
            "history_periods": 2,
        },
        {
            "active_until": "1.5",
            "lapsing_until": "3",
            "new_until": "2.5",
            "reactivated_after": "2.25",
            "engaged_within_days": "45",
            "affinity_prior_orders": "0",
            "next_best_min_buyers": "2",
            "next_best_prior_customers": "5",
            "high_return_rate_by_value": "0.1",
            "return_rate_min_orders": "1",
            "single_category_share": "0.5",
            "seasonal_share": "0.6",
            "seasonal_min_years": "1",
            "one_big_order_share": "0.4",
            "declining_frequency_min_order_dates": "5",
        },
        ("discount_amount",),
    ),
    "free_orders_count": Variant({"count_zero_value_orders": True}, excluded_category="GARDEN"),
}


def the_case(name: str) -> BehaviourCase:
    case = behaviour_cases.behaviour_case(event_types=read_policy().event_types)
    absent = [column for column in VARIANTS[name].without if column in case.sales]
    return replace(case, sales=case.sales.drop(columns=absent))


def the_vars(name: str) -> dict[str, Any]:
    sources = ("customers", "products", "engagement_events", "campaign_contacts")
    latest = behaviour_cases.LATEST_PLAUSIBLE_DATE.isoformat()
    used = {f"using_{source}": True for source in sources}
    return {"latest_plausible_date": latest, **used, **VARIANTS[name].vars}


def change_thresholds(project: Project, values: Mapping[str, str]) -> None:
    """Other values for some codes of the threshold files; the seeds are not loaded yet."""
    for seed in ("lifecycle_thresholds", "behaviour_thresholds"):
        file = project.seeds / f"{seed}.csv"
        cells = oracle.read_rules(file)
        changed = [values.get(code) for code in cells["threshold_code"]]
        column = cells.columns[1]
        cells[column] = [new or old for new, old in zip(changed, cells[column], strict=True)]
        cells.to_csv(file, index=False)


def build_variant(
    project: Project, name: str
) -> tuple[Run, dict[str, pd.DataFrame], Policy]:
    """Land the five sources, change the thresholds, run everything."""
    case = the_case(name)
    for table, entity in TABLES.items():
        rows = getattr(case, entity)
        types = {column: COLUMN_TYPES[entity][column] for column in rows.columns}
        project.land(table, rows, types)
    change_thresholds(project, FEW_CUSTOMERS | dict(VARIANTS[name].thresholds))
    if VARIANTS[name].excluded_category:
        with (project.seeds / "excluded_categories.csv").open("a") as file:
            file.write(f"{VARIANTS[name].excluded_category},A test.\n")
    run = project.dbt("seed")
    assert run.success, run.problems
    run = project.dbt("run", "--exclude", "build_warnings", *VALIDATION, vars=the_vars(name))
    found = {}
    if run.success:
        found = {
            relation: project.read(relation, ", ".join(columns.split()))
            for relation, columns in COLUMNS.items()
        }
        found |= {relation: project.read(relation) for relation in DERIVED}
        found[SEGMENTED] = project.read("rfm_marts.customer_segments")
    return run, found, read_policy(project.seeds)


# ---------------------------------------------------------------------------------------------
# The same from the oracle
# ---------------------------------------------------------------------------------------------


class _Expected:
    """The relations, put together date by date."""

    def __init__(self, case: BehaviourCase, settings: Mapping[str, Any], policy: Policy):
        self._settings, self._policy = settings, policy
        sales = oracle.classify(case.sales, settings["latest_plausible_date"])
        accepted = oracle.accepted_rows(sales)
        events = behaviour_cases.accepted_events(case.events)
        self._events = events[events["event_type"].notna()].reset_index(drop=True)
        self._people = pd.DataFrame(
            {
                "customer_id": case.customers["customer_id"],
                "created_date": oracle._read_dates(case.customers["created_at"])[0],
            }
        )
        self._groups = (
            behaviour_cases.score_groups(case.customers.to_dict("records"))
            if settings["score_group"]
            else None
        )
        self._products = policy.offered(case.products)
        self._has_discounts = "discount_amount" in case.sales.columns
        self._lines = behaviour_oracle.sale_lines(accepted)
        self._days = behaviour_oracle.order_days(
            self._lines, settings["count_zero_value_orders"]
        )
        self._current = oracle.current_as_of_date(accepted)
        self._parts: dict[str, list[pd.DataFrame]] = {relation: [] for relation in COLUMNS}
        for day in as_of_dates(settings, self._current):
            self._add(day)

    def derived(self, customers: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """The relations of DERIVED for rows of customer_segments."""
        segment_of = dict(zip(customers["customer_id"], customers["segment_key"], strict=True))
        table, proposals = behaviour_oracle.next_best_categories(
            self._lines,
            self._current,
            self._products,
            segment_of,
            self._policy.behaviour_thresholds,
        )
        profile = behaviour_oracle.segment_profile(customers, self._lines, self._current)
        return dict(zip(DERIVED, map(plain, (table, proposals, profile)), strict=True))

    def relations(self) -> dict[str, pd.DataFrame]:
        return {
            relation: plain(pd.concat([plain(part) for part in parts], ignore_index=True))[
                COLUMNS[relation].split()
            ]
            for relation, parts in self._parts.items()
        }

    def _add(self, day: dt.date) -> None:
        settings, policy = self._settings, self._policy
        events, types, groups = self._events, policy.event_types, self._groups
        is_current = day == self._current
        known = behaviour_oracle.known_customers(
            self._lines, day, events, self._people, is_current
        )
        cycles = behaviour_oracle.purchase_cycles(
            self._days,
            day,
            known,
            groups,
            settings["gap_prior_strength"],
            settings["default_purchase_gap_days"],
            settings["min_group_customers"],
        )
        stages = behaviour_oracle.lifecycle_stages(cycles, policy.lifecycle_thresholds)
        self._add_stages(day, cycles, stages)
        summary = behaviour_oracle.cycle_summary(cycles, groups)
        # The relation has no row for '(all)' while nobody has a gap.
        self._parts["rfm_marts.purchase_cycles"].append(summary[summary["customer_count"] > 0])

        engaged = behaviour_oracle.engagement(
            events,
            types,
            day,
            known,
            stages,
            float(policy.behaviour_thresholds["engaged_within_days"]),
            settings["score_tiles"],
            settings["tie_method"],
        )
        before = behaviour_oracle._weighted_events(events, types, day)
        totals = before.groupby("customer_id").size()
        engaged["event_count"] = [int(totals.get(customer, 0)) for customer in known]
        self._parts["rfm_intermediate.int_customer_engagement"].append(engaged)

        judged = behaviour_oracle.behaviour(
            self._lines,
            self._days,
            day,
            known,
            policy.behaviour_thresholds,
            self._products,
            self._has_discounts,
        )
        judged["season_share"] = judged["best_season_share"]
        ordered = judged[judged["order_count"] > 0]
        self._parts["rfm_intermediate.int_customer_behaviour"].append(ordered)
        if is_current:
            self._add_marts(day, cycles, stages, engaged, judged, before)

    def _add_stages(self, day: dt.date, cycles: pd.DataFrame, stages: pd.DataFrame) -> None:
        rows = cycles.merge(stages, on=["as_of_date", "customer_id"])
        dates = behaviour_oracle._order_dates(self._days, day)
        from_last = dates.groupby("customer_id").cumcount(ascending=False)
        third_last = dates[from_last == 2].set_index("customer_id")["sale_date"]
        rows["third_last_order_date"] = rows["customer_id"].map(third_last)
        # Documented as null for customers without an order.
        never = rows["order_date_count"] == 0
        rows["order_date_count"] = rows["order_date_count"].astype("Int64").mask(never)
        rows["group_gap_days"] = rows["group_gap_days"].mask(never)
        self._parts["rfm_intermediate.int_lifecycle_stages"].append(rows)

    def _add_marts(
        self,
        day: dt.date,
        cycles: pd.DataFrame,
        stages: pd.DataFrame,
        engaged: pd.DataFrame,
        judged: pd.DataFrame,
        before: pd.DataFrame,
    ) -> None:
        policy = self._policy
        families = behaviour_oracle.engagement_by_family(self._events, policy.event_types, day)
        totals = before.groupby(["customer_id", "event_family"]).size()
        keys = zip(families["customer_id"], families["event_family"], strict=True)
        families["event_count"] = [int(totals[key]) for key in keys]
        self._parts["rfm_marts.customer_engagement"].append(families)

        items = behaviour_oracle.affinity(
            self._lines,
            self._days,
            day,
            self._products,
            float(policy.behaviour_thresholds["affinity_prior_orders"]),
        )
        # Documented as null: a product whose name is not known.
        named = {
            oracle.id_text(product): oracle.id_text(name)
            for product, name in zip(
                self._products["product_id"], self._products["product_name"], strict=True
            )
        }
        is_product = items["affinity_type"] == "product"
        names = [
            named.get(item) if product else item
            for item, product in zip(items["item"], is_product, strict=True)
        ]
        items["item_name"] = oracle._text_series(names, items.index)
        self._parts["rfm_marts.customer_category_affinity"].append(items)

        key = ["as_of_date", "customer_id"]
        flags = ["top_category", "category_count", *behaviour_oracle.FLAGS]
        whole = cycles[[*key, "expected_gap_days"]].merge(stages, on=key)
        whole = whole.merge(engaged, on=key).merge(judged[[*key, *flags]], on=key)
        self._parts["rfm_marts.customer_segments"].append(whole)


def expectation(name: str, policy: Policy) -> _Expected:
    return _Expected(the_case(name), default_vars() | the_vars(name), policy)


def _plan() -> Iterator[Build]:
    for target in TARGETS:
        for name in VARIANTS:
            yield on(target, build_variant, name)


@builds(*_plan())
def test_the_behaviour_of_customers_agrees(build, built):
    (name,), (run, found, policy) = build.arguments, built
    assert run.success, run.problems
    expected = expectation(name, policy)
    problems = {
        relation: differences(rows, plain(found[relation]), KEYS[relation])
        for relation, rows in expected.relations().items()
    }
    derived = expected.derived(found[SEGMENTED])
    assert all(len(rows) for rows in derived.values())
    for relation, rows in derived.items():
        problems[relation] = differences(
            rows, plain(found[relation][list(rows.columns)]), DERIVED[relation]
        )
    problems = {relation: text for relation, text in problems.items() if text}
    assert not problems, "\n".join(f"{relation}: {text}" for relation, text in problems.items())


def test_the_case_has_every_stage_and_flag():
    """What agrees is no agreement of empty sets."""
    for name in ("all_sources", "other_settings"):
        relations = expectation(name, read_policy()).relations()
        mart = relations["rfm_marts.customer_segments"]
        assert set(mart["lifecycle_stage"]) == set(behaviour_oracle.LIFECYCLE_STAGES)
        for flag in behaviour_oracle.FLAGS:
            if name == "all_sources" or flag != "is_discount_dependent":
                assert {True, False} <= set(mart[flag]), flag
        assert mart["is_engaged_not_buying"].any() and mart["is_buying_not_engaged"].any()
        assert len(relations["rfm_marts.customer_category_affinity"]) > 500
