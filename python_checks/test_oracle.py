"""The oracle against examples worked out by hand, and against a second form of itself."""

from __future__ import annotations

import datetime as dt
import doctest
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from python_checks import hard_cases, oracle

LATEST = hard_cases.LATEST_PLAUSIBLE_DATE
CASES = {case.name: case for case in hard_cases.all_cases(heavy_tailed_customers=400)}


def sales(*rows: tuple[Any, ...], columns: str = "customer_id sale_date revenue") -> pd.DataFrame:
    """Rows as an object frame; missing trailing values are null."""
    names = columns.split()
    filled = [(*row, *[None] * (len(names) - len(row))) for row in rows]
    return pd.DataFrame(filled, columns=names, dtype=object)


def accepted(
    *rows: tuple[Any, ...], columns: str = "customer_id sale_date revenue"
) -> pd.DataFrame:
    return oracle.accepted_rows(oracle.classify(sales(*rows, columns=columns), LATEST))


def accepted_case(name: str) -> pd.DataFrame:
    return oracle.accepted_rows(oracle.classify(CASES[name].sales, LATEST))


def case_metrics(name: str, **arguments: Any) -> pd.DataFrame:
    rows = accepted_case(name)
    day = arguments.pop("as_of_date", oracle.current_as_of_date(rows))
    return oracle.metrics(rows, day, **arguments).set_index("customer_id")


def people(*triples: tuple[int, int, Any]) -> pd.DataFrame:
    """`metrics` of scored customers 'a', 'b', … from (days, orders, money)."""
    return pd.DataFrame(
        {
            "as_of_date": pd.Timestamp("2023-06-01"),
            "customer_id": [chr(97 + n) if n < 26 else f"z{n:04d}" for n in range(len(triples))],
            "days_since_last_order": [days for days, _, _ in triples],
            "order_count": [count for _, count, _ in triples],
            "net_revenue": [Decimal(str(money)) for _, _, money in triples],
            "is_scored": True,
            "unscored_segment_code": None,
        }
    )


def test_docstring_examples_hold() -> None:
    result = doctest.testmod(oracle)
    assert result.attempted >= 7
    assert result.failed == 0


# ---------------------------------------------------------------------------------------------
# classify
# ---------------------------------------------------------------------------------------------


def test_each_row_gets_the_first_reason_that_applies() -> None:
    reasons = oracle.classify(CASES["several_faults"].sales, LATEST)["rejection_reason"].tolist()
    assert reasons == [
        "missing_customer_id",
        "missing_sale_date",
        "unparsable_sale_date",
        "implausible_sale_date",
        "non_finite_revenue",
        "absurd_revenue",
        "repeated_sale_id",
        None,
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023-01-05", "2023-01-05"),
        (" 2023-01-05 ", "2023-01-05"),
        ("2024-02-29", "2024-02-29"),
        ("2023-01-05T23:59:59.999999", "2023-01-05"),
        ("2023-01-05 00:30:00+02", "2023-01-05"),
        ("2023-01-05 00:30 -0800", "2023-01-05"),
        ("2023-01-05T00:30Z", "2023-01-05"),
        ("1900-01-01", "1900-01-01"),
        ("", "missing_sale_date"),
        (None, "missing_sale_date"),
        ("2023-02-29", "unparsable_sale_date"),
        ("2023-02-30", "unparsable_sale_date"),
        ("yesterday", "unparsable_sale_date"),
        ("31/12/2023", "unparsable_sale_date"),
        ("20230105", "unparsable_sale_date"),
        ("2023-1-5", "unparsable_sale_date"),
        ("2023-01-05Z", "unparsable_sale_date"),
        ("2023-01-05T", "unparsable_sale_date"),
        ("2023-01-05\n", "2023-01-05"),
        ("0000-01-01", "unparsable_sale_date"),
        (20230105, "unparsable_sale_date"),
        ("0001-01-01", "implausible_sale_date"),
        ("1899-12-31", "implausible_sale_date"),
        ("9999-12-31", "implausible_sale_date"),
        ("2024-06-30 23:59:59", "2024-06-30"),
        ("2024-07-01", "implausible_sale_date"),
    ],
)
def test_dates(text: object, expected: str) -> None:
    row = oracle.classify(sales(("a", text, "1")), LATEST).iloc[0]
    if row["rejection_reason"] is None:
        assert row["sale_date"] == pd.Timestamp(expected)
    else:
        assert row["rejection_reason"] == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1.005", "1.01"),
        (1.005, "1.01"),
        (Decimal("1.005"), "1.01"),
        (2.675, "2.68"),
        (-2.675, "-2.68"),
        ("1.00499999999999999999999999999999", "1.00"),
        ("1.00500000000000000000000000000000000000000000000000000000000000000000000", "1.01"),
        ("-0", "0.00"),
        ("-0.004", "0.00"),
        ("5.", "5.00"),
        (".5", "0.50"),
        ("+1.5E+1", "15.00"),
        (" 8 ", "8.00"),
        (7, "7.00"),
        (np.int64(7), "7.00"),
        (np.float32(1.1), "1.10"),
        ("1e-99999999999999999999", "0.00"),
        ("0e99999999999999999999", "0.00"),
        ("1e-9999999", "0.00"),
        ("999999999999.99", "999999999999.99"),
        ("999999999999.995", "absurd_revenue"),
        ("1e12", "absurd_revenue"),
        (-1e30, "absurd_revenue"),
        ("1e400", "absurd_revenue"),
        ("-1e99999999999999999999", "absurd_revenue"),
        ("1,234.5", "unparsable_revenue"),
        ("12,50", "unparsable_revenue"),
        ("1_000", "unparsable_revenue"),
        ("١", "unparsable_revenue"),
        (".", "unparsable_revenue"),
        ("0x1F", "unparsable_revenue"),
        (True, "unparsable_revenue"),
        ("NaN", "non_finite_revenue"),
        ("+INF", "non_finite_revenue"),
        ("-Infinity", "non_finite_revenue"),
        (float("nan"), "non_finite_revenue"),
        (float("inf"), "non_finite_revenue"),
        (Decimal("NaN"), "non_finite_revenue"),
        (None, "missing_revenue"),
        (pd.NA, "missing_revenue"),
        ("  ", "missing_revenue"),
    ],
)
def test_revenue(value: object, expected: str) -> None:
    row = oracle.classify(sales(("a", "2023-01-05", value)), LATEST).iloc[0]
    if row["rejection_reason"] is None:
        assert str(row["revenue"]) == expected
    else:
        assert row["rejection_reason"] == expected


