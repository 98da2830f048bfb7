"""The definitions of the project a second time, in pandas, to check the SQL against.

Derived from the written definitions only, never from the SQL: where both agree, a mistake would
have to be made twice. Nothing here computes a mart; the literal form of a definition is preferred
to a fast one (NTILE is dealt out tile by tile, rules are applied one after the other).

Order of use::

    classified = classify(raw_sales, latest_plausible_date)
    accepted   = accepted_rows(classified)
    per_person = metrics(accepted, current_as_of_date(accepted))
    scored     = scores(per_person)
    assigned   = segments(scored, read_rules(path), "core_five", per_person)
    summary    = segment_summary(assigned, segment_codes)

Conventions of every frame returned:

* text columns have dtype object, a missing value is ``None``; dates are ``datetime64[s]`` at
  midnight, a missing one is ``NaT``; counts and days are ``Int64`` where they can be missing;
* money is ``decimal.Decimal`` with two places (shares and means are floats), added up as whole
  cents, so that no sum depends on the order of rows;
* text orders by code point, which is the bytewise order of UTF-8;
* rows are in a fixed order, the index is 0..n-1.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from math import ceil, floor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

DateLike = str | dt.date  # a datetime and a pandas Timestamp are dates too
TieMethod = Literal["shared", "split"]

SALES_REQUIRED = ("customer_id", "sale_date", "revenue")
SALES_OPTIONAL = (
    "sale_id",
    "order_id",
    "product_id",
    "channel",
    "quantity",
    "is_return",
    "discount_amount",
)
REJECTION_REASONS = (
    "missing_customer_id",
    "missing_sale_date",
    "unparsable_sale_date",
    "implausible_sale_date",
    "missing_revenue",
    "unparsable_revenue",
    "non_finite_revenue",
    "absurd_revenue",
    "unparsable_is_return",
    "repeated_sale_id",
)
EARLIEST_PLAUSIBLE_DATE = dt.date(1900, 1, 1)
ABSURD_CENTS = 10**14  # |revenue| of 1e12 and more
WHOLE_BASE = "(all)"
PROSPECTS = "prospects"
DORMANT = "dormant"

# dimension -> (column of `metrics`, does a larger value mean a worse customer?)
DIMENSIONS: dict[str, tuple[str, bool]] = {
    "recency": ("days_since_last_order", True),
    "frequency": ("order_count", False),
    "monetary": ("net_revenue", False),
}

# What is cut from both ends of text: blank, tab, line ends, no-break space, byte order mark.
_BLANK = " \t\n\r\u00a0\ufeff"
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NON_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_DATE = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?( *(Z|[+-][0-9]{2}(:?[0-9]{2})?))?)?"
)
_TRUE_WORDS = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_FALSE_WORDS = frozenset({"", "false", "f", "no", "n", "0", "0.0"})
_WIDE = Context(prec=60)  # room for 14 digits of cents whatever the input's own length


# ---------------------------------------------------------------------------------------------
# Reading single values
# ---------------------------------------------------------------------------------------------


def _is_null(value: object) -> bool:
    """None, pd.NA and pd.NaT: a database null. A floating NaN is a value, not a null."""
    return value is None or value is pd.NA or value is pd.NaT


def _is_nan(value: object) -> bool:
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def id_text(value: object) -> str | None:
    """An id as text: blanks trimmed, blank = missing, a whole floating number without its '.0'.

    >>> [id_text(v) for v in (" 007 ", "", 17850.0, 12.5, 42, None, float("nan"), "17850.0")]
    ['007', None, '17850', '12.5', '42', None, None, '17850.0']
    """
    if _is_null(value) or _is_nan(value):
        return None
    if isinstance(value, float | np.floating | Decimal):
        text = str(int(value)) if np.isfinite(float(value)) and value == int(value) else str(value)
    else:
        text = str(value)
    return text.strip(_BLANK) or None


def money_cents(value: object) -> tuple[str | None, int | None]:
    """(problem, cents) of one raw money value; one of the two is None.

    The value goes through its shortest text form and is rounded half away from zero once.
    "Absurd" is judged on the rounded amount, so no accepted amount reaches 1e12.

    >>> money_cents(1.005), money_cents("-2.675"), money_cents(" 1e2 ")
    ((None, 101), (None, -268), (None, 10000))
    >>> money_cents("1,234.5"), money_cents("-Infinity"), money_cents("1e12"), money_cents(" ")
    (('unparsable', None), ('non_finite', None), ('absurd', None), ('missing', None))
    """
    if _is_null(value):
        return "missing", None
    if isinstance(value, bool | np.bool_):
        return "unparsable", None
    text = str(value).strip(_BLANK)
    if not text:
        return "missing", None
    if _NON_FINITE.fullmatch(text):
        return "non_finite", None
    if not _NUMBER.fullmatch(text):
        return "unparsable", None
    cents = _cents_of_number(text)
    return ("absurd", None) if cents is None else (None, cents)


def _cents_of_number(text: str) -> int | None:
    """Whole cents of a numeric text, or None when it rounds to 1e12 or more in size."""
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent beyond what Decimal holds
        mantissa, _, exponent = text.lower().partition("e")
        return 0 if Decimal(mantissa) == 0 or exponent.startswith("-") else None
    if number == 0:
        return 0
    if number.adjusted() > 12:
        return None
    rounded = number.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP, context=_WIDE)
    cents = int(rounded.scaleb(2, context=_WIDE))
    return None if abs(cents) >= ABSURD_CENTS else cents


def calendar_date(value: object) -> tuple[str | None, dt.date | None]:
    """(problem, date) of one raw date value; one of the two is None.

    Dates and timestamps count as written, without a shift between time zones. Of a text the time
    has to look like one (digits in its places); only the date has to exist.

    >>> calendar_date("2023-12-31T23:59:59.5 +02:00")
    (None, datetime.date(2023, 12, 31))
    >>> calendar_date("2023-02-30"), calendar_date("31/12/2023"), calendar_date("")
    (('unparsable', None), ('unparsable', None), ('missing', None))
    """
    if _is_null(value) or _is_nan(value):
        return "missing", None
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
        if _is_null(value):
            return "missing", None
    if isinstance(value, dt.datetime):
        return None, value.date()
    if isinstance(value, dt.date):
        return None, value
    if not isinstance(value, str):
        return "unparsable", None
    text = value.strip(_BLANK)
    if not text:
        return "missing", None
    match = _DATE.fullmatch(text)
    if match is None:
        return "unparsable", None
    try:
        return None, dt.date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return "unparsable", None


def truth(value: object) -> bool | None:
    """Whether a mark means true: the words of SQL, any number but 0. Missing is false.

    None for a word that is neither true nor false: nobody knows what it means.

    >>> [truth(v) for v in ("YES", " t ", 1.0, -1, "f", "", None, "X")]
    [True, True, True, True, False, False, False, None]
    """
    if _is_null(value) or _is_nan(value):
        return False
    if isinstance(value, int | float | Decimal | np.number | np.bool_):
        return bool(value != 0)
    word = str(value).strip(_BLANK).lower()
    if word in _TRUE_WORDS:
        return True
    return False if word in _FALSE_WORDS else None


# ---------------------------------------------------------------------------------------------
# Reading columns
# ---------------------------------------------------------------------------------------------


def _map_values(column: pd.Series, function: Callable[[object], Any]) -> list[Any]:
    """`function` of every value, called once per distinct value and type.

    A missing value of a typed column reaches the function as None in text, date and nullable
    columns and as NaN in numpy floating columns; an object column passes on what it holds.
    """
    if column.dtype == object:
        return _map_objects(column.tolist(), function)
    codes, distinct = pd.factorize(column, use_na_sentinel=True)
    missing = float("nan") if _is_numpy_float(column) else None
    # Element by element, so that a float32 keeps its own shortest text form.
    results = [function(distinct[i]) for i in range(len(distinct))] + [function(missing)]
    return [results[code] for code in codes.tolist()]  # -1, missing, is the last one


def _is_numpy_float(column: pd.Series) -> bool:
    """A column that cannot tell NaN from null."""
    return isinstance(column.dtype, np.dtype) and column.dtype.kind == "f"


def _map_objects(values: list[Any], function: Callable[[object], Any]) -> list[Any]:
    known: dict[tuple[type, Any], Any] = {}
    results = []
    for value in values:
        if isinstance(value, dt.datetime | np.generic):
            # Equal instants in two zones are different written dates; numpy scalars equal others.
            results.append(function(value))
            continue
        key = (type(value), value)
        if key not in known:
            known[key] = function(value)
        results.append(known[key])
    return results


def _objects(values: Iterable[Any]) -> np.ndarray:
    """A one-dimensional object array: no inference, None stays None."""
    items = list(values)
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def _text_series(values: Iterable[Any], index: pd.Index | None = None) -> pd.Series:
    return pd.Series(_objects(values), index=index, dtype=object)


def _day(value: DateLike) -> pd.Timestamp:
    """A date-like value as midnight of its day, in seconds resolution (years 1 to 9999 fit)."""
    problem, date = calendar_date(value)
    if problem or date is None:
        raise ValueError(f"not a date: {value!r} (accepted: a date, a timestamp or ISO text)")
    return pd.Timestamp(np.datetime64(date, "s"))


def _money(cents: Iterable[int | None]) -> np.ndarray:
    """Decimals with two places from whole cents; None stays None."""
    known: dict[int | None, Decimal | None] = {None: None}
    result = []
    for amount in cents:
        if amount not in known:
            known[amount] = Decimal(int(amount)).scaleb(-2)
        result.append(known[amount])
    return _objects(result)


def _cents(money: pd.Series) -> np.ndarray:
    """int64 cents of typed money (Decimal, int or float), totals of any size included.

    Raises ValueError for a missing or non-finite value.
    """
    cents = _map_values(money, _cents_of_total)
    if None in cents:
        raise ValueError(f"money column {money.name!r} holds values that are no amounts")
    return np.array(cents, dtype="int64")


def _cents_of_total(value: object) -> int | None:
    try:
        amount = Decimal(str(value))
        return int(amount.quantize(Decimal("0.01"), ROUND_HALF_UP, _WIDE).scaleb(2, _WIDE))
    except (InvalidOperation, ValueError):
        return None


def _require(frame: pd.DataFrame, columns: Iterable[str], what: str) -> None:
    absent = [column for column in columns if column not in frame.columns]
    if absent:
        raise KeyError(f"{what}: missing columns {absent}, found {list(frame.columns)}")


def _read_dates(column: pd.Series) -> tuple[pd.Series, np.ndarray]:
    """(dates as datetime64[s], problem or None per row) of a raw date column."""
    if isinstance(column.dtype, pd.ArrowDtype):
        column = column.astype(object)
    if column.dtype.kind == "M":
        days = column.dt.tz_localize(None) if column.dt.tz is not None else column
        days = days.dt.normalize().astype("datetime64[s]")
        return days, np.where(days.isna(), "missing", None)
    pairs = _map_values(column, calendar_date)
    days = np.array([np.datetime64(date, "s") for _, date in pairs], dtype="datetime64[s]")
    return pd.Series(days, index=column.index), _objects(problem for problem, _ in pairs)


# ---------------------------------------------------------------------------------------------
# Staging: accepted and rejected rows
# ---------------------------------------------------------------------------------------------


def classify(
    sales: pd.DataFrame,
    latest_plausible_date: DateLike,
    float_nan: Literal["non_finite", "missing"] = "non_finite",
) -> pd.DataFrame:
    """Type the raw sale rows and say for each why it cannot be used, if so.

    `sales`: the rows as landed; customer_id, sale_date, revenue are required, the columns of
    SALES_OPTIONAL may be absent, further columns pass through untouched.
    `float_nan`: pandas cannot tell NaN from null in a numpy floating revenue column; this says
    which one it was. An object column (None = null, float nan = NaN) needs no telling, nor does a
    nullable Float64 column (pd.NA = null).

    Returns one row per input row, in the same order:
    the ids and channel as trimmed text; sale_date; revenue and discount_amount as Decimal cents
    (None where there is no amount below 1e12 in size); quantity as exact Decimal or None;
    is_return as bool; rejection_reason: None or the first of REJECTION_REASONS that applies.

    Raises KeyError when a required column is absent.
    """
    _require(sales, SALES_REQUIRED, "sales")
    typed = sales.reset_index(drop=True).copy()
    for column in SALES_OPTIONAL:
        if column not in typed.columns:
            typed[column] = pd.Series([None] * len(typed), dtype=object)

    for column in ("customer_id", "sale_id", "order_id", "product_id", "channel"):
        typed[column] = _text_series(_map_values(typed[column], id_text))
    typed["sale_date"], date_problem = _read_dates(typed["sale_date"])
    revenue_problem, revenue = _read_money(typed["revenue"], float_nan)
    typed["revenue"] = pd.Series(revenue, dtype=object)
    _, discount = _read_money(typed["discount_amount"], "missing")
    typed["discount_amount"] = pd.Series(discount, dtype=object)
    typed["quantity"] = _text_series(_map_values(typed["quantity"], _exact_number))
    marks = _objects(_map_values(typed["is_return"], truth))
    typed["is_return"] = np.array([mark is True for mark in marks], dtype=bool)

    latest = _day(latest_plausible_date)
    earliest = _day(EARLIEST_PLAUSIBLE_DATE)
    implausible = (typed["sale_date"] > latest) | (typed["sale_date"] < earliest)
    checks = {
        "missing_customer_id": typed["customer_id"].isna(),
        "missing_sale_date": date_problem == "missing",
        "unparsable_sale_date": date_problem == "unparsable",
        "implausible_sale_date": implausible,
        "missing_revenue": revenue_problem == "missing",
        "unparsable_revenue": revenue_problem == "unparsable",
        "non_finite_revenue": revenue_problem == "non_finite",
        "absurd_revenue": revenue_problem == "absurd",
        "unparsable_is_return": [mark is None for mark in marks],
    }
    reason = np.full(len(typed), None, dtype=object)
    for name in reversed(checks):  # the first one wins: written last
        reason[np.asarray(checks[name], dtype=bool)] = name
    typed["rejection_reason"] = pd.Series(reason, dtype=object)
    typed.loc[_repeated_sale_ids(typed), "rejection_reason"] = "repeated_sale_id"
    return typed


def _read_money(column: pd.Series, float_nan: str) -> tuple[np.ndarray, np.ndarray]:
    """(problem or None, Decimal or None) per row of a raw money column."""
    pairs = _map_values(column, money_cents)
    problem = _objects(problem for problem, _ in pairs)
    if float_nan == "missing" and _is_numpy_float(column):
        problem[column.isna().to_numpy()] = "missing"
    return problem, _money(cents for _, cents in pairs)


def _exact_number(value: object) -> Decimal | None:
    problem, _ = money_cents(value)
    return Decimal(str(value).strip(_BLANK)) if problem is None else None


def _repeated_sale_ids(typed: pd.DataFrame) -> pd.Index:
    """Index of the rows that repeat a sale_id, all but the one that is kept.

    Kept: first by sale_date, customer_id, revenue descending, then by every other column, a sale
    before a return (nulls last).
    """
    candidates = typed[typed["rejection_reason"].isna() & typed["sale_id"].notna()]
    candidates = candidates[candidates["sale_id"].duplicated(keep=False)]
    if candidates.empty:
        return candidates.index
    ranked = candidates.assign(less_revenue=-_cents(candidates["revenue"])).sort_values(
        ["sale_date", "customer_id", "less_revenue", "order_id", "product_id", "channel"]
        + ["quantity", "discount_amount", "is_return"],
        na_position="last",
        kind="stable",
    )
    return ranked.index[ranked["sale_id"].duplicated(keep="first")]


def accepted_rows(classified: pd.DataFrame) -> pd.DataFrame:
    """The rows of `classify` without a rejection reason, without that column."""
    kept = classified[classified["rejection_reason"].isna()]
    return kept.drop(columns="rejection_reason").reset_index(drop=True)


def current_as_of_date(accepted: pd.DataFrame) -> dt.date | None:
    """The day after the last accepted row, sale or return; None without rows."""
    last = accepted["sale_date"].max()
    return None if pd.isna(last) else last.date() + dt.timedelta(days=1)


# ---------------------------------------------------------------------------------------------
# Orders and customer metrics
# ---------------------------------------------------------------------------------------------


def _known_rows(accepted: pd.DataFrame, as_of_date: DateLike | None) -> pd.DataFrame:
    """Rows dated before D with `cents` (as landed), `is_return_row` and `net_cents`."""
    _require(accepted, SALES_REQUIRED, "accepted sales")
    rows = accepted
    if "rejection_reason" in rows.columns:
        rows = accepted_rows(rows)
    rows = rows.assign(sale_date=_read_dates(rows["sale_date"])[0])
    if as_of_date is not None:
        rows = rows[rows["sale_date"] < _day(as_of_date)]
    rows = rows.reset_index(drop=True)
    if "order_id" not in rows.columns:
        rows["order_id"] = pd.Series([None] * len(rows), dtype=object)
    flagged = (
        np.array(_map_values(rows["is_return"], truth), dtype=bool)
        if "is_return" in rows.columns
        else np.zeros(len(rows), dtype=bool)
    )
    cents = _cents(rows["revenue"])
    rows["cents"] = cents
    rows["is_return_row"] = flagged | (cents < 0)
    rows["net_cents"] = np.where(rows["is_return_row"], -np.abs(cents), cents)
    return rows


def net_amounts(accepted: pd.DataFrame) -> pd.Series:
    """Decimal per row: revenue, or −abs(revenue) for a return (flagged or negative)."""
    return pd.Series(_money(_known_rows(accepted, None)["net_cents"].tolist()), dtype=object)


def orders(
    accepted: pd.DataFrame,
    as_of_date: DateLike | None = None,
    count_zero_value_orders: bool = False,
) -> pd.DataFrame:
    """One row per order: (customer_id, order_id), or a single row that has no order id.

    An order exists from its earliest line that is no return and has positive revenue (with
    `count_zero_value_orders`: revenue of zero or more); that is its date. Without such a line
    there is no order.

    Returns customer_id, order_id (None for an order of its own), order_date, line_count (lines
    that are no returns and count as above), revenue (of those lines), by customer, date, order.
    """
    rows = _known_rows(accepted, as_of_date)
    counts = rows["cents"] >= 0 if count_zero_value_orders else rows["cents"] > 0
    lines = rows[counts & ~rows["is_return_row"]].copy()
    # An order of its own gets a key that no order id can have: its row number beside None.
    lines["own_row"] = np.where(lines["order_id"].isna(), np.arange(len(lines)), -1)
    grouped = lines.groupby(["customer_id", "order_id", "own_row"], dropna=False, sort=False)
    result = grouped.agg(
        order_date=("sale_date", "min"), line_count=("cents", "size"), cents=("cents", "sum")
    ).reset_index()
    result["order_id"] = _text_series(None if pd.isna(v) else v for v in result["order_id"])
    result["customer_id"] = result["customer_id"].astype(object)
    result["revenue"] = pd.Series(_money(result["cents"].tolist()), dtype=object)
    result = result.sort_values(
        ["customer_id", "order_date", "order_id", "own_row"], na_position="last", kind="stable"
    )
    columns = ["customer_id", "order_id", "order_date", "line_count", "revenue"]
    return result[columns].reset_index(drop=True)


def _known_customer_ids(
    rows: pd.DataFrame, customers: pd.DataFrame | None, day: pd.Timestamp, is_current: bool
) -> list[str]:
    """Sorted ids: any row before D, or registered before D (undated: only at the current D)."""
    known = set(rows["customer_id"].tolist())
    if customers is not None:
        ids = _text_series(_map_values(customers["customer_id"], id_text))
        if "created_at" in customers.columns:
            created = _read_dates(customers["created_at"])[0].reset_index(drop=True)
        else:
            created = pd.Series(np.full(len(ids), "NaT", dtype="datetime64[s]"))
        registered = (created < day) | (created.isna() & is_current)
        known |= set(ids[registered & ids.notna()].tolist())
    return sorted(known)


def metrics(
    accepted: pd.DataFrame,
    as_of_date: DateLike,
    lookback_days: int | None = None,
    count_zero_value_orders: bool = False,
    customers: pd.DataFrame | None = None,
    is_current: bool = True,
) -> pd.DataFrame:
    """One row per customer known at `as_of_date` D, from rows dated strictly before D.

    `lookback_days`: the window is [D − lookback_days, D); None = all history. It narrows
    order_count and net_revenue; the first and last order are of all history before D.
    `customers`: raw rows of dim_customers (customer_id, optional created_at); `is_current` says
    whether D is the current date, when a row without created_at makes its customer known too.

    Returns as_of_date, customer_id, days_since_last_order (Int64, 1 = bought on the last day
    before D), order_count, net_revenue, first_order_date, last_order_date, is_scored (an order in
    the window), unscored_segment_code ('prospects' never ordered, 'dormant' ordered only before
    the window, None when scored); by customer_id.

    Raises ValueError for a look-back below one day.
    """
    if lookback_days is not None and lookback_days < 1:
        raise ValueError(f"lookback_days must be None or at least 1, found {lookback_days!r}")
    day = _day(as_of_date)
    rows = _known_rows(accepted, as_of_date)
    order_rows = orders(accepted, as_of_date, count_zero_value_orders)
    in_window_rows, in_window_orders = rows, order_rows
    if lookback_days is not None:
        start = day - pd.Timedelta(days=lookback_days)
        in_window_rows = rows[rows["sale_date"] >= start]
        in_window_orders = order_rows[order_rows["order_date"] >= start]

    ids = _known_customer_ids(rows, customers, day, is_current)
    by_id = pd.Index(_objects(ids), dtype=object)
    dates = order_rows.groupby("customer_id")["order_date"]
    first = dates.min().reindex(by_id).astype("datetime64[s]")
    last = dates.max().reindex(by_id).astype("datetime64[s]")
    counts = in_window_orders.groupby("customer_id").size().reindex(by_id, fill_value=0)
    net = _sum_cents(in_window_rows).reindex(by_id, fill_value=0)

    result = pd.DataFrame({"as_of_date": day, "customer_id": _text_series(ids)})
    result["as_of_date"] = result["as_of_date"].astype("datetime64[s]")
    result["days_since_last_order"] = ((day - last).dt.days).astype("Int64").to_numpy()
    result["days_since_last_order"] = result["days_since_last_order"].astype("Int64")
    result["order_count"] = counts.to_numpy(dtype="int64")
    result["net_revenue"] = pd.Series(_money(net.tolist()), dtype=object)
    result["first_order_date"] = first.to_numpy()
    result["last_order_date"] = last.to_numpy()
    result["is_scored"] = result["order_count"] > 0
    unscored = np.where(result["last_order_date"].isna(), PROSPECTS, DORMANT).astype(object)
    unscored[result["is_scored"].to_numpy()] = None
    result["unscored_segment_code"] = pd.Series(unscored, dtype=object)
    return result


def _sum_cents(rows: pd.DataFrame) -> pd.Series:
    """Net cents per customer. Raises OverflowError where int64 could not hold a total."""
    if float(rows["net_cents"].abs().astype("float64").sum()) > 9e18:
        raise OverflowError("the amounts add up to more than 9e16; int64 cents cannot hold them")
    return rows.groupby("customer_id")["net_cents"].sum()


def gross_amounts(
    accepted: pd.DataFrame, as_of_date: DateLike, lookback_days: int | None = None
) -> pd.DataFrame:
    """Per customer with rows in the window: sales before returns and returns, both positive.

    Returns customer_id, sales_amount, return_amount (Decimal); sales − returns = net_revenue.
    """
    rows = _known_rows(accepted, as_of_date)
    if lookback_days is not None:
        rows = rows[rows["sale_date"] >= _day(as_of_date) - pd.Timedelta(days=lookback_days)]
    amounts = {}
    for name, part in (
        ("sales_amount", rows[~rows["is_return_row"]]),
        ("return_amount", rows[rows["is_return_row"]]),
    ):
        cents = part["cents"].abs().groupby(part["customer_id"]).sum()
        amounts[name] = cents.reindex(sorted(set(rows["customer_id"])), fill_value=0)
    result = pd.DataFrame({"customer_id": _text_series(sorted(set(rows["customer_id"])))})
    for name, cents in amounts.items():
        result[name] = pd.Series(_money(cents.tolist()), dtype=object)
    return result


def groups_from_sales(
    accepted: pd.DataFrame,
    as_of_date: DateLike,
    column: str,
    count_zero_value_orders: bool = False,
) -> dict[str, str | None]:
    """customer_id → group taken from a column of sales: the group of the latest order before D.

    Of several orders on the customer's last order date the one with the larger revenue counts;
    within it the group with the larger revenue, then the bytewise smaller group; null last. A row
    without an order id is an order of its own. Revenue is that of the order lines, without returns.
    """
    rows = _known_rows(accepted, as_of_date)
    counts = rows["cents"] >= 0 if count_zero_value_orders else rows["cents"] > 0
    lines = rows[counts & ~rows["is_return_row"]].copy()
    lines["own_row"] = np.where(lines["order_id"].isna(), np.arange(len(lines)), -1)
    lines["group"] = _text_series(_map_values(lines[column], id_text), lines.index)
    order = ["customer_id", "order_id", "own_row"]
    by_order = lines.groupby(order, dropna=False)
    lines["order_date"] = by_order["sale_date"].transform("min")
    lines["less_order_revenue"] = -by_order["cents"].transform("sum")
    lines["less_group_revenue"] = -lines.groupby([*order, "group"], dropna=False)[
        "cents"
    ].transform("sum")
    last = lines.groupby("customer_id")["order_date"].transform("max")
    ranking = ["customer_id", "less_order_revenue", "less_group_revenue", "group"]
    latest = lines[lines["order_date"] == last].sort_values(ranking, na_position="last")
    first = latest.drop_duplicates("customer_id")
    return {
        customer: None if pd.isna(group) else group
        for customer, group in zip(first["customer_id"], first["group"], strict=True)
    }


# ---------------------------------------------------------------------------------------------
# Scores
# ---------------------------------------------------------------------------------------------


def ntile(row_count: int, tiles: int) -> np.ndarray:
    """SQL's ntile(tiles) of rows 0..row_count−1 in their order: the first tiles get the remainder.

    >>> ntile(7, 3).tolist(), ntile(2, 5).tolist()
    ([1, 1, 1, 2, 2, 3, 3], [1, 2])
    """
    result = np.empty(row_count, dtype="int64")
    for tile, positions in enumerate(np.array_split(np.arange(row_count), tiles), start=1):
        result[positions] = tile
    return result


def shared_tiles_closed_form(values: Iterable[Any], tiles: int) -> dict[Any, int]:
    """value → lowest tile its tie touches, values ascending from worst, without dealing out rows.

    Per distinct value: r0 rows below it, n rows in all, rem = n % tiles, q = n // tiles; the first
    `rem` tiles hold q + 1 rows, the others q. Here to be compared with `ntile`.
    """
    counts = pd.Series(list(values)).value_counts().sort_index()
    q, rem = divmod(int(counts.sum()), tiles)
    result, below = {}, 0
    for value, count in counts.items():
        in_long_tiles = rem * (q + 1)
        if below < in_long_tiles:
            result[value] = 1 + below // (q + 1)
        else:
            result[value] = 1 + rem + (below - in_long_tiles) // max(q, 1)
        below += int(count)
    return result


def _dimension_values(population: pd.DataFrame, dimension: str) -> np.ndarray:
    """int64 values: days, orders, or cents."""
    column, _ = DIMENSIONS[dimension]
    if dimension == "monetary":
        return _cents(population[column])
    return population[column].to_numpy(dtype="int64")


def _tile_scores(
    population: pd.DataFrame, dimension: str, score_tiles: int, tie_method: str
) -> np.ndarray:
    """Score per row: literal NTILE from worst to best, ties by customer_id, then the tie rule."""
    _, larger_is_worse = DIMENSIONS[dimension]
    ranked = pd.DataFrame(
        {
            "value": _dimension_values(population, dimension),
            "customer_id": population["customer_id"].to_numpy(dtype=object),
        }
    ).sort_values(["value", "customer_id"], ascending=[not larger_is_worse, True], kind="stable")
    ranked["tile"] = ntile(len(ranked), score_tiles)
    if tie_method == "shared":
        ranked["tile"] = ranked.groupby("value")["tile"].transform("min")
    return ranked["tile"].sort_index().to_numpy()


def _fixed_edges(fixed_cut_points: pd.DataFrame, dimension: str) -> list[tuple[int, Decimal]]:
    """(score, edge in days, orders or cents) of one dimension, scores ascending."""
    names = fixed_cut_points["dimension"].astype(str).str.strip()
    rows = fixed_cut_points[names == dimension]
    unit = 100 if dimension == "monetary" else 1
    pairs = zip(rows["score"], rows["edge_value"], strict=True)
    return sorted((int(score), Decimal(str(edge).strip()) * unit) for score, edge in pairs)


def _fixed_scores(
    population: pd.DataFrame, dimension: str, edges: list[tuple[int, Decimal]]
) -> np.ndarray:
    """Highest score whose edge the value reaches (recency: stays within), else 1."""
    _, larger_is_worse = DIMENSIONS[dimension]
    values = _dimension_values(population, dimension)
    result = np.ones(len(values), dtype="int64")
    for score, edge in edges:
        # Values are whole numbers, so an edge between two of them can be moved to the inner one.
        reached = values <= floor(edge) if larger_is_worse else values >= ceil(edge)
        result[reached & (result < score)] = score
    return result


def _score_population(
    population: pd.DataFrame,
    score_tiles: int,
    tie_method: str,
    fixed_cut_points: pd.DataFrame | None,
) -> pd.DataFrame:
    """The rows with recency_score, frequency_score, monetary_score within these rows alone."""
    scored = population.copy()
    for dimension in DIMENSIONS:
        edges = [] if fixed_cut_points is None else _fixed_edges(fixed_cut_points, dimension)
        scored[f"{dimension}_score"] = (
            _fixed_scores(population, dimension, edges)
            if edges
            else _tile_scores(population, dimension, score_tiles, tie_method)
        )
    return scored


def _grouped_base(
    per_customer: pd.DataFrame, groups: Mapping[str, object] | pd.Series | None
) -> pd.DataFrame:
    """Scored customers only, with their score_group ('(all)' where there is none)."""
    base = per_customer[per_customer["is_scored"]].reset_index(drop=True)
    lookup = {} if groups is None else dict(groups.items())
    names = [id_text(lookup.get(customer)) or WHOLE_BASE for customer in base["customer_id"]]
    base["score_group"] = _text_series(names)
    return base


def _check_score_arguments(score_tiles: int, tie_method: str) -> None:
    if score_tiles not in range(3, 11):
        raise ValueError(f"score_tiles: accepted 3 to 10, found {score_tiles!r}")
    if tie_method not in ("shared", "split"):
        raise ValueError(f"tie_method: accepted 'shared', 'split', found {tie_method!r}")


def scores(
    per_customer: pd.DataFrame,
    score_tiles: int = 5,
    tie_method: TieMethod = "shared",
    groups: Mapping[str, object] | pd.Series | None = None,
    min_group_customers: int = 50,
    fixed_cut_points: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Scores of the scored customers of `metrics` (of one as-of date or several, each by itself).

    NTILE runs from worst to best in every dimension: 1 is worst, `score_tiles` best.
    `tie_method`: 'shared' gives equal values the lowest tile their tie touches; 'split' deals ties
    out by customer_id ascending from worst to best.
    `groups`: customer_id → group, today's value for every date; missing, null or blank = '(all)'.
    A group of fewer than `min_group_customers` scored customers, and '(all)' itself, is scored
    within the whole base: all scored customers of the date, members of large groups included.
    `fixed_cut_points`: dimension, score, edge_value; a dimension that has rows there is scored by
    them instead: the highest score whose edge is >= the days (recency) or <= the value, else 1.

    Returns as_of_date, customer_id, score_group, scored_within, the three metrics, the three
    scores (int64), rfm_code; by date and customer.

    Raises ValueError for score_tiles outside 3..10 or an unknown tie method.
    """
    _check_score_arguments(score_tiles, tie_method)
    base = _grouped_base(per_customer, groups)
    parts = []
    for _, day_base in base.groupby("as_of_date", sort=True):
        sizes = day_base.groupby("score_group").size()
        is_large = day_base["score_group"].map(sizes).ge(min_group_customers)
        alone = is_large & day_base["score_group"].ne(WHOLE_BASE)
        whole = _score_population(day_base, score_tiles, tie_method, fixed_cut_points)
        parts.append(whole[~alone].assign(scored_within=WHOLE_BASE))
        for group, members in day_base[alone].groupby("score_group", sort=True):
            part = _score_population(members, score_tiles, tie_method, fixed_cut_points)
            parts.append(part.assign(scored_within=group))
    scored = pd.concat(parts) if parts else _empty_scores(base)
    scored = scored.sort_values(["as_of_date", "customer_id"], kind="stable")
    scored = scored.reset_index(drop=True)
    scored["scored_within"] = scored["scored_within"].astype(object)
    scored["rfm_code"] = rfm_code(scored, score_tiles)
    columns = ["as_of_date", "customer_id", "score_group", "scored_within"]
    columns += [column for column, _ in DIMENSIONS.values()]
    columns += [f"{dimension}_score" for dimension in DIMENSIONS] + ["rfm_code"]
    return scored[columns]


