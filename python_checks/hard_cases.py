"""Sale files that break naive RFM code: small, made from a seed, the same at every call.

`all_cases()` gives every case. A case says why it is there, which column types its rows are meant
to land as, and under which vars it is interesting; it does not say what the result is: that is
the oracle's part (see oracle.py), and the tests compare the SQL with it.

Landing a case. `column_types` names a type for every column in words that DuckDB and PostgreSQL
share. Values are plain Python objects in object columns: None is null, a float nan in a
'double precision' column is NaN and has to land as NaN, not as null (pandas and pyarrow readers
turn it into null unless told otherwise: use `pyarrow.array(values, from_pandas=False)` or bind
the rows one by one).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import pandas as pd

SEED = 20240229
FIRST_DAY = dt.date(2023, 1, 1)
# Hand this to the var latest_plausible_date: no case depends on the day it runs.
LATEST_PLAUSIBLE_DATE = dt.date(2024, 6, 30)

NATIVE_TYPES = {
    "customer_id": "varchar",
    "sale_date": "date",
    "revenue": "decimal(18, 2)",
    "sale_id": "varchar",
    "order_id": "varchar",
    "product_id": "varchar",
    "channel": "varchar",
    "quantity": "bigint",
    "is_return": "boolean",
    "discount_amount": "decimal(18, 2)",
}
CUSTOMER_TYPES = {"customer_id": "varchar", "created_at": "timestamp", "score_group": "varchar"}


@dataclass(frozen=True)
class HardCase:
    """One generated source.

    sales: raw rows, object columns (see the module's note on landing);
    types: 'text' = every column lands as varchar, 'native' = as column_types says;
    column_types: SQL type per column of `sales`;
    customers: rows of dim_customers, typed by CUSTOMER_TYPES, or None where there is no table;
    settings: dbt vars (and arguments of the oracle) that make the case interesting, beside the
    defaults; the case has to hold under any others too.
    """

    name: str
    why: str
    sales: pd.DataFrame
    types: Literal["text", "native"]
    column_types: Mapping[str, str]
    customers: pd.DataFrame | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def _frame(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Object columns, so that None, nan, text and numbers stay what they are."""
    frame = pd.DataFrame(index=range(len(rows)))
    for position, column in enumerate(columns):
        values = np.empty(len(rows), dtype=object)
        values[:] = [row[position] for row in rows]
        frame[column] = pd.Series(values, dtype=object)
    return frame


def _case(
    name: str,
    why: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    types: Literal["text", "native"] = "native",
    column_types: Mapping[str, str] | None = None,
    customers: pd.DataFrame | None = None,
    settings: Mapping[str, Any] | None = None,
) -> HardCase:
    if types == "text":
        sql_types = dict.fromkeys(columns, "varchar")
    else:
        sql_types = {column: NATIVE_TYPES[column] for column in columns if column in NATIVE_TYPES}
        sql_types |= dict(column_types or {})
    return HardCase(
        name, why, _frame(columns, rows), types, sql_types, customers, dict(settings or {})
    )


def _customers(rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    return _frame(list(CUSTOMER_TYPES), rows)


def _on(day: int) -> dt.date:
    """The date `day` days after FIRST_DAY."""
    return FIRST_DAY + dt.timedelta(days=day)


def _money(amount: float | str) -> Decimal:
    return Decimal(str(amount)).quantize(Decimal("0.01"))


_BASIC = ("customer_id", "sale_date", "revenue")
_ORDERS = (*_BASIC, "order_id")
_SALES = ("sale_id", *_BASIC, "order_id", "product_id", "is_return")


def _distinct_customers(count: int, seed: int) -> list[tuple[str, dt.date, Decimal, str]]:
    """One to many orders per customer with no two equal days, counts or amounts."""
    rng = np.random.default_rng(seed)
    days = rng.permutation(np.arange(100, 100 + count))
    counts = rng.permutation(np.arange(1, count + 1))
    totals = rng.permutation(np.arange(1, count + 1)) * 1000 + 7
    rows = []
    for number in range(count):
        customer, orders = f"c{number:03d}", int(counts[number])
        for order in range(orders):
            # All but the last order lie before day 100 and carry one cent each.
            last = order == orders - 1
            day = int(days[number]) if last else order % 100
            cents = int(totals[number]) - (orders - 1) if last else 1
            rows.append((customer, _on(day), Decimal(cents).scaleb(-2), f"{customer}-{order}"))
    return rows


# ---------------------------------------------------------------------------------------------
# Scores
# ---------------------------------------------------------------------------------------------


def ties_everywhere(seed: int = SEED) -> HardCase:
    """40 customers on three days with few counts and amounts: every tile edge cuts a tie."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(40):
        for order in range(int(rng.integers(1, 4))):
            day, amount = int(rng.choice([0, 30, 60])), int(rng.choice([5, 10, 20]))
            rows.append((f"c{number:02d}", _on(day), _money(amount), f"{number}-{order}"))
    return _case("ties_everywhere", "every tile edge falls inside a tie", _ORDERS, rows)


def all_equal(seed: int = SEED) -> HardCase:
    """Seven customers, nothing tells them apart: shared ties give everyone 1."""
    rows = [(f"c{number}", _on(10), _money(50)) for number in range(7)]
    return _case("all_equal", "all values equal: score 1 for all, or tiles by id", _BASIC, rows)


def few_customers(count: int) -> HardCase:
    """Fewer customers than tiles."""
    names = {1: "one_customer", 2: "two_customers", 3: "three_customers", 4: "four_customers"}
    rows = [(f"c{n}", _on(10 * n), _money(100 - 10 * n), f"o{n}") for n in range(count)]
    return _case(names[count], f"{count} scored, five tiles: the worst gets 1", _ORDERS, rows)


def count_not_divisible(seed: int = SEED) -> HardCase:
    """23 customers without a tie: the remainder of three goes to the low scores."""
    return _case(
        "count_not_divisible",
        "23 customers, no ties: remainders go to low scores, qcut puts them elsewhere",
        _ORDERS,
        _distinct_customers(23, seed),
    )


def no_ties_divisible(seed: int = SEED) -> HardCase:
    """25 customers without a tie: the case in which the pandas pipeline has to agree."""
    return _case(
        "no_ties_divisible",
        "25 customers, no ties: NTILE, shared ties, split ties and qcut are all the same",
        _ORDERS,
        _distinct_customers(25, seed),
    )


def unsorted_rows(seed: int = SEED) -> HardCase:
    """The rows of ties_everywhere, shuffled: nothing may depend on their order."""
    source = ties_everywhere(seed).sales
    shuffled = source.sample(frac=1, random_state=seed).reset_index(drop=True)
    rows = list(shuffled.itertuples(index=False, name=None))
    return _case("unsorted_rows", "ties_everywhere in another row order", _ORDERS, rows)


def two_score_groups(seed: int = SEED) -> HardCase:
    """A group of 60, one of 5, one without a group: small and missing ones use the whole base."""
    rng = np.random.default_rng(seed)
    rows, people = [], []
    for number in range(72):
        group = "north" if number < 60 else "south" if number < 65 else None
        customer = f"c{number:02d}"
        people.append((customer, dt.datetime(2023, 1, 1), group))
        for order in range(int(rng.integers(1, 6))):
            amount = _money(round(float(rng.lognormal(3, 1)), 2))
            rows.append((customer, _on(int(rng.integers(0, 365))), amount, f"{number}-{order}"))
    people.append(("c99", dt.datetime(2023, 1, 1), "south"))  # known, never bought
    return _case(
        "two_score_groups",
        "a group below min_group_customers and null groups are scored within the whole base",
        _ORDERS,
        rows,
        customers=_customers(people),
        settings={"score_group": "score_group", "min_group_customers": 50},
    )


def heavy_tailed(customer_count: int = 2000, seed: int = SEED) -> HardCase:
    """A base as shops have it: half buy once, a few buy very often, money spans four decades."""
    rng = np.random.default_rng(seed)
    repeat = np.minimum(1 + np.floor(rng.pareto(1.1, customer_count) * 2), 400).astype(int)
    counts = np.where(rng.random(customer_count) < 0.5, 1, repeat)
    owner = np.repeat(np.arange(customer_count), counts)
    days = rng.integers(0, 540, len(owner))
    cents = np.maximum(np.rint(rng.lognormal(3.2, 1.2, len(owner)) * 100), 1).astype(int)
    returned = rng.random(len(owner)) < 0.03
    shuffled = rng.permutation(len(owner))
    rows = [
        (
            f"{owner[i]:07d}",
            _on(int(days[i])),
            Decimal(int(-cents[i] if returned[i] else cents[i])).scaleb(-2),
            f"o{i}",
            bool(returned[i]),
        )
        for i in shuffled
    ]
    return _case(
        "heavy_tailed",
        "half one-time buyers: one tie over half of the customers, and a long tail",
        (*_ORDERS, "is_return"),
        rows,
    )


# ---------------------------------------------------------------------------------------------
# Orders, returns, windows
# ---------------------------------------------------------------------------------------------


def returns_only() -> HardCase:
    """One customer has nothing but returns: known, a prospect, never scored."""
    rows = [
        ("s1", "buyer", _on(0), _money(20), "o1", "p1", False),
        ("s2", "returner", _on(1), _money(-20), "o2", "p1", True),
        ("s3", "returner", _on(2), _money(-5), None, "p1", False),
        ("s4", "only_flagged", _on(3), _money(9), "o4", "p1", True),
    ]
    return _case("returns_only", "returns only: a prospect with negative net revenue", _SALES, rows)


def returns_around_orders() -> HardCase:
    """Returns before the first order, after the last one, and on either side of the window."""
    rows = [
        ("s01", "early_return", _on(5), _money(-10), "o1", "p1", True),
        ("s02", "early_return", _on(80), _money(40), "o2", "p1", False),
        ("s03", "late_return", _on(70), _money(60), "o3", "p1", False),
        ("s04", "late_return", _on(95), _money(-60), "o3", "p1", True),
        ("s05", "bought_before_returned_in", _on(10), _money(100), "o4", "p1", False),
        ("s06", "bought_before_returned_in", _on(90), _money(-100), "o4", "p1", True),
        ("s07", "returned_before_bought_in", _on(10), _money(-30), "o5", "p1", True),
        ("s08", "returned_before_bought_in", _on(90), _money(30), "o6", "p1", False),
        ("s09", "same_day", _on(85), _money(15), "o7", "p1", False),
        ("s10", "same_day", _on(85), _money(-15), "o7", "p1", True),
        ("s11", "last_row_is_a_return", _on(60), _money(1), "o8", "p1", False),
        ("s12", "last_row_is_a_return", _on(99), _money(-1), "o8", "p1", True),
    ]
    return _case(
        "returns_around_orders",
        "a return counts on its own date, never adds an order and never refreshes recency",
        _SALES,
        rows,
        settings={"lookback_days": 40},
    )


def padded_text() -> HardCase:
    """What spreadsheets and Windows files leave at the ends of text is not part of it."""
    ends = [" {} ", "{}\r", "{}\n", "\t{}", "\u00a0{}\u00a0", "\ufeff{}"]
    rows = [
        (end.format(f"c{number % 3}"), end.format("2023-03-01"), end.format("12.50"), f"o{number}")
        for number, end in enumerate(ends)
    ]
    rows += [("\u00a0", "2023-03-01", "1", "o7"), ("c1", "\u00a0", "1", "o8"), ("c1", "\t", "1", "o9")]
    return _case(
        "padded_text", "engines differ in what a plain trim removes", _ORDERS, rows, types="text"
    )


def flagged_returns() -> HardCase:
    """is_return in every spelling, with positive and negative revenue: never −(−x)."""
    spellings = ["true", "T", "Yes", "y", "1", "1.0", "TRUE", " true "]
    others = ["false", "f", "no", "0", "0.0", "", None, "2", "return"]
    rows: list[tuple[Any, ...]] = []
    for number, flag in enumerate([*spellings, *others]):
        for amount in ("12.50", "-12.50"):
            rows.append((f"c{number:02d}", "2023-03-01", amount, f"{number}{amount}", flag))
        rows.append((f"c{number:02d}", "2023-02-01", "30", f"{number}-plain", None))
    return _case(
        "flagged_returns",
        "is_return with positive revenue lowers net revenue; words that mean nothing are rejected",
        (*_ORDERS, "is_return"),
        rows,
        types="text",
    )


def zero_priced(count_zero_value_orders: bool = False) -> HardCase:
    """Gifts and samples: zero lines alone, beside paid lines, before and after them."""
    rows = [
        ("s1", "only_zero", _on(3), _money(0), "o1", "p1", False),
        ("s2", "zero_then_paid", _on(4), _money(0), "o2", "p1", False),
        ("s3", "zero_then_paid", _on(8), _money(7), "o2", "p2", False),
        ("s4", "paid_then_zero", _on(5), _money(7), "o3", "p1", False),
        ("s5", "paid_then_zero", _on(9), _money(0), "o4", "p2", False),
        ("s6", "zero_return", _on(6), _money(0), "o5", "p1", True),
        ("s7", "paid", _on(2), _money(70), "o6", "p1", False),
    ]
    return _case(
        "zero_priced_orders_count" if count_zero_value_orders else "zero_priced_orders",
        "a zero-priced order is none, unless the var says so; a zero return never is one",
        _SALES,
        rows,
        settings={"count_zero_value_orders": count_zero_value_orders},
    )


def negative_net_revenue() -> HardCase:
    """More returned than bought: scored, worst in money, below zero."""
    rows = [("n1", _on(1), _money(10), "o1"), ("n1", _on(2), _money("-35.5"), "o1")]
    rows += [("n2", _on(1), _money(10), "o2"), ("n2", _on(3), _money(-10), "o2")]
    rows += [(f"p{n}", _on(n), _money(5 * n), f"q{n}") for n in range(1, 7)]
    return _case("negative_net_revenue", "net revenue below and at zero is scored", _ORDERS, rows)


def multi_line_orders() -> HardCase:
    """One order over several days is one order, dated by its earliest paid line."""
    rows = [
        ("a", _on(1), _money(10), "o1"),
        ("a", _on(1), _money(20), "o1"),
        ("a", _on(31), _money(30), "o1"),
        ("b", _on(1), _money(0), "o2"),
        ("b", _on(5), _money(8), "o2"),
        ("b", _on(9), _money(8), "o2"),
        ("c", _on(2), _money(-4), "o3"),
        ("c", _on(6), _money(4), "o3"),
        ("d", _on(33), _money(1), "o4"),
    ]
    return _case(
        "multi_line_orders",
        "lines of an order on several days, across the window's edge, a return line first",
        _ORDERS,
        rows,
        settings={"lookback_days": 10},
    )


def shared_order_ids() -> HardCase:
    """The same order id at two customers is two orders (till numbers restart)."""
    rows = [
        ("a", _on(1), _money(10), "1001"),
        ("b", _on(2), _money(20), "1001"),
        ("a", _on(3), _money(30), "1001"),
        ("b", _on(4), _money(40), " 1001 "),
        ("b", _on(4), _money(40), "1002"),
    ]
    return _case("shared_order_ids", "an order is (customer, order id)", _ORDERS, rows)


def rows_without_order_id() -> HardCase:
    """Rows without an order id are orders of their own, beside rows that have one."""
    rows: list[tuple[Any, ...]] = [
        ("a", "2023-01-05", "10", None),
        ("a", "2023-01-05", "10", None),
        ("a", "2023-01-05", "10", ""),
        ("a", "2023-01-06", "10", "   "),
        ("a", "2023-01-07", "10", "o1"),
        ("a", "2023-01-07", "10", "o1"),
        ("b", "2023-01-07", "-10", None),
        ("b", "2023-01-07", "0", None),
        ("b", "2023-01-08", "3", "0"),
        ("b", "2023-01-09", "3", "0"),
    ]
    return _case(
        "rows_without_order_id",
        "blank order ids do not merge into one order, identical rows do not either",
        _ORDERS,
        rows,
        types="text",
    )


def lookback_edge() -> HardCase:
    """Orders exactly on the window's first day, one before it, and on the last day of data."""
    rows = [
        ("last_day", _on(99), _money(1), "o1"),
        ("first_in", _on(70), _money(2), "o2"),
        ("last_out", _on(69), _money(3), "o3"),
        ("both", _on(69), _money(4), "o4"),
        ("both", _on(70), _money(5), "o5"),
        ("zero_in", _on(20), _money(6), "o6"),
        ("zero_in", _on(80), _money(0), "o7"),
    ]
    return _case(
        "lookback_edge",
        "the window is [D - lookback_days, D): 30 days before 2023-04-11 start on 2023-03-12",
        _ORDERS,
        rows,
        settings={"lookback_days": 30},
    )


def past_as_of_date() -> HardCase:
    """The var as_of_date in the past: rows on or after it are good rows, just not known yet."""
    rows = [
        ("early", _on(10), _money(10), "o1"),
        ("early", _on(50), _money(10), "o2"),
        ("on_the_day", _on(40), _money(10), "o3"),
        ("day_before", _on(39), _money(10), "o4"),
        ("later", _on(60), _money(10), "o5"),
        ("spanning", _on(39), _money(1), "o6"),
        ("spanning", _on(40), _money(2), "o6"),
    ]
    return _case(
        "past_as_of_date",
        "only facts dated strictly before D count",
        _ORDERS,
        rows,
        settings={"as_of_date": _on(40).isoformat()},
    )


def known_customers() -> HardCase:
    """dim_customers with people who never bought, registered before, on, after D or never."""
    rows = [("buyer", _on(0), _money(5), "o1"), ("buyer", _on(30), _money(5), "o2")]
    people = [
        ("buyer", dt.datetime(2022, 1, 1), None),
        ("before", dt.datetime(2023, 1, 30, 23, 59, 59), None),
        ("on_current_day", dt.datetime(2023, 2, 1), None),
        ("after", dt.datetime(2023, 5, 1), None),
        ("undated", None, None),
        (" padded ", dt.datetime(2022, 1, 1), None),
        ("   ", dt.datetime(2022, 1, 1), None),
        (None, dt.datetime(2022, 1, 1), None),
    ]
    return _case(
        "known_customers",
        "customers without a sale are prospects from the day after they were created",
        _ORDERS,
        rows,
        customers=_customers(people),
    )


# ---------------------------------------------------------------------------------------------
# Ids
# ---------------------------------------------------------------------------------------------


def missing_customers() -> HardCase:
    """Customer ids that are null, empty or blank."""
    ids = [None, "", "   ", "x", " x ", None]
    rows = [(value, "2023-01-05", "10") for value in ids]
    return _case("missing_customers", "null, '' and blanks are rejected", _BASIC, rows, "text")


def float_ids() -> HardCase:
    """Ids that went through a float column, as pandas exports do when some are missing."""
    ids = [17850.0, 13047.0, float("nan"), None, 12583.5, 17850.0, 0.0]
    orders = [536365.0, float("nan"), 1.0, 2.0, 536366.0, 536365.0, None]
    rows = [
        (value, _on(number), _money(10 + number), order)
        for number, (value, order) in enumerate(zip(ids, orders, strict=True))
    ]
    return _case(
        "float_ids",
        "17850.0 in a floating column is customer 17850; NaN is a missing id",
        _ORDERS,
        rows,
        column_types={"customer_id": "double precision", "order_id": "double precision"},
    )


def integer_ids() -> HardCase:
    """Whole numbers for ids and money."""
    rows = [(17850, _on(1), 12, 1), (17850, _on(2), -3, 1), (42, _on(3), 0, 2), (42, _on(4), 5, 3)]
    return _case(
        "integer_ids",
        "integer ids and integer revenue",
        _ORDERS,
        rows,
        column_types={"customer_id": "bigint", "order_id": "bigint", "revenue": "integer"},
    )


def _per_id(ids: Sequence[str]) -> list[tuple[str, dt.date, Decimal, str]]:
    """One equal order per id: the split order is by id alone."""
    return [(value, _on(1), _money(10), f"o{number}") for number, value in enumerate(ids)]


def leading_zeros() -> HardCase:
    """'7', '07' and '007' are three customers; text '7.0' is a fourth."""
    ids = ["7", "07", "007", "7.0", "70", "0"]
    return _case("leading_zeros", "ids are text", _ORDERS, _per_id(ids))


def mixed_case_ids() -> HardCase:
    """'a' and 'A' are two customers and order bytewise, capitals first."""
    ids = ["a", "A", "b", "B", "_", "aA", "Aa", "-a", "Z", "z"]
    return _case("mixed_case_ids", "bytewise order, no collation", _ORDERS, _per_id(ids))


def unicode_ids() -> HardCase:
    """Accents composed and decomposed, scripts, an emoji beyond the 16-bit plane."""
    ids = [
        "é",
        "e\u0301",
        "z",
        "Ä",
        "ß",
        "ss",
        "日本",
        "\ufb01",
        "\uffee",
        "😀",
        "Жук",
        "i",
        "ı",
        "İ",
    ]
    return _case("unicode_ids", "UTF-8 byte order (code points, not UTF-16)", _ORDERS, _per_id(ids))


def quoted_ids() -> HardCase:
    """Quotes, commas, blanks inside, template and SQL characters, surrounding blanks."""
    ids = [
        "O'Brien",
        '"quoted"',
        "a b",
        " a b ",
        "a,b",
        "a;b",
        "'; drop table x; --",
        "{{ 1 }}",
        "100%",
        "back\\slash",
        "a\nb",
        "a\tb",
        "(all)",
        "null",
        "NaN",
    ]
    return _case(
        "quoted_ids", "ids that break quoting; 'null' and 'NaN' are ids", _ORDERS, _per_id(ids)
    )


# ---------------------------------------------------------------------------------------------
# Rows that cannot be used
# ---------------------------------------------------------------------------------------------


def repeated_sale_ids() -> HardCase:
    """Identical and conflicting repeats; a repeat of a row that is bad itself is none."""
    columns = ("sale_id", *_BASIC, "order_id", "product_id")
    rows = [
        ("s1", "a", "2023-01-05", "10", "o1", "p1"),
        ("s1", "a", "2023-01-05", "10", "o1", "p1"),
        (" s1 ", "a", "2023-01-05", "10", "o1", "p1"),
        ("s2", "b", "2023-01-05 08:00", "9", "o2", "p1"),
        ("s2", "b", "2023-01-05 23:00", "10", "o2", "p1"),
        ("s3", "d", "2023-01-05", "10", "o3", "p1"),
        ("s3", "c", "2023-01-05", "10", "o3", "p1"),
        ("s3", "C", "2023-01-05", "1", "o3", "p1"),
        ("s4", "e", "2023-01-05", "-10", "o4", "p1"),
        ("s4", "e", "2023-01-05", "10", "o4", "p1"),
        ("s4", "e", "2023-01-05", "9.999", "o4", "p1"),
        ("s5", "f", "2023-01-05", "10", None, "p1"),
        ("s5", "f", "2023-01-05", "10", "o5", None),
        ("s5", "f", "2023-01-05", "10", "o5", "p2"),
        ("s5", "f", "2023-01-05", "10", "O5", "p9"),
        ("s6", "", "2023-01-01", "10", "o6", "p1"),
        ("s6", "g", "2023-01-05", "ten", "o6", "p1"),
        ("s6", "g", "2023-01-06", "10", "o6", "p1"),
        (None, "h", "2023-01-05", "10", "o7", "p1"),
        ("", "h", "2023-01-05", "10", "o7", "p1"),
        ("  ", "h", "2023-01-05", "10", "o7", "p1"),
        ("S1", "i", "2023-01-05", "10", "o8", "p1"),
    ]
    return _case(
        "repeated_sale_ids",
        "the kept row is decided by values, not by row order; blank sale ids never repeat",
        columns,
        rows,
        types="text",
    )


def bad_dates() -> HardCase:
    """Dates that are missing, malformed, impossible or implausible, beside odd good ones."""
    texts = [
        None,
        "",
        "   ",
        "2023-02-30",
        "2023-02-29",
        "2024-02-29",
        "2023-13-01",
        "2023-00-10",
        "yesterday",
        "31/12/2023",
        "2023/12/31",
        "20231231",
        "2023-1-5",
        "23-01-05",
        "2023-01-05x",
        "1899-12-31",
        "1900-01-01",
        "0001-01-01",
        "0000-01-01",
        "9999-12-31",
        "NaT",
        "infinity",
        "now",
        "45291",
        "2023-01-05",
        " 2023-01-05 ",
        "2023-01-05T10:11",
        "2023-01-05 10:11:12",
        "2023-01-05T23:59:59.999999",
        "2023-01-05T00:30:00Z",
        "2023-01-05 00:30:00+02",
        "2023-01-05 00:30:00 +02:00",
        "2023-01-05T23:30:00.1-0800",
        "2023-01-05T",
        "2023-01-05 10",
    ]
    rows = [(f"c{n:02d}", text, "10") for n, text in enumerate(texts)]
    return _case(
        "bad_dates", "a bad date rejects its row and never fails the build", _BASIC, rows, "text"
    )


def far_future() -> HardCase:
    """One row of the year 9999 would age every customer by 8,000 years."""
    rows = [
        ("a", _on(0), _money(10)),
        ("a", dt.date(9999, 12, 31), _money(10)),
        ("b", LATEST_PLAUSIBLE_DATE, _money(10)),
        ("b", LATEST_PLAUSIBLE_DATE + dt.timedelta(days=1), _money(10)),
        ("c", dt.date(1899, 12, 31), _money(10)),
        ("c", dt.date(1900, 1, 1), _money(10)),
        ("d", None, _money(10)),
    ]
    return _case("far_future", "implausible dates in a date column", _BASIC, rows)


def late_timestamps() -> HardCase:
    """Sales in the last second of a day belong to that day."""
    rows = [
        ("a", dt.datetime(2023, 1, 5, 23, 59, 59), _money(10)),
        ("a", dt.datetime(2023, 1, 6, 0, 0, 0), _money(10)),
        ("b", dt.datetime(2023, 1, 31, 23, 59, 59, 999999), _money(10)),
        ("c", dt.datetime(2023, 1, 31, 12, 0, 0), _money(10)),
        ("d", None, _money(10)),
        ("e", dt.datetime(2024, 6, 30, 23, 59, 59), _money(10)),
        ("e", dt.datetime(2024, 7, 1, 0, 0, 0), _money(10)),
    ]
    return _case(
        "late_timestamps",
        "a timestamp is cut to its day, never rounded; the plausible last day counts to its end",
        _BASIC,
        rows,
        column_types={"sale_date": "timestamp"},
    )


def bad_revenue() -> HardCase:
    """Money texts that are missing, malformed, not finite or absurd, beside odd good ones."""
    texts = [
        None,
        "",
        "  ",
        "1,234.5",
        "12,50",
        "ten",
        "$5",
        "5 EUR",
        "1 000",
        "1_000",
        "0x1F",
        "--5",
        "1e",
        "e5",
        ".",
        "-",
        "NaN",
        "nan",
        "inf",
        "Infinity",
        "-Infinity",
        "-INF",
        "+inf",
        "1e30",
        "-1e30",
        "1e12",
        "-1000000000000",
        "999999999999.99",
        "-999999999999.99",
        "1e-30",
        "1e2",
        "1.5E+1",
        "+7",
        " 8 ",
        "007.50",
        ".5",
        "5.",
        "-0",
        "0.004",
        "-0.004",
        "0.005",
        "-0.005",
    ]
    rows = [(f"c{n:02d}", "2023-01-05", text) for n, text in enumerate(texts)]
    return _case(
        "bad_revenue",
        "a bad amount rejects its row and never fails the build",
        _BASIC,
        rows,
        "text",
    )


def non_finite_doubles() -> HardCase:
    """NaN, infinities and 1e30 in a floating column; null beside NaN."""
    values = [float("nan"), None, float("inf"), float("-inf"), 1e30, -1e30, 1e12, 999999999999.5]
    values += [-0.0, 1e-30, 12.5, 0.1 + 0.2]
    rows = [(f"c{n:02d}", _on(1), value) for n, value in enumerate(values)]
    return _case(
        "non_finite_doubles",
        "NaN is not finite, null is missing; NaN compares as the largest number in SQL",
        _BASIC,
        rows,
        column_types={"revenue": "double precision"},
    )


_HALF_CENTS = [
    "1.005",
    "2.675",
    "-2.675",
    "0.005",
    "-0.005",
    "8.345",
    "1.115",
    "1.004999",
    "10.995",
]


def half_cents(types: Literal["double", "text", "decimal"] = "double") -> HardCase:
    """Amounts between two cents: rounded half away from zero, from the shortest text form."""
    convert: Callable[[str], Any] = {"double": float, "text": str, "decimal": Decimal}[types]
    rows: list[tuple[Any, ...]] = [
        (f"c{n}", _on(1), convert(text)) for n, text in enumerate(_HALF_CENTS)
    ]
    name = f"half_cents_as_{types}"
    why = "1.005 is 1.01 and -2.675 is -2.68, whatever the nearest double is"
    if types == "text":
        rows = [(customer, day.isoformat(), amount) for customer, day, amount in rows]
        return _case(name, why, _BASIC, rows, "text")
    sql_type = "double precision" if types == "double" else "decimal(18, 6)"
    return _case(name, why, _BASIC, rows, column_types={"revenue": sql_type})


def several_faults() -> HardCase:
    """Rows with more than one fault: the first reason in the agreed order is given."""
    columns = ("sale_id", *_BASIC)
    rows = [
        ("s1", None, None, None),
        ("s1", "a", None, "NaN"),
        ("s1", "a", "2023-02-30", ""),
        ("s1", "a", "9999-01-01", "1e30"),
        ("s1", "a", "2023-01-05", "inf"),
        ("s1", "a", "2023-01-05", "1e30"),
        ("s1", "a", "2023-01-06", "10"),
        ("s1", "a", "2023-01-05", "10"),
    ]
    return _case("several_faults", "one reason per row, by precedence", columns, rows, "text")


def all_rejected() -> HardCase:
    """Rows, but none of them usable: the marts are empty and have their shape."""
    rows = [(None, "2023-01-05", "10"), ("a", "soon", "10"), ("b", "2023-01-05", "NaN")]
    return _case(
        "all_rejected", "no accepted row: no current date, empty marts", _BASIC, rows, "text"
    )


def empty_sales() -> HardCase:
    """An empty table."""
    return _case("empty_sales", "the build passes on an empty table, with a warning", _BASIC, [])


def large_amounts() -> HardCase:
    """Totals beyond 32 bits and beyond what a double holds to the cent."""
    rows = [("a", "2023-01-05", "999999999999.99") for _ in range(200)]
    rows += [("a", "2023-01-05", "0.01"), ("b", "2023-01-05", "-999999999999.99")]
    return _case("large_amounts", "sums stay exact to the cent", _BASIC, rows, "text")


def zoned_timestamps() -> HardCase:
    """Instants around midnight: the day in UTC counts, whatever zone the session is in."""
    offsets = (-11, -5, 0, 2, 13)
    rows = [
        (f"c{n}", dt.datetime(2023, 1, 5, hour, 30, tzinfo=dt.timezone(dt.timedelta(hours=offset))))
        for n, (offset, hour) in enumerate((o, h) for o in offsets for h in (0, 11, 23))
    ]
    rows = [(customer, at.astimezone(dt.UTC), _money(10)) for customer, at in rows]
    rows.append(("never", None, _money(10)))
    return _case(
        "zoned_timestamps",
        "a timestamp with time zone counts on its day in UTC",
        _BASIC,
        rows,
        column_types={"sale_date": "timestamp with time zone"},
    )


def untidy_text(rows: int = 400, customers: int = 60, seed: int = SEED) -> HardCase:
    """Everything at once: a text table with every column, and in every column what people write.

    Usable values outnumber the others, so that most rows count; ids, days, amounts and sale ids
    repeat, so that ties, repeats and returns meet.
    """
    rng = np.random.default_rng(seed)

    def pick(usual: Sequence[Any], odd: Sequence[Any], odd_share: float = 0.1) -> list[Any]:
        from_odd = rng.random(rows) < odd_share
        positions = rng.integers(0, 1_000_000, rows)
        return [
            odd[at % len(odd)] if is_odd else usual[at % len(usual)]
            for is_odd, at in zip(from_odd.tolist(), positions.tolist(), strict=True)
        ]

    ids = [f"c{number:03d}" for number in range(customers)]
    days = [_on(number).isoformat() for number in range(0, 200)]
    amounts = [f"{number}.{number % 100:02d}" for number in range(1, 40)]
    columns = {
        "sale_id": pick([None], [f"s{number}" for number in range(rows // 20)], 0.3),
        "customer_id": pick(ids, [" c001 ", "C001", "", None, "é", "0", "00", "c001.0"]),
        "sale_date": pick(
            days,
            [None, " ", "2023-02-30", "9999-12-31", "0001-01-01", "soon", "2023-03-01T23:59:59Z"]
            + [" 2023-04-02 ", "2023-04-03 00:00:00.5+13:00"],
        ),
        "revenue": pick(
            amounts,
            ["0", "-5", "-12.34", "0.005", "1e2", "-1.5E1", None, "", "x", "NaN", "-inf", "1e13"],
            0.2,
        ),
        "order_id": pick([f"o{number}" for number in range(rows // 3)], [None, "", " o1 "], 0.3),
        "product_id": pick(["p1", "p2", "p3"], [None, ""]),
        "channel": pick(["shop", "web"], [None, "Web", "ß", " shop "]),
        "quantity": pick(["1", "2"], [None, "0.00005", "-3", "many"]),
        "is_return": pick([None, "no"], ["yes", "TRUE", "1", "2", "f"]),
        "discount_amount": pick(["0", None], ["1.005", "-2", "lots"]),
    }
    return _case(
        "untidy_text",
        "every kind of value in every column of one table",
        list(columns),
        list(zip(*columns.values(), strict=True)),
        "text",
        settings={
            "lookback_days": 120,
            "history_periods": 2,
            "score_group": "channel",
            "min_group_customers": 10,
        },
    )


def all_cases(seed: int = SEED, heavy_tailed_customers: int = 2000) -> list[HardCase]:
    """Every case, names unique, deterministic for a seed."""
    return [
        ties_everywhere(seed),
        all_equal(seed),
        *(few_customers(count) for count in (1, 2, 3, 4)),
        count_not_divisible(seed),
        no_ties_divisible(seed),
        unsorted_rows(seed),
        two_score_groups(seed),
        returns_only(),
        returns_around_orders(),
        flagged_returns(),
        zero_priced(False),
        zero_priced(True),
        negative_net_revenue(),
        multi_line_orders(),
        shared_order_ids(),
        rows_without_order_id(),
        lookback_edge(),
        past_as_of_date(),
        known_customers(),
        missing_customers(),
        float_ids(),
        integer_ids(),
        leading_zeros(),
        mixed_case_ids(),
        unicode_ids(),
        quoted_ids(),
        padded_text(),
        repeated_sale_ids(),
        bad_dates(),
        far_future(),
        late_timestamps(),
        zoned_timestamps(),
        bad_revenue(),
        non_finite_doubles(),
        half_cents("double"),
        half_cents("text"),
        half_cents("decimal"),
        several_faults(),
        all_rejected(),
        empty_sales(),
        large_amounts(),
        untidy_text(seed=seed),
        heavy_tailed(heavy_tailed_customers, seed),
    ]