def test_nan_in_typed_floating_columns() -> None:
    frame = pd.DataFrame(
        {"customer_id": ["a", "b"], "sale_date": "2023-01-05", "revenue": [1, np.nan]}
    )
    assert oracle.classify(frame, LATEST)["rejection_reason"][1] == "non_finite_revenue"
    told = oracle.classify(frame, LATEST, float_nan="missing")["rejection_reason"]
    assert told.tolist() == [None, "missing_revenue"]
    frame["revenue"] = pd.array([1, pd.NA], dtype="Float64")
    assert oracle.classify(frame, LATEST)["rejection_reason"][1] == "missing_revenue"


def test_columns_of_every_type_read_the_same() -> None:
    day, stamp = dt.date(2023, 1, 5), dt.datetime(2023, 1, 5, 23, 59, 59)
    frames = [
        pd.DataFrame({"customer_id": ["17850"], "sale_date": ["2023-01-05"], "revenue": ["1.5"]}),
        pd.DataFrame({"customer_id": [17850], "sale_date": [day], "revenue": [1.5]}),
        pd.DataFrame(
            {"customer_id": [17850.0], "sale_date": [stamp], "revenue": [Decimal("1.50")]}
        ),
        pd.DataFrame(
            {
                "customer_id": [" 17850 "],
                "sale_date": pd.Series([stamp]).dt.tz_localize("Pacific/Auckland"),
                "revenue": pd.array([1.5], dtype="Float64"),
            }
        ),
        pd.DataFrame(
            {
                "customer_id": pd.Series([17850], dtype="Int64"),
                "sale_date": pd.Series([day], dtype="date32[pyarrow]"),
                "revenue": pd.Series([1.5], dtype="double[pyarrow]"),
            }
        ),
        sales((17850.0, pd.Timestamp(stamp, tz="Asia/Tokyo"), np.float32(1.5))),
    ]
    for frame in frames:
        row = oracle.classify(frame, LATEST).iloc[0]
        assert row["rejection_reason"] is None
        assert (row["customer_id"], row["revenue"]) == ("17850", Decimal("1.50"))
        assert row["sale_date"] == pd.Timestamp("2023-01-05")


def test_the_written_date_counts_in_mixed_zones() -> None:
    instant = pd.Timestamp("2023-01-05 23:30", tz="UTC")
    frame = sales(("a", instant, 1), ("a", instant.tz_convert("Asia/Tokyo"), 1))
    days = oracle.classify(frame, LATEST)["sale_date"].dt.strftime("%m-%d").tolist()
    assert days == ["01-05", "01-06"]