def _empty_scores(base: pd.DataFrame) -> pd.DataFrame:
    result = base.assign(scored_within=pd.Series(dtype=object))
    for dimension in DIMENSIONS:
        result[f"{dimension}_score"] = pd.Series(dtype="int64")
    return result


def rfm_code(scored: pd.DataFrame, score_tiles: int = 5) -> pd.Series:
    """The R, F and M scores side by side as text: '543', with ten tiles '050403'."""
    width = len(str(score_tiles))
    parts = [scored[f"{dimension}_score"].astype("int64").tolist() for dimension in DIMENSIONS]
    return _text_series(
        "".join(f"{score:0{width}d}" for score in triple) for triple in zip(*parts, strict=True)
    )


def rfm_score(
    scored: pd.DataFrame,
    recency_weight: float = 1,
    frequency_weight: float = 1,
    monetary_weight: float = 1,
) -> pd.Series:
    """Weighted mean of the three scores (float). Raises ValueError for weights < 0 or all 0."""
    weights = (recency_weight, frequency_weight, monetary_weight)
    if min(weights) < 0 or sum(weights) == 0:
        raise ValueError(f"weights must be >= 0 and not all 0, found {weights}")
    columns = [scored[f"{dimension}_score"].astype("float64") for dimension in DIMENSIONS]
    total = sum(weight * column for weight, column in zip(weights, columns, strict=True))
    return total / sum(weights)


