"""Sources that break naive RFM code: whatever lands, the marts are what the definitions say."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from python_checks import hard_cases
from python_checks.dbt_project import (
    FULL,
    SOURCES_TO_MARTS,
    Build,
    Project,
    Run,
    builds,
    object_frame,
    on,
)
from python_checks.expected_marts import (
    RELATIONS,
    Source,
    assert_same,
    expected_marts,
    expected_staging,
)
from python_checks.hard_cases import CUSTOMER_TYPES, LATEST_PLAUSIBLE_DATE, HardCase

REJECTED = "rfm_staging.stg_sales_rejected"
CASES = {case.name: case for case in hard_cases.all_cases()}

# Types, text order, collation, ids, dates, money and score groups are where engines differ.
ON_POSTGRES = (
    "padded_text",
    "ties_everywhere",
    "two_score_groups",
    "heavy_tailed",
    "returns_around_orders",
    "flagged_returns",
    "known_customers",
    "float_ids",
    "integer_ids",
    "mixed_case_ids",
    "unicode_ids",
    "quoted_ids",
    "repeated_sale_ids",
    "bad_dates",
    "far_future",
    "late_timestamps",
    "zoned_timestamps",
    "bad_revenue",
    "non_finite_doubles",
    "half_cents_as_double",
    "half_cents_as_text",
    "half_cents_as_decimal",
    "empty_sales",
    "large_amounts",
    "untidy_text",
)
# Where ties are split, by customer id.
SPLIT = (
    "ties_everywhere",
    "all_equal",
    "three_customers",
    "two_score_groups",
    "mixed_case_ids",
    "unicode_ids",
    "untidy_text",
)


def case_vars(case: HardCase, tie_method: str) -> dict[str, Any]:
    return {
        "latest_plausible_date": LATEST_PLAUSIBLE_DATE.isoformat(),
        "tie_method": tie_method,
        "using_customers": case.customers is not None,
        **case.settings,
    }


def land_and_run(
    project: Project, case: HardCase, vars: Mapping[str, Any]
) -> tuple[Run, dict[str, pd.DataFrame]]:
    """Land the case, run what depends on the sources, read everything."""
    project.land("fact_sales", case.sales, case.column_types)
    if case.customers is not None:
        project.land("dim_customers", case.customers, CUSTOMER_TYPES)
    run = project.dbt(*SOURCES_TO_MARTS, vars=vars)
    return run, {relation: project.read(relation) for relation in RELATIONS} if run.success else {}


def build_case(
    project: Project, name: str, tie_method: str
) -> tuple[Run, dict[str, pd.DataFrame]]:
    return land_and_run(project, CASES[name], case_vars(CASES[name], tie_method))


def _plan() -> Iterator[Build]:
    for target, tie_method, chosen in (
        ("duckdb", "shared", CASES),
        ("duckdb", "split", SPLIT),
        ("postgres", "shared", ON_POSTGRES),
        ("postgres", "split", ("unicode_ids",)),
    ):
        for name in CASES if FULL else chosen:
            yield on(target, build_case, name, tie_method)


@builds(*_plan())
def test_the_marts_are_what_the_definitions_say(build, built):
    name, tie_method = build.arguments
    case, (run, found) = CASES[name], built
    assert run.success, run.problems
    vars = case_vars(case, tie_method)
    source = Source(case.sales, case.customers, LATEST_PLAUSIBLE_DATE)
    expected = expected_marts(source, vars) | expected_staging(source, vars)
    assert_rejected_rows_show_their_text(case, source, found[REJECTED])
    found[REJECTED] = found[REJECTED][expected[REJECTED].columns]
    assert_same(expected, found)


def assert_rejected_rows_show_their_text(case, source, rejected):
    """Date and revenue as the source wrote them, so that somebody can mend the row."""
    if case.types != "text":
        return
    # Which of two equal rows is the repeated one is for the stability checks.
    reasons = source.classified["rejection_reason"]
    wrong = case.sales[reasons.notna() & reasons.ne("repeated_sale_id")]
    shown = rejected[rejected["rejection_reason"].ne("repeated_sale_id")]
    assert sorted(map(repr, zip(wrong["sale_date"], wrong["revenue"], strict=True))) == sorted(
        map(repr, zip(shown["sale_date_text"], shown["revenue_text"], strict=True))
    )


# ---------------------------------------------------------------------------------------------
# Generated cases (RFM_FULL=1)
# ---------------------------------------------------------------------------------------------

IDS = st.sampled_from(["a", "A", "b", "10", "9", "é", " a ", "", None, "a b"])
DATES = st.one_of(
    st.dates(dt.date(2023, 1, 1), dt.date(2023, 3, 1)).map(dt.date.isoformat),
    st.sampled_from(["2023-02-29", "1899-12-31", "9999-12-31", "", None, "2023-01-31T23:59:59Z"]),
)
AMOUNTS = st.one_of(
    st.integers(-2000, 100_000).map(lambda cents: str(Decimal(cents).scaleb(-2))),
    st.integers(-99_999, 99_999).map(lambda mills: str(Decimal(mills).scaleb(-3))),
    st.sampled_from(["0", "-0", "1e1", "NaN", "inf", "1e12", "-1e30", "", None, "1,5"]),
)
ROWS = st.tuples(
    st.one_of(st.none(), st.sampled_from(["s1", "s2", "s3"])),
    IDS,
    DATES,
    AMOUNTS,
    st.one_of(st.none(), st.sampled_from(["o1", "o2", " o2 "])),
    st.sampled_from([None, "yes", "no", "T"]),
    st.sampled_from([None, "north", "south"]),
)
GENERATED_COLUMNS = (
    *("sale_id", "customer_id", "sale_date", "revenue", "order_id", "is_return", "channel"),
)
GENERATED_VARS = st.fixed_dictionaries(
    {
        "tie_method": st.sampled_from(["shared", "split"]),
        "lookback_days": st.sampled_from([None, 1, 7, 30]),
        "count_zero_value_orders": st.booleans(),
        "as_of_date": st.sampled_from([None, "2023-02-01", "2023-06-01"]),
        "history_periods": st.integers(0, 3),
        "history_grain": st.sampled_from(["day", "week", "month", "quarter"]),
        "score_group": st.sampled_from([None, "sales.channel"]),
        "min_group_customers": st.integers(1, 4),
        "frequency_weight": st.sampled_from([0, 1, 2.5]),
    }
)


@pytest.mark.skipif(not FULL, reason="takes minutes; RFM_FULL=1 runs it")
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=st.lists(ROWS, max_size=60), vars=GENERATED_VARS)
def test_generated_sales_agree(workers, rows, vars):
    sales = object_frame(GENERATED_COLUMNS, rows)
    types = dict.fromkeys(GENERATED_COLUMNS, "varchar")
    case = HardCase("generated", "anything", sales, "text", types)
    vars = {"latest_plausible_date": LATEST_PLAUSIBLE_DATE.isoformat(), **vars}
    run, found = workers.submit(on("duckdb", land_and_run, case, vars)).result()
    assert run.success, run.problems
    source = Source(sales, latest_plausible_date=LATEST_PLAUSIBLE_DATE)
    expected = expected_marts(source, vars) | expected_staging(source, vars)
    found[REJECTED] = found[REJECTED][expected[REJECTED].columns]
    assert_same(expected, found)