def test_repeated_sale_ids_keep_one_row_whatever_the_row_order() -> None:
    raw = CASES["repeated_sale_ids"].sales
    expected = None
    for seed in range(10):
        shuffled = raw.sample(frac=1, random_state=seed)
        kept = oracle.accepted_rows(oracle.classify(shuffled, LATEST))
        lines = sorted(
            map(
                str,
                kept[
                    ["sale_id", "customer_id", "revenue", "order_id", "product_id"]
                ].values.tolist(),
            )
        )
        expected = expected or lines
        assert lines == expected
    kept = accepted_case("repeated_sale_ids").set_index("sale_id")
    assert kept.loc["s2", "revenue"] == Decimal("10.00")
    assert kept.loc["s3", "customer_id"] == "C"
    assert kept.loc["s4", "product_id"] == "p1"
    assert kept.loc["s5", "order_id"] == "O5"
    assert kept.loc["s6", "sale_date"] == pd.Timestamp("2023-01-06")
    assert kept.index.isna().sum() == 3


def test_sale_and_return_with_one_sale_id_keep_the_sale() -> None:
    columns = "customer_id sale_date revenue sale_id is_return"
    rows = [("a", "2023-01-05", "10", "s", "true"), ("a", "2023-01-05", "10", "s", None)]
    for order in (rows, rows[::-1]):
        assert accepted(*order, columns=columns)["is_return"].tolist() == [False]


def test_ids_and_flags() -> None:
    columns = "customer_id sale_date revenue order_id is_return quantity discount_amount"
    row = accepted((" 007 ", "2023-01-05", "1", "  ", "YES", "2.50", "x"), columns=columns).iloc[0]
    assert (row["customer_id"], row["order_id"], row["is_return"]) == ("007", None, True)
    assert (row["quantity"], row["discount_amount"]) == (Decimal("2.5"), None)
    ids = [oracle.id_text(value) for value in (12.5, 1e20, Decimal("7.00"), np.float64(3), "7.0")]
    assert ids == ["12.5", "100000000000000000000", "7", "3", "7.0"]
    assert [oracle.truth(v) for v in (1, 2, -1.0, True, Decimal("1.0"), " t ")] == [True] * 6
    assert [oracle.truth(v) for v in (0, None, float("nan"), " ", "no")] == [False] * 5
    assert [oracle.truth(v) for v in ("X", "ja", "2", "1.00")] == [None] * 4


@pytest.mark.parametrize("name", CASES)
def test_every_row_is_accepted_or_rejected_with_a_known_reason(name: str) -> None:
    raw = CASES[name].sales
    result = oracle.classify(raw, LATEST)
    assert len(result) == len(raw)
    reasons = result["rejection_reason"]
    assert set(reasons.dropna()) <= set(oracle.REJECTION_REASONS)
    good = result[reasons.isna()]
    assert good[["customer_id", "sale_date", "revenue"]].notna().all(axis=None)
    assert not good["sale_id"].dropna().duplicated().any()


# ---------------------------------------------------------------------------------------------
# Orders and metrics
# ---------------------------------------------------------------------------------------------


def test_an_order_is_dated_by_its_earliest_paid_line() -> None:
    found = oracle.orders(accepted_case("multi_line_orders"))
    assert found[["customer_id", "order_id", "line_count"]].values.tolist() == [
        ["a", "o1", 3],
        ["b", "o2", 2],
        ["c", "o3", 1],
        ["d", "o4", 1],
    ]
    assert found["order_date"].dt.strftime("%m-%d").tolist() == ["01-02", "01-06", "01-07", "02-03"]
    assert found["revenue"].tolist() == [Decimal("60.00"), Decimal("16.00"), Decimal("4.00"), 1]


def test_rows_without_order_id_are_orders_of_their_own() -> None:
    found = oracle.orders(accepted_case("rows_without_order_id"))
    assert found.groupby("customer_id").size().to_dict() == {"a": 5, "b": 1}
    assert oracle.orders(accepted_case("shared_order_ids")).groupby(
        "customer_id"
    ).size().to_dict() == {
        "a": 1,
        "b": 2,
    }


def test_zero_priced_orders_count_only_when_told() -> None:
    plain = case_metrics("zero_priced_orders")
    assert plain["order_count"].to_dict() == {
        "only_zero": 0,
        "paid": 1,
        "paid_then_zero": 1,
        "zero_return": 0,
        "zero_then_paid": 1,
    }
    assert plain.loc["only_zero", "unscored_segment_code"] == "prospects"
    assert plain.loc["zero_then_paid", "days_since_last_order"] == 2
    told = case_metrics("zero_priced_orders", count_zero_value_orders=True)
    assert told["order_count"].to_dict() == plain["order_count"].to_dict() | {
        "only_zero": 1,
        "paid_then_zero": 2,
    }
    assert told.loc["zero_then_paid", "days_since_last_order"] == 6