def _populations(
    per_customer: pd.DataFrame,
    score_tiles: int,
    groups: Mapping[str, object] | pd.Series | None,
    min_group_customers: int,
    fixed_cut_points: pd.DataFrame | None,
    tie_method: TieMethod,
) -> Iterator[tuple[dt.date, str, pd.DataFrame]]:
    """(date, name, scored customers) of each population that somebody is scored within."""
    scored = scores(
        per_customer, score_tiles, tie_method, groups, min_group_customers, fixed_cut_points
    )
    for (day, population), members in scored.groupby(["as_of_date", "scored_within"], sort=True):
        base = members
        if population == WHOLE_BASE:
            base = _grouped_base(per_customer, None)
            base = base[base["as_of_date"] == day]
        yield day, population, _score_population(base, score_tiles, tie_method, fixed_cut_points)


def score_values(
    per_customer: pd.DataFrame,
    score_tiles: int = 5,
    groups: Mapping[str, object] | pd.Series | None = None,
    min_group_customers: int = 50,
    fixed_cut_points: pd.DataFrame | None = None,
    tie_method: TieMethod = "shared",
) -> pd.DataFrame:
    """Every value that somebody of a population has.

    Returns as_of_date, score_group (the population), dimension, value (days, orders or money as
    float), lowest_score (the lowest that a customer with this value has), customer_count.
    """
    arguments = (score_tiles, groups, min_group_customers, fixed_cut_points, tie_method)
    parts = []
    for day, population, ranked in _populations(per_customer, *arguments):
        for dimension, (column, _) in DIMENSIONS.items():
            by_value = ranked.assign(value=ranked[column].astype(float)).groupby("value")
            found = by_value[f"{dimension}_score"].agg(lowest_score="min", customer_count="size")
            parts.append(
                found.reset_index().assign(
                    as_of_date=day, score_group=population, dimension=dimension
                )
            )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def stability_index(values: pd.DataFrame, reference: pd.DataFrame) -> float:
    """Population stability index of `values` against `reference` (value, lowest_score,
    customer_count), in the ranges that the scores have there: the sum of (share − share there) ×
    ln(share / share there). An empty range counts half a customer; what lies below all ranges
    counts to the first.
    """
    edges = np.sort(reference.groupby("lowest_score")["value"].min().to_numpy())
    counts = []
    for frame in (values, reference):
        ranges = np.maximum(np.searchsorted(edges, frame["value"], "right"), 1)
        counts.append(frame.groupby(ranges)["customer_count"].sum().reindex(range(1, len(edges) + 1)))
    now, then = (count.fillna(0.5) / count.sum() for count in counts)
    return float(((now - then) * np.log(now / then)).sum())


