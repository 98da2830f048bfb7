"""Sources that break naive RFM code: whatever lands, the marts are what the definitions say."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

import pandas as pd
import pytest

from python_checks import hard_cases
from python_checks.dbt_project import FULL, Project, Run
from python_checks.expected_marts import RELATIONS, assert_same, expected_marts
from python_checks.hard_cases import CUSTOMER_TYPES, LATEST_PLAUSIBLE_DATE, HardCase

CASES = {case.name: case for case in hard_cases.all_cases()}

# Types, text order, collation, ids, dates, money and score groups are where engines differ.
ON_POSTGRES = (
    "ties_everywhere",
    "two_score_groups",
    "heavy_tailed",
    "returns_around_orders",
    "flagged_returns",
    "rows_without_order_id",
    "lookback_edge",
    "known_customers",
    "float_ids",
    "integer_ids",
    "leading_zeros",
    "mixed_case_ids",
    "unicode_ids",
    "quoted_ids",
    "repeated_sale_ids",
    "bad_dates",
    "far_future",
    "late_timestamps",
    "bad_revenue",
    "non_finite_doubles",
    "half_cents_as_double",
    "half_cents_as_text",
    "half_cents_as_decimal",
    "several_faults",
    "empty_sales",
    "large_amounts",
)
# Where ties are split, by customer id.
SPLIT = (
    "ties_everywhere",
    "all_equal",
    "three_customers",
    "two_score_groups",
    "mixed_case_ids",
    "unicode_ids",
)


def _plan() -> list[tuple[str, str, str]]:
    """(target, case, tie method) of every build."""
    names = list(CASES)
    plan = [("duckdb", name, "shared") for name in names]
    plan += [("duckdb", name, "split") for name in (names if FULL else SPLIT)]
    plan += [("postgres", name, "shared") for name in (names if FULL else ON_POSTGRES)]
    plan += [("postgres", name, "split") for name in (names if FULL else ("unicode_ids",))]
    return plan


def case_vars(case: HardCase, tie_method: str) -> dict[str, Any]:
    return {
        "latest_plausible_date": LATEST_PLAUSIBLE_DATE.isoformat(),
        "tie_method": tie_method,
        "using_customers": case.customers is not None,
        **case.settings,
    }


def build_case(
    project: Project, case: HardCase, vars: Mapping[str, Any]
) -> tuple[Run, dict[str, pd.DataFrame]]:
    """Land the case, run what depends on the sources, read everything."""
    project.land("fact_sales", case.sales, case.column_types)
    if case.customers is not None:
        project.land("dim_customers", case.customers, CUSTOMER_TYPES)
    run = project.dbt("run", "--select", "base_sales+", "base_customers+", vars=vars)
    return run, {relation: project.read(relation) for relation in RELATIONS} if run.success else {}


@pytest.fixture(scope="module")
def builds(request, workers) -> dict[tuple[str, str, str], Future]:
    """All builds that the chosen tests need, under way."""
    chosen = [
        item.callspec.params["build"]
        for item in request.session.items
        if item.path == request.path and "build" in getattr(item, "callspec", _NONE).params
    ]
    return {
        (target, name, tie_method): workers.submit(
            target, build_case, CASES[name], case_vars(CASES[name], tie_method)
        )
        for target, name, tie_method in chosen
    }


class _NONE:
    params: dict[str, Any] = {}


@pytest.mark.parametrize("build", _plan(), ids="-".join)
def test_the_marts_are_what_the_definitions_say(builds, build):
    _, name, tie_method = build
    case = CASES[name]
    run, found = builds[build].result()
    assert run.success, run.log
    expected = expected_marts(case.sales, case.customers, case_vars(case, tie_method))
    shown = found["rfm_staging.stg_sales_rejected"]
    if case.types == "text":
        texts = sorted(map(repr, zip(shown["sale_date_text"], shown["revenue_text"], strict=True)))
        assert texts == _rejected_texts(case, expected), "the rejected rows show another text"
    columns = expected["rfm_staging.stg_sales_rejected"].columns
    found["rfm_staging.stg_sales_rejected"] = shown[columns]
    assert_same(expected, found)


def _rejected_texts(case: HardCase, expected: Mapping[str, pd.DataFrame]) -> list[str]:
    """The source's own text of the rejected rows' date and revenue."""
    from python_checks import oracle

    reasons = oracle.classify(case.sales, LATEST_PLAUSIBLE_DATE)["rejection_reason"]
    rows = case.sales[reasons.notna()]
    return sorted(map(repr, zip(rows["sale_date"], rows["revenue"], strict=True)))