def test_returns_never_add_orders_nor_refresh_recency() -> None:
    found = case_metrics("returns_only")
    assert found["net_revenue"].astype(str).to_dict() == {
        "buyer": "20.00",
        "only_flagged": "-9.00",
        "returner": "-25.00",
    }
    assert found["is_scored"].to_dict() == {"buyer": True, "only_flagged": False, "returner": False}
    flagged = case_metrics("flagged_returns")
    spellings = flagged.iloc[:8]  # listed spellings: both rows are returns of 12.50
    assert spellings["net_revenue"].tolist() == [Decimal("5.00")] * 8
    assert spellings["order_count"].tolist() == [1] * 8
    assert flagged.iloc[8:]["net_revenue"].tolist() == [Decimal("30.00")] * 9
    assert flagged.iloc[8:15]["order_count"].tolist() == [2] * 7
    # "2" and "return" mean nothing: both of their rows are rejected, the plain one is left.
    assert flagged.iloc[15:]["order_count"].tolist() == [1] * 2


def test_window_includes_its_first_day_and_excludes_the_day_before() -> None:
    found = case_metrics("lookback_edge", lookback_days=30)
    assert found["order_count"].to_dict() == {
        "both": 1,
        "first_in": 1,
        "last_day": 1,
        "last_out": 0,
        "zero_in": 0,
    }
    assert found["unscored_segment_code"].to_dict() == {
        "both": None,
        "first_in": None,
        "last_day": None,
        "last_out": "dormant",
        "zero_in": "dormant",
    }
    assert found.loc["both", "net_revenue"] == Decimal("5.00")
    assert found.loc["both", "first_order_date"] == pd.Timestamp("2023-03-11")
    assert found.loc["last_day", "days_since_last_order"] == 1
    assert found.loc["last_out", "days_since_last_order"] == 31


def test_returns_count_in_the_window_by_their_own_date() -> None:
    found = case_metrics("returns_around_orders", lookback_days=40)["net_revenue"].astype(str)
    assert found.to_dict() == {
        "bought_before_returned_in": "-100.00",
        "early_return": "40.00",
        "last_row_is_a_return": "0.00",
        "late_return": "0.00",
        "returned_before_bought_in": "30.00",
        "same_day": "0.00",
    }


def test_only_rows_before_the_as_of_date_are_known() -> None:
    found = case_metrics("past_as_of_date", as_of_date="2023-02-10")
    assert found["order_count"].to_dict() == {"day_before": 1, "early": 1, "spanning": 1}
    assert found.loc["spanning", "net_revenue"] == Decimal("1.00")
    assert found.loc["day_before", "days_since_last_order"] == 1


def test_known_customers_follow_created_at() -> None:
    table = CASES["known_customers"].customers
    assert table is not None
    current = case_metrics("known_customers", customers=table)
    assert current.index.tolist() == ["before", "buyer", "padded", "undated"]
    assert current["unscored_segment_code"].tolist() == [
        "prospects",
        None,
        "prospects",
        "prospects",
    ]
    assert current.loc["before", "net_revenue"] == Decimal("0.00")
    past = case_metrics("known_customers", customers=table, is_current=False)
    assert past.index.tolist() == ["before", "buyer", "padded"]
    without_dates = table.drop(columns="created_at")
    assert "after" in case_metrics("known_customers", customers=without_dates).index


def test_amounts_beyond_a_double_stay_exact() -> None:
    found = case_metrics("large_amounts")
    assert found.loc["a", "net_revenue"] == Decimal("199999999999998.01")


def test_empty_input_keeps_its_shape() -> None:
    for name in ("empty_sales", "all_rejected"):
        rows = accepted_case(name)
        assert oracle.current_as_of_date(rows) is None
        found = oracle.metrics(rows, "2023-01-01")
        scored = oracle.scores(found)
        assert (len(found), len(scored), len(oracle.score_cut_points(found))) == (0, 0, 0)
        assigned = oracle.segments(scored, CORE_FIVE, "core_five", found)
        summary = oracle.segment_summary(assigned, CORE_FIVE_CODES)
        assert summary["customer_count"].tolist() == [0] * 7
        assert summary["customer_share"].tolist() == [None] * 7
        assert len(oracle.customer_rfm(found)) == 0


def test_look_back_below_a_day_is_refused() -> None:
    with pytest.raises(ValueError, match="lookback_days"):
        oracle.metrics(accepted_case("one_customer"), "2023-06-01", lookback_days=0)