def score_cut_points(
    per_customer: pd.DataFrame,
    score_tiles: int = 5,
    groups: Mapping[str, object] | pd.Series | None = None,
    min_group_customers: int = 50,
    fixed_cut_points: pd.DataFrame | None = None,
    tie_method: TieMethod = "shared",
) -> pd.DataFrame:
    """The range of values behind each score, per scoring population.

    A population is the whole base '(all)' (every scored customer of the date, published when
    somebody is scored within it) or a group scored by itself. Scores that nobody has have no row.
    With tie_method 'split' a value can lie behind two scores, so neighbouring ranges may touch.

    Returns as_of_date, score_group (the population), dimension, score, lowest_value,
    highest_value (Decimal: days, orders or money), customer_count (of the population).
    """
    arguments = (score_tiles, groups, min_group_customers, fixed_cut_points, tie_method)
    rows: list[dict[str, Any]] = []
    for day, population, ranked in _populations(per_customer, *arguments):
        for dimension, (column, _) in DIMENSIONS.items():
            for score, part in ranked.groupby(f"{dimension}_score", sort=True):
                values = [Decimal(value) for value in part[column].tolist()]
                rows.append(
                    {
                        "as_of_date": day,
                        "score_group": population,
                        "dimension": dimension,
                        "score": int(score),
                        "lowest_value": min(values),
                        "highest_value": max(values),
                        "customer_count": len(part),
                    }
                )
    columns = ["as_of_date", "score_group", "dimension", "score"]
    columns += ["lowest_value", "highest_value", "customer_count"]
    return pd.DataFrame(rows, columns=columns)


# ---------------------------------------------------------------------------------------------
# Segments
# ---------------------------------------------------------------------------------------------


def read_rules(path: str | Path) -> pd.DataFrame:
    """A seed CSV as text, '' for an empty cell."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def _bound(cell: object) -> int | None:
    text = id_text(cell)
    return None if text is None else int(text)


def _rule_matches(rule: pd.Series, scored: pd.DataFrame) -> np.ndarray:
    """Which rows the rule matches; a blank bound or stage matches everything."""
    matches = np.ones(len(scored), dtype=bool)
    for dimension in DIMENSIONS:
        score = scored[f"{dimension}_score"].to_numpy(dtype="int64")
        low, high = _bound(rule.get(f"{dimension}_min")), _bound(rule.get(f"{dimension}_max"))
        if low is not None:
            matches &= score >= low
        if high is not None:
            matches &= score <= high
    stage = id_text(rule.get("lifecycle_stage"))
    if stage is not None:
        matches &= scored["lifecycle_stage"].eq(stage).fillna(False).to_numpy(dtype=bool)
    return matches


def segments(
    scored: pd.DataFrame,
    rules: pd.DataFrame,
    segment_scheme: str,
    per_customer: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The rows of `scores` with the segment of the first rule, by match_order, that matches.

    `rules`: segment_rules.csv as text, several schemes allowed; bounds are inclusive.
    `per_customer`: `metrics` of the same dates; when given, the unscored customers follow too,
    as 'prospects' or 'dormant', with their metrics and without scores.

    Returns the columns of `scored` plus is_scored, segment_code (None = no rule matched: a hole)
    and match_order (Int64, of the rule). Raises ValueError when the scheme has no rules.
    """
    of_scheme = rules[rules["segment_scheme"].str.strip(_BLANK) == segment_scheme]
    if of_scheme.empty:
        known = sorted(set(rules["segment_scheme"]))
        raise ValueError(f"segment_scheme: {segment_scheme!r} has no rules, accepted: {known}")
    in_order = sorted(of_scheme.to_dict("records"), key=lambda rule: int(rule["match_order"]))
    code = np.full(len(scored), None, dtype=object)
    matched = np.zeros(len(scored), dtype="int64")
    open_rows = np.ones(len(scored), dtype=bool)
    for rule in in_order:
        hit = open_rows & _rule_matches(pd.Series(rule, dtype=object), scored)
        code[hit] = rule["segment_code"].strip(_BLANK)
        matched[hit] = int(rule["match_order"])
        open_rows &= ~hit
    result = scored.reset_index(drop=True).assign(is_scored=True)
    result["segment_code"] = pd.Series(code, dtype=object)
    result["match_order"] = pd.array(matched, dtype="Int64")
    result.loc[open_rows, "match_order"] = pd.NA
    if per_customer is None:
        return result
    return _with_unscored(result, per_customer)