@pytest.mark.parametrize("name", CASES)
def test_metrics_do_not_depend_on_row_order(name: str) -> None:
    case = CASES[name]
    rows = accepted_case(name)
    day = oracle.current_as_of_date(rows) or dt.date(2023, 1, 1)
    mixed = oracle.accepted_rows(oracle.classify(case.sales.sample(frac=1, random_state=5), LATEST))
    lookback = case.settings.get("lookback_days")
    plain = oracle.metrics(rows, day, lookback, customers=case.customers)
    other = oracle.metrics(mixed, day, lookback, customers=case.customers)
    pd.testing.assert_frame_equal(plain, other)
    pd.testing.assert_frame_equal(oracle.scores(plain), oracle.scores(other))


def test_metrics_equal_a_loop_over_rows() -> None:
    """The heavy-tailed base once more with dictionaries and one row at a time."""
    rows = accepted_case("heavy_tailed")
    day, lookback = dt.date(2024, 3, 1), 200
    start = day - dt.timedelta(days=lookback)
    net: dict[str, Decimal] = {}
    first_line: dict[tuple[str, str], dt.date] = {}
    for row in rows.itertuples():
        date = row.sale_date.date()
        if date >= day:
            continue
        is_return = row.is_return or row.revenue < 0
        net.setdefault(row.customer_id, Decimal("0.00"))
        if date >= start:
            net[row.customer_id] += -abs(row.revenue) if is_return else row.revenue
        if not is_return and row.revenue > 0:
            key = (row.customer_id, row.order_id)
            first_line[key] = min(date, first_line.get(key, date))
    found = oracle.metrics(rows, day, lookback)
    assert found["customer_id"].tolist() == sorted(net)
    for row in found.itertuples():
        dates = [date for (owner, _), date in first_line.items() if owner == row.customer_id]
        assert row.net_revenue == net[row.customer_id]
        assert row.order_count == sum(date >= start for date in dates)
        assert row.is_scored == any(date >= start for date in dates)
        if dates:
            assert row.days_since_last_order == (day - max(dates)).days
            assert row.first_order_date.date() == min(dates)
        else:
            assert row.unscored_segment_code == "prospects"


def test_group_of_the_latest_order() -> None:
    columns = "customer_id sale_date revenue order_id region"
    rows = accepted(
        ("a", "2023-01-01", "99", "o1", "west"),
        ("a", "2023-01-02", "5", "o2", "east"),
        ("a", "2023-01-02", "7", "o3", "north"),
        ("b", "2023-01-02", "5", "o4", "east"),
        ("b", "2023-01-02", "5", "o5", "West"),
        ("c", "2023-01-02", "5", "o6", None),
        ("c", "2023-01-02", "5", "o6", "east"),
        ("d", "2023-01-02", "5", "o7", None),
        ("e", "2023-01-09", "5", "o8", "late"),
        columns=columns,
    )
    groups = oracle.groups_from_sales(rows, "2023-01-05", "region")
    assert groups == {"a": "north", "b": "West", "c": "east", "d": None}


# ---------------------------------------------------------------------------------------------
# Scores
# ---------------------------------------------------------------------------------------------


def test_ntile_like_sql() -> None:
    assert oracle.ntile(5, 5).tolist() == [1, 2, 3, 4, 5]
    assert oracle.ntile(3, 5).tolist() == [1, 2, 3]
    assert oracle.ntile(8, 5).tolist() == [1, 1, 2, 2, 3, 3, 4, 5]
    assert oracle.ntile(11, 4).tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4]
    assert oracle.ntile(0, 5).tolist() == []