def _with_unscored(assigned: pd.DataFrame, per_customer: pd.DataFrame) -> pd.DataFrame:
    """`assigned` and the unscored customers, by date and customer."""
    unscored = per_customer[~per_customer["is_scored"]].copy()
    unscored["segment_code"] = unscored["unscored_segment_code"]
    shared = [column for column in unscored.columns if column in assigned.columns]
    for column in assigned.columns.difference(unscored.columns):
        if column.endswith("_score"):
            assigned = assigned.assign(**{column: assigned[column].astype("Int64")})
    result = unscored[shared].reindex(columns=assigned.columns)
    for column in assigned.columns:
        result[column] = result[column].astype(assigned[column].dtype)
        if assigned[column].dtype == object:
            result[column] = _text_series(
                (None if pd.isna(value) else value for value in result[column]), result.index
            )
    result = pd.concat([assigned, result]) if len(result) else assigned
    result = result.sort_values(["as_of_date", "customer_id"], kind="stable")
    return result.reset_index(drop=True)


def score_cells(score_tiles: int = 5, stages: Iterable[str | None] = (None,)) -> pd.DataFrame:
    """Every score cell × lifecycle stage, in the columns that `segments` reads."""
    span = range(1, score_tiles + 1)
    cells = [(r, f, m, stage) for r in span for f in span for m in span for stage in stages]
    columns = ["recency_score", "frequency_score", "monetary_score", "lifecycle_stage"]
    frame = pd.DataFrame(cells, columns=columns)
    frame["lifecycle_stage"] = _text_series(frame["lifecycle_stage"])
    return frame.assign(rfm_code=rfm_code(frame, score_tiles))


def core_five_segment(recency: int, frequency: int, monetary: int) -> str:
    """Segment name of scheme core_five, from its published definition and not from the seed."""
    if recency >= 4 and frequency >= 4 and monetary >= 4:
        return "Champions"
    if frequency >= 4:
        return "Loyal Customers"
    if recency >= 4:
        return "Potential Loyalists"
    if recency <= 2 and frequency >= 3:
        return "At Risk"
    return "Others"


def read_code_map(path: str | Path, column: str = "segment") -> dict[str, str]:
    """rfm_code → segment name of the published eleven-segment table (125 codes).

    Raises ValueError when a code is there twice or the 125 codes are not complete.
    """
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    code_map = dict(zip(table["rfm_code"], table[column], strict=True))
    if len(table) != 125 or set(code_map) != set(score_cells(5)["rfm_code"]):
        raise ValueError(f"{path}: the 125 codes 111..555 have to be there once each")
    return code_map


def customer_rfm(
    per_customer: pd.DataFrame,
    tie_method: TieMethod = "shared",
    groups: Mapping[str, object] | pd.Series | None = None,
    min_group_customers: int = 50,
    fixed_cut_points: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The fixed contract: one row per scored customer, five tiles, segment by core_five.

    Returns customer_id, recency (days), frequency (orders), monetary (Decimal), R_score, F_score,
    M_score, segment (name); by customer_id.
    """
    scored = scores(per_customer, 5, tie_method, groups, min_group_customers, fixed_cut_points)
    result = pd.DataFrame(
        {
            "customer_id": scored["customer_id"],
            "recency": scored["days_since_last_order"].astype("int64"),
            "frequency": scored["order_count"],
            "monetary": scored["net_revenue"],
            "R_score": scored["recency_score"],
            "F_score": scored["frequency_score"],
            "M_score": scored["monetary_score"],
        }
    )
    triples = zip(result["R_score"], result["F_score"], result["M_score"], strict=True)
    result["segment"] = _text_series(core_five_segment(*triple) for triple in triples)
    return result


def segment_summary(assigned: pd.DataFrame, segment_codes: Iterable[str]) -> pd.DataFrame:
    """Size, money and spread per segment, one row for each of `segment_codes`, empty ones too.

    `assigned`: `segments` with the unscored customers, of one as-of date.

    Returns segment_code, customer_count, customer_share, net_revenue, net_revenue_share,
    order_count, average_order_value (net revenue per order), and <metric>_min, _q1, _median, _q3,
    _max, _mean of the three metrics over the scored customers of the segment; quartiles by linear
    interpolation (percentile_cont). Shares are of all customers and all net revenue, None when
    that total is zero. Money is Decimal, everything else about money float; None without a value.

    Raises ValueError when a customer has a segment that is not in `segment_codes`.
    """
    codes = list(segment_codes)
    unknown = sorted(set(assigned["segment_code"].map(str)) - set(codes))
    if unknown:
        raise ValueError(f"segments outside of the scheme: {unknown}")
    cents = _cents(assigned["net_revenue"])
    all_customers, all_cents = len(assigned), int(cents.sum())
    rows = []
    for code in codes:
        chosen = assigned["segment_code"].eq(code).to_numpy(dtype=bool)
        part, part_cents = assigned[chosen], int(cents[chosen].sum())
        orders_total = int(part["order_count"].sum())
        row: dict[str, Any] = {
            "segment_code": code,
            "customer_count": len(part),
            "customer_share": len(part) / all_customers if all_customers else None,
            "net_revenue": Decimal(part_cents).scaleb(-2),
            "net_revenue_share": part_cents / all_cents if all_cents else None,
            "order_count": orders_total,
            "average_order_value": part_cents / 100 / orders_total if orders_total else None,
        }
        scored = part[part["is_scored"].to_numpy(dtype=bool)]
        for column, _ in DIMENSIONS.values():
            row |= _spread(scored[column], column)
        rows.append(row)
    return pd.DataFrame(rows, dtype=object)


def _spread(values: pd.Series, name: str) -> dict[str, float | None]:
    """min, q1, median, q3, max and mean as floats, None without values."""
    # float64 of a two-place Decimal is exact to the cent below 2**53 cents.
    numbers = pd.Series([float(value) for value in values], dtype="float64")
    empty = numbers.empty
    quartiles = {"min": 0.0, "q1": 0.25, "median": 0.5, "q3": 0.75, "max": 1.0}
    result = {
        f"{name}_{label}": None if empty else float(numbers.quantile(at))
        for label, at in quartiles.items()
    }
    result[f"{name}_mean"] = None if empty else float(numbers.mean())
    return result


# ---------------------------------------------------------------------------------------------
# The pandas pipeline that the contract customer_rfm comes from
# ---------------------------------------------------------------------------------------------


def classical_metrics(accepted: pd.DataFrame, sales_only: bool = True) -> pd.DataFrame:
    """recency, frequency, monetary the way pandas notebooks do it, in floats.

    recency: days from the customer's last row to the day after the last row of the data;
    frequency: distinct order ids plus rows without one; monetary: plain sum of floats.
    `sales_only` drops returns and rows without positive revenue first, as careful notebooks do.
    It differs from ours where a customer has returns (recency and money), orders with lines on
    several days (recency), zero-priced rows (with sales_only=False) or a look-back.
    """
    rows = _known_rows(accepted, None)
    snapshot = rows["sale_date"].max() + pd.Timedelta(days=1)
    if sales_only:
        rows = rows[(rows["cents"] > 0) & ~rows["is_return_row"]]
    rows = rows.assign(amount=rows["net_cents"] / 100)
    grouped = rows.groupby("customer_id", sort=True)
    without_order = rows["order_id"].isna().groupby(rows["customer_id"]).sum()
    result = pd.DataFrame(
        {
            "recency": (snapshot - grouped["sale_date"].max()).dt.days,
            "frequency": grouped["order_id"].nunique() + without_order,
            "monetary": grouped["amount"].sum(),
        }
    )
    result.index = result.index.astype(object)
    return result.rename_axis("customer_id").reset_index()


def _qcut(values: pd.Series, larger_is_worse: bool) -> tuple[np.ndarray, int]:
    """(score per value, number of bins) of pd.qcut with five labels.

    Plain qcut with five labels raises where two edges are equal (a tie that spans an edge bin, or
    hardly any values). What notebooks then do is duplicates='drop': fewer bins, so that the
    scores run from 1 to the number of bins; all equal leaves no bin and every score is 0 here.
    """
    if values.nunique() < 2:
        return np.zeros(len(values), dtype="int64"), 0
    binned, edges = pd.qcut(values, 5, labels=False, retbins=True, duplicates="drop")
    bins = len(edges) - 1
    ascending = binned.to_numpy(dtype="int64") + 1
    return (bins + 1 - ascending if larger_is_worse else ascending), bins


_CLASSICAL = {"recency": "R_score", "frequency": "F_score", "monetary": "M_score"}


def qcut_scores(classical: pd.DataFrame) -> pd.DataFrame:
    """The frame with R_score, F_score, M_score and R_bins, F_bins, M_bins (5 = plain qcut ran)."""
    result = classical.copy()
    for name, score in _CLASSICAL.items():
        larger_is_worse = DIMENSIONS[name][1]
        result[score], bins = _qcut(result[name], larger_is_worse)
        result[score.replace("score", "bins")] = bins
    return result


def qcut_pipeline(accepted: pd.DataFrame, sales_only: bool = True) -> pd.DataFrame:
    """`classical_metrics`, then pd.qcut with five labels per column; one row per customer."""
    return qcut_scores(classical_metrics(accepted, sales_only))


def _tie_positions(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last 0-based position of each value's tie in ascending order."""
    ordered = np.sort(values)
    return np.searchsorted(ordered, values), np.searchsorted(ordered, values, side="right") - 1


def explain_qcut_differences(scored: pd.DataFrame, qcut: pd.DataFrame) -> pd.DataFrame:
    """Per customer and dimension: must our score equal the qcut score, and if not, why not.

    `scored`: `scores` with 5 tiles over one population (no groups), one as-of date;
    `qcut`: `qcut_pipeline` of the same customers.

    Both ways cut the sorted customers at positions. A customer must have equal scores where our
    cuts and qcut's put the whole tie of its value into the same one of five bins; that holds for
    all customers when the count divides by 5 and no tie straddles an edge.

    Returns customer_id, dimension, ours, theirs, is_equal, category:
    'must_equal'; 'metric_differs' (the customer's own value differs, e.g. returns);
    'bins_dropped' (qcut had equal edges, all its labels moved); 'tie_straddles_edge';
    'others_metric_differs' (the cuts moved since other customers' values differ);
    'count_not_divisible' (the two ways put the remainder in different places).

    Raises ValueError when the customers are not the same.
    """
    ours = scored.sort_values("customer_id").reset_index(drop=True)
    theirs = qcut.sort_values("customer_id").reset_index(drop=True)
    if ours["customer_id"].tolist() != theirs["customer_id"].tolist():
        raise ValueError("scored and qcut hold different customers")
    parts = []
    for name, score in _CLASSICAL.items():
        part = _explain_dimension(
            name, ours, theirs[name].to_numpy("float64"), int(theirs[f"{score[0]}_bins"].max())
        )
        part.insert(0, "customer_id", ours["customer_id"])
        part.insert(2, "ours", ours[f"{name}_score"].to_numpy("int64"))
        part.insert(3, "theirs", theirs[score].to_numpy("int64"))
        part.insert(4, "is_equal", part["ours"] == part["theirs"])
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _explain_dimension(
    name: str, ours: pd.DataFrame, their_values: np.ndarray, bins: int
) -> pd.DataFrame:
    """dimension and category per customer."""
    count, larger_is_worse = len(ours), DIMENSIONS[name][1]
    our_values = _dimension_values(ours, name)
    unit = 100 if name == "monetary" else 1
    # Float sums of cents differ in the last digits: equal to the cent is equal.
    whole = np.rint(their_values * unit).astype("int64")
    own_differs = whole != our_values

    worst_first = -our_values if larger_is_worse else our_values
    first, last = _tie_positions(worst_first)
    tile_at = ntile(count, 5)
    our_low, our_high = tile_at[first], tile_at[last]

    # qcut: bin k ends with the last value at or below the quantile of k/5, which lies at
    # position (count − 1) · k/5 of the ascending values (the same float product as numpy's).
    ends = np.floor(np.linspace(0, 1, 6) * (count - 1)).astype("int64")
    first, last = _tie_positions(whole)
    bin_low = np.searchsorted(ends[1:], first) + 1
    bin_high = np.searchsorted(ends[1:], last) + 1
    if larger_is_worse:
        bin_low, bin_high = 6 - bin_high, 6 - bin_low

    straddles = (our_low != our_high) | (bin_low != bin_high)
    must_equal = ~straddles & (our_low == bin_low) & (bins == 5)
    reasons = {
        "must_equal": must_equal,
        "metric_differs": own_differs,
        "bins_dropped": np.full(count, bins != 5),
        "tie_straddles_edge": straddles,
        "others_metric_differs": np.full(count, own_differs.any()),
    }
    category = np.select(list(reasons.values()), list(reasons), default="count_not_divisible")
    return pd.DataFrame({"dimension": name, "category": _text_series(category.tolist())})