@pytest.mark.parametrize("tiles", range(3, 11))
def test_shared_ties_equal_the_closed_form(tiles: int) -> None:
    rng = np.random.default_rng(tiles)
    for count in (*range(1, 24), 57, 400):
        values = rng.integers(0, max(2, count // 3), count).tolist()
        found = oracle.scores(people(*((1, value, 0) for value in values)), tiles)
        closed = oracle.shared_tiles_closed_form(values, tiles)
        pairs = zip(found["order_count"], found["frequency_score"], strict=True)
        assert all(closed[value] == score for value, score in pairs)


def test_scores_run_from_worst_to_best() -> None:
    found = oracle.scores(people((50, 1, 10), (40, 2, -5), (30, 3, 30), (20, 4, 40), (10, 5, 50)))
    assert found["recency_score"].tolist() == [1, 2, 3, 4, 5]
    assert found["frequency_score"].tolist() == [1, 2, 3, 4, 5]
    assert found["monetary_score"].tolist() == [2, 1, 3, 4, 5]
    assert found["rfm_code"].tolist() == ["112", "221", "333", "444", "555"]
    assert oracle.rfm_score(found)[0] == pytest.approx(4 / 3)
    assert oracle.rfm_score(found, 2, 0, 1)[0] == pytest.approx(4 / 3)
    assert oracle.rfm_score(found, 0, 0, 5)[1] == 1


def test_shared_ties_take_the_lowest_tile_split_ties_go_by_id() -> None:
    base = people(*[(10, 1, 0)] * 6, *[(5, 2, 0)] * 4)
    shared, split = oracle.scores(base), oracle.scores(base, tie_method="split")
    assert shared["frequency_score"].tolist() == [1] * 6 + [4] * 4
    assert split["frequency_score"].tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert split["recency_score"].tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    equal = case_metrics("all_equal").reset_index()
    assert oracle.scores(equal)["rfm_code"].tolist() == ["111"] * 7
    assert oracle.scores(equal, tie_method="split")["recency_score"].tolist() == [
        1,
        1,
        2,
        2,
        3,
        4,
        5,
    ]


def test_ids_order_bytewise() -> None:
    found = oracle.scores(case_metrics("unicode_ids").reset_index(), tie_method="split")
    by_bytes = sorted(found["customer_id"], key=lambda text: text.encode("utf-8"))
    assert found["customer_id"].tolist() == by_bytes
    assert found["recency_score"].is_monotonic_increasing


def test_fewer_customers_than_tiles() -> None:
    for count, name in enumerate(("one_customer", "two_customers", "three_customers"), start=1):
        found = oracle.scores(case_metrics(name).reset_index())
        assert sorted(found["recency_score"]) == list(range(1, count + 1))


def test_small_groups_are_scored_within_the_whole_base() -> None:
    case = CASES["two_score_groups"]
    assert case.customers is not None
    found = case_metrics("two_score_groups", customers=case.customers).reset_index()
    groups = dict(zip(case.customers["customer_id"], case.customers["score_group"], strict=True))
    scored = oracle.scores(found, groups=groups, min_group_customers=50)
    whole, north = oracle.scores(found), scored["score_group"].eq("north")
    assert scored["scored_within"].tolist() == ["north"] * 60 + ["(all)"] * 12
    assert scored["score_group"].value_counts().to_dict() == {"north": 60, "(all)": 7, "south": 5}
    alone = oracle.scores(found[found["customer_id"].isin(scored.loc[north, "customer_id"])])
    columns = ["recency_score", "frequency_score", "monetary_score"]
    assert scored.loc[north, columns].values.tolist() == alone[columns].values.tolist()
    assert scored.loc[~north, columns].values.tolist() == whole.loc[~north, columns].values.tolist()
    assert oracle.scores(found, groups=groups, min_group_customers=61)[
        "scored_within"
    ].unique() == ["(all)"]
    assert (
        oracle.scores(found, groups=groups, min_group_customers=5)["scored_within"].nunique() == 3
    )
    cuts = oracle.score_cut_points(found, groups=groups)
    totals = cuts.groupby(["score_group", "dimension"])["customer_count"].sum()
    assert set(totals["(all)"]) == {72}
    assert set(totals["north"]) == {60}


def test_fixed_cut_points_replace_a_dimension() -> None:
    cuts = pd.DataFrame(
        [
            ("recency", "5", "7"),
            ("recency", "3", "30"),
            ("recency", "4", "14.5"),
            ("monetary", "2", "10.005"),
            ("monetary", "5", "100"),
        ],
        columns=["dimension", "score", "edge_value"],
    )
    found = oracle.scores(
        people((7, 1, "10.00"), (8, 2, "10.01"), (15, 3, "99.99"), (31, 4, "100")),
        fixed_cut_points=cuts,
    )
    assert found["recency_score"].tolist() == [5, 4, 3, 1]
    assert found["monetary_score"].tolist() == [1, 2, 2, 5]
    assert found["frequency_score"].tolist() == [1, 2, 3, 4]


def test_cut_points_say_where_scores_begin_and_end() -> None:
    cuts = oracle.score_cut_points(people(*[(10, 1, 3)] * 6, *[(5, 2, 8)] * 4))
    rows = cuts[["dimension", "score", "lowest_value", "highest_value", "customer_count"]]
    assert rows.values.tolist() == [
        ["recency", 1, 10, 10, 6],
        ["recency", 4, 5, 5, 4],
        ["frequency", 1, 1, 1, 6],
        ["frequency", 4, 2, 2, 4],
        ["monetary", 1, 3, 3, 6],
        ["monetary", 4, 8, 8, 4],
    ]


def test_dates_are_scored_by_themselves() -> None:
    early, late = people((1, 1, 1), (2, 2, 2)), people((3, 3, 3), (4, 4, 4), (5, 5, 5))
    late["as_of_date"] = pd.Timestamp("2023-07-01")
    both = oracle.scores(pd.concat([late, early], ignore_index=True))
    assert both["frequency_score"].tolist() == [1, 2, 1, 2, 3]


def test_bad_arguments_are_refused() -> None:
    base = people((1, 1, 1))
    with pytest.raises(ValueError, match="score_tiles"):
        oracle.scores(base, score_tiles=2)
    with pytest.raises(ValueError, match="tie_method"):
        oracle.scores(base, tie_method="lucky")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="weights"):
        oracle.rfm_score(oracle.scores(base), 0, 0, 0)
    with pytest.raises(KeyError, match="revenue"):
        oracle.classify(pd.DataFrame({"customer_id": [], "sale_date": []}), LATEST)


# ---------------------------------------------------------------------------------------------
# Segments
# ---------------------------------------------------------------------------------------------


def rules(*rows: str) -> pd.DataFrame:
    """Rules as text from 'scheme,match_order,code,r_min,r_max,f_min,f_max,m_min,m_max,stage'."""
    columns = "segment_scheme match_order segment_code recency_min recency_max frequency_min"
    columns += " frequency_max monetary_min monetary_max lifecycle_stage"
    return pd.DataFrame([row.split(",") for row in rows], columns=columns.split(), dtype=object)


CORE_FIVE = rules(
    "core_five,100,others,,,,,,,",
    "core_five,9,at_risk,,2,3,,,,",
    "core_five,10,unreachable,,2,3,,,,",
    "core_five,3,potential_loyalists,4,,,,,,",
    "core_five,2,loyal_customers,,,4,,,,",
    "core_five,1,champions,4,,4,,4,,",
    "other_scheme,0,nobody,,,,,,,",
)
CORE_FIVE_CODES = [
    "champions",
    "loyal_customers",
    "potential_loyalists",
    "at_risk",
    "others",
    "prospects",
    "dormant",
]


def test_the_smallest_match_order_wins_as_a_number() -> None:
    cells = oracle.score_cells()
    found = oracle.segments(cells, CORE_FIVE, "core_five")
    scores = cells[["recency_score", "frequency_score", "monetary_score"]].values.tolist()
    names = [oracle.core_five_segment(*cell) for cell in scores]
    assert found["segment_code"].tolist() == [name.lower().replace(" ", "_") for name in names]
    assert set(found["match_order"]) == {1, 2, 3, 9, 100}
    assert found["segment_code"].value_counts().to_dict() == {
        "champions": 8,
        "loyal_customers": 42,
        "potential_loyalists": 30,
        "at_risk": 10,
        "others": 35,
    }


def test_a_hole_leaves_no_segment_and_stages_restrict() -> None:
    cells = oracle.score_cells(3, [None, "new"])
    found = oracle.segments(cells, rules("s,1,x,2,3,,,,,new"), "s")
    assert found["segment_code"].notna().sum() == 18
    assert set(found.loc[found["segment_code"].notna(), "lifecycle_stage"]) == {"new"}
    with pytest.raises(ValueError, match="no rules"):
        oracle.segments(cells, CORE_FIVE, "mistyped")


def test_summary_counts_everybody_once_and_keeps_empty_segments() -> None:
    found = case_metrics("lookback_edge", lookback_days=30).reset_index()
    assigned = oracle.segments(oracle.scores(found), CORE_FIVE, "core_five", found)
    assert assigned["customer_id"].tolist() == found["customer_id"].tolist()
    summary = oracle.segment_summary(assigned, CORE_FIVE_CODES).set_index("segment_code")
    assert summary["customer_count"].sum() == 5
    assert summary["customer_share"].sum() == pytest.approx(1)
    assert summary["net_revenue"].sum() == Decimal("8.00")
    assert summary.loc["dormant", "customer_count"] == 2
    assert summary.loc["dormant", "days_since_last_order_min"] is None
    assert summary.loc["champions", "net_revenue"] == Decimal("0.00")
    assert summary.loc["champions", "average_order_value"] is None
    others = summary.loc["others"]
    assert (others["order_count"], others["net_revenue_share"]) == (3, 1.0)
    with pytest.raises(ValueError, match="dormant"):
        oracle.segment_summary(assigned, CORE_FIVE_CODES[:-1])


def test_quartiles_interpolate() -> None:
    assigned = oracle.segments(
        oracle.scores(people((1, 1, 1), (2, 1, 2), (3, 1, 4), (8, 1, "-8.50"))),
        rules("s,1,x,,,,,,,"),
        "s",
    )
    row = oracle.segment_summary(assigned, ["x"]).iloc[0]
    days = [
        row[f"days_since_last_order_{name}"]
        for name in ("min", "q1", "median", "q3", "max", "mean")
    ]
    assert days == [1, 1.75, 2.5, 4.25, 8, 3.5]
    assert row["net_revenue_q1"] == -1.375
    assert row["average_order_value"] == -0.375


def test_published_code_map_is_complete() -> None:
    path = Path(__file__).parent / "eleven_segment_code_map.csv"
    assert len(set(oracle.read_code_map(path).values())) == 11


# ---------------------------------------------------------------------------------------------
# Against the pandas pipeline
# ---------------------------------------------------------------------------------------------


def explained(rows: pd.DataFrame, tie_method: oracle.TieMethod = "shared") -> pd.DataFrame:
    found = oracle.metrics(rows, oracle.current_as_of_date(rows))
    scored = oracle.scores(found, tie_method=tie_method)
    return oracle.explain_qcut_differences(scored, oracle.qcut_pipeline(rows))


@pytest.mark.parametrize("tie_method", ["shared", "split"])
def test_qcut_agrees_without_ties_when_the_count_divides(tie_method: oracle.TieMethod) -> None:
    result = explained(accepted_case("no_ties_divisible"), tie_method)
    assert set(result["category"]) == {"must_equal"}
    assert result["is_equal"].all()


def test_qcut_differs_where_the_remainder_goes() -> None:
    result = explained(accepted_case("count_not_divisible"))
    assert set(result["category"]) == {"must_equal", "count_not_divisible"}
    assert result.loc[result["category"].eq("must_equal"), "is_equal"].all()
    assert not result.loc[result["category"].eq("count_not_divisible"), "is_equal"].any()


def test_every_difference_to_qcut_has_a_category() -> None:
    rng = np.random.default_rng(3)
    seen: set[str] = set()
    for count in (*range(5, 40), 200, 203):
        spread = int(rng.choice([3, 10, 50, 10_000]))
        rows = accepted(
            *(
                (
                    f"c{rng.integers(0, count)}",
                    f"2023-01-{rng.integers(1, 29):02d}",
                    rng.integers(1, spread) / 100,
                )
                for _ in range(3 * count)
            )
        )
        for tie_method in ("shared", "split"):
            result = explained(rows, tie_method)
            seen |= set(result["category"])
            assert result.loc[result["category"].eq("must_equal"), "is_equal"].all()
    assert seen == {"must_equal", "bins_dropped", "tie_straddles_edge", "count_not_divisible"}


def test_returns_are_explained_as_different_metrics() -> None:
    rows = accepted(
        *((f"c{n:02d}", f"2023-01-{n + 1:02d}", 10 * n + 10, f"o{n}") for n in range(20)),
        ("c19", "2023-01-25", -195, "r"),
        columns="customer_id sale_date revenue order_id",
    )
    result = explained(rows).set_index(["dimension", "customer_id"])
    assert result.loc[("monetary", "c19"), "category"] == "metric_differs"
    assert result.loc[("monetary", "c03"), "category"] == "others_metric_differs"
    assert result.loc[result["category"].eq("must_equal"), "is_equal"].all()


# ---------------------------------------------------------------------------------------------
# The cases themselves
# ---------------------------------------------------------------------------------------------


def test_cases_are_named_once_typed_and_reproducible() -> None:
    again = {case.name: case for case in hard_cases.all_cases(heavy_tailed_customers=400)}
    assert len(again) == len(hard_cases.all_cases(heavy_tailed_customers=10))
    for name, case in CASES.items():
        assert list(case.column_types) == list(case.sales.columns)
        assert all(dtype.kind == "O" for dtype in case.sales.dtypes)
        assert name == "heavy_tailed" or len(case.sales) <= 600
        pd.testing.assert_frame_equal(case.sales, again[name].sales)
        if case.types == "text":
            values = [value for column in case.sales for value in case.sales[column]]
            assert all(value is None or isinstance(value, str) for value in values)


def test_shuffled_rows_are_the_same_customers() -> None:
    pd.testing.assert_frame_equal(case_metrics("ties_everywhere"), case_metrics("unsorted_rows"))


def test_heavy_tailed_base_has_one_time_buyers() -> None:
    counts = case_metrics("heavy_tailed")["order_count"]
    assert 0.4 < (counts == 1).mean() < 0.75
    assert counts.max() > 50
