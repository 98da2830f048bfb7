"""Purchase cycle, lifecycle, engagement, behaviour and affinity a second time, in pandas.

Like oracle.py: from the written definitions only, never from the SQL, and for no other use than
to be compared with it. Order of use, for one as-of date::

    lines    = sale_lines(accepted_sales)          # typed once, whatever the number of dates
    days     = order_days(lines)                   # int_orders: (customer, order, day)
    known    = known_customers(lines, day, events, customers)
    cycles   = purchase_cycles(days, day, known, score_groups)
    stages   = lifecycle_stages(cycles, lifecycle_thresholds)
    engaged  = engagement(events, event_types, day, known, stages, engaged_within_days=30)
    flags    = behaviour(lines, days, day, known, behaviour_thresholds, products)
    items    = affinity(lines, days, day, products, affinity_prior_orders=5)

Frames taken (accepted rows, typed; further columns are ignored):

* sales: customer_id, sale_date, revenue, and as far as there are any order_id, is_return,
  product_id, channel, discount_amount, as `oracle.accepted_rows` returns them;
* events: customer_id, event_date, event_type (event_id, channel, event_value are not needed);
* event types: event_type, event_family, weight, cells of the seed as text or typed;
* products: product_id (once each), category, optionally product_name;
* customers: customer_id, optionally created_date.

Only facts dated before the as-of date D count. The frames returned follow the conventions of
oracle.py; here a flag is of dtype 'boolean' (NA = unknown), a count that can be unknown is Int64
and a ratio float64 (NaN = there is none). Every ratio of money is one division of whole cents, so
that a share of exactly three tenths is 0.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from python_checks import oracle
from python_checks.oracle import WHOLE_BASE, DateLike, TieMethod

LIFECYCLE_STAGES = ("prospect", "lapsed", "lapsing", "new", "reactivated", "active")
BUYING_STAGES = ("new", "active", "reactivated")
FLAGS = (
    "has_high_return_rate_by_value",
    "has_high_return_rate_by_orders",
    "is_single_channel",
    "is_discount_dependent",
    "is_one_time_buyer",
    "has_one_big_order",
    "is_frequency_declining",
    "is_single_category",
    "is_seasonal_buyer",
)
UNMAPPED = "unmapped"

Thresholds = Mapping[str, Any]


# ---------------------------------------------------------------------------------------------
# Policy
# ---------------------------------------------------------------------------------------------


def read_thresholds(path: str | Path) -> dict[str, Decimal]:
    """threshold_code → value of a thresholds seed (column threshold_value or multiple)."""
    rows = oracle.read_rules(path)
    column = "multiple" if "multiple" in rows.columns else "threshold_value"
    pairs = zip(rows["threshold_code"], rows[column], strict=True)
    return {str(oracle.id_text(code)): Decimal(str(oracle.id_text(value))) for code, value in pairs}


def _threshold(thresholds: Thresholds, code: str) -> float:
    """One threshold as a double. Raises KeyError that names the code."""
    if code not in thresholds:
        raise KeyError(f"threshold {code!r} is missing, found {sorted(thresholds)}")
    return float(thresholds[code])


def _event_type_code(value: object) -> str | None:
    """An event type as it is matched: trimmed, lower case, blank = missing."""
    text = oracle.id_text(value)
    return None if text is None else text.lower()


# ---------------------------------------------------------------------------------------------
# Small helpers
# ---------------------------------------------------------------------------------------------


def _before(rows: pd.DataFrame, column: str, as_of_date: DateLike) -> pd.DataFrame:
    return rows[rows[column] < oracle._day(as_of_date)]


def _by_customer(values: pd.Series, known: Sequence[str], missing: Any = None) -> pd.Series:
    """Values per customer id in the order of `known`; `missing` for customers without one."""
    wanted = pd.Index(oracle._objects(known), dtype=object)
    values = values.set_axis(values.index.astype(object))
    if missing is None:
        return values.reindex(wanted).reset_index(drop=True)
    return values.reindex(wanted, fill_value=missing).reset_index(drop=True)


def _base(as_of_date: DateLike, known: Sequence[str]) -> pd.DataFrame:
    """The key columns: one row per known customer."""
    frame = pd.DataFrame({"customer_id": oracle._text_series(known)})
    frame.insert(0, "as_of_date", oracle._day(as_of_date))
    frame["as_of_date"] = frame["as_of_date"].astype("datetime64[s]")
    return frame


def _ratio(part: pd.Series, whole: pd.Series) -> pd.Series:
    """part / whole as float64; NaN where the whole is 0 or either is missing."""
    above, below = part.astype("float64").to_numpy(), whole.astype("float64").to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        return pd.Series(np.where(below == 0, np.nan, above / below), dtype="float64")


def _at_least(measure: pd.Series, threshold: float) -> pd.Series:
    """measure >= threshold as 'boolean', NA where the measure is missing."""
    numbers = measure.astype("float64")
    return pd.Series(numbers >= threshold, dtype="boolean").mask(numbers.isna().to_numpy())


def _quantile(values: Iterable[float], at: float) -> float:
    """percentile_cont: linear between the two values next to the position; NaN without values.

    >>> _quantile([40.0, 10.0], 0.5), _quantile([10.0, 20.0, 40.0], 0.9)
    (25.0, 36.0)
    """
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    position = (len(ordered) - 1) * at
    lower = int(np.floor(position))
    upper = min(lower + 1, len(ordered) - 1)
    return ordered[lower] + (ordered[upper] - ordered[lower]) * (position - lower)


def _money_series(cents: Iterable[Any]) -> pd.Series:
    """Decimals with two places; None where the cents are missing."""
    whole = [None if pd.isna(amount) else int(amount) for amount in cents]
    return pd.Series(oracle._money(whole), dtype=object)


# ---------------------------------------------------------------------------------------------
# Sales lines, order days, known customers
# ---------------------------------------------------------------------------------------------


def sale_lines(accepted: pd.DataFrame) -> pd.DataFrame:
    """The accepted sale rows of all dates with their amounts as whole cents (int64).

    Adds is_return_row (flagged, or negative revenue), net_cents, sales_cents (0 for a return),
    return_cents (positive; 0 for a sale), discount_cents (without sign; 0 for a return or without
    a discount), and the optional columns that are absent, as None. An absent discount column is
    remembered in `attrs["has_discounts"]`.
    """
    lines = oracle._known_rows(accepted, None)
    oracle._sum_cents(lines)  # raises where the totals would not fit
    is_return, size = lines["is_return_row"].to_numpy(dtype=bool), lines["cents"].abs()
    lines["sales_cents"] = np.where(is_return, 0, size)
    lines["return_cents"] = np.where(is_return, size, 0)
    for column in ("product_id", "channel"):
        if column not in lines.columns:
            lines[column] = pd.Series([None] * len(lines), dtype=object)
    has_discounts = "discount_amount" in lines.columns
    lines["discount_cents"] = 0
    if has_discounts:
        given = lines["discount_amount"].notna().to_numpy() & ~is_return
        amounts = np.abs(oracle._cents(lines.loc[given, "discount_amount"]))
        lines.loc[given, "discount_cents"] = amounts
    lines.attrs["has_discounts"] = has_discounts
    return lines


def order_days(lines: pd.DataFrame, count_zero_value_orders: bool = False) -> pd.DataFrame:
    """One row per (customer, order_id, day) of `sale_lines`, returns included.

    All lines without an order id of a customer and day share one row. order_count: 1 on the day
    the order exists from (its earliest line that is no return and has positive revenue, with
    `count_zero_value_orders` revenue of zero or more), else 0; without an order id the number of
    such lines. A row belongs to its day alone, so the rows before D are those that D knows.

    Returns customer_id, order_id (None), sale_date, order_count, sales_cents, return_cents,
    discount_cents (int64, of the row's lines), by customer, day, order.
    """
    amounts = ["sales_cents", "return_cents", "discount_cents"]
    keys = ["customer_id", "order_id", "sale_date"]
    result = lines.groupby(keys, dropna=False, sort=False)[amounts].sum().reset_index()
    found = oracle.orders(lines, count_zero_value_orders=count_zero_value_orders)
    found = found.rename(columns={"order_date": "sale_date"})
    counts = found.groupby(keys, dropna=False, sort=False).size().rename("order_count")
    # Where no line has an order id, pandas takes the missing ones for numbers.
    result["order_id"] = result["order_id"].astype(object)
    counts = counts.reset_index().astype({"order_id": object})
    result = result.merge(counts, on=keys, how="left", validate="one_to_one")
    result["order_count"] = result["order_count"].fillna(0).astype("int64")
    result["customer_id"] = result["customer_id"].astype(object)
    result["order_id"] = oracle._text_series(
        None if pd.isna(order) else order for order in result["order_id"]
    )
    result = result.sort_values(["customer_id", "sale_date", "order_id"], na_position="last")
    result = result[[*keys, "order_count", *amounts]].reset_index(drop=True)
    result.attrs["count_zero_value_orders"] = count_zero_value_orders
    return result


def _whole_orders(
    lines: pd.DataFrame, as_of_date: DateLike, count_zero_value_orders: bool
) -> pd.DataFrame:
    """customer_id, is_order, sales_cents, return_cents, discount_cents: one row per order as it
    is known at D, whatever its days. A line without order id is an order; returns without one are
    one row per customer and day.
    """
    rows = _before(lines, "sale_date", as_of_date)
    is_return = rows["is_return_row"].to_numpy(dtype=bool)
    numbers = range(len(rows))
    key = [
        ("order", order) if pd.notna(order) else ("return", day) if returned else ("line", number)
        for order, day, returned, number in zip(
            rows["order_id"], rows["sale_date"], is_return, numbers, strict=True
        )
    ]
    enough = rows["sales_cents"] >= (0 if count_zero_value_orders else 1)
    rows = rows.assign(key=pd.Series(key, index=rows.index, dtype=object))
    rows["is_order"] = ~is_return & enough.to_numpy(dtype=bool)
    grouped = rows.groupby(["customer_id", "key"], sort=False)
    amounts = grouped[["sales_cents", "return_cents", "discount_cents"]].sum()
    return amounts.assign(is_order=grouped["is_order"].any()).reset_index()


def known_customers(
    lines: pd.DataFrame,
    as_of_date: DateLike,
    events: pd.DataFrame | None = None,
    customers: pd.DataFrame | None = None,
    is_current: bool = True,
) -> list[str]:
    """Sorted ids: any sale, return or event before D, or registered before D.

    Registered without created_date: known when D is the current date (`is_current`) only.
    """
    rows = _before(lines, "sale_date", as_of_date)
    if customers is not None:
        customers = customers.rename(columns={"created_date": "created_at"})
    day = oracle._day(as_of_date)
    known = set(oracle._known_customer_ids(rows, customers, day, is_current))
    if events is not None:
        known |= set(_known_events(events, as_of_date)["customer_id"])
    return sorted(known)


# ---------------------------------------------------------------------------------------------
# Purchase cycle and lifecycle
# ---------------------------------------------------------------------------------------------


def _order_dates(days: pd.DataFrame, as_of_date: DateLike) -> pd.DataFrame:
    """customer_id, sale_date: the distinct order dates before D, ascending per customer."""
    rows = _before(days, "sale_date", as_of_date)
    dates = rows.loc[rows["order_count"] > 0, ["customer_id", "sale_date"]].drop_duplicates()
    return dates.sort_values(["customer_id", "sale_date"]).reset_index(drop=True)


def _group_names(known: Sequence[str], score_groups: Mapping[str, Any] | None) -> list[str]:
    lookup = {} if score_groups is None else score_groups
    return [oracle.id_text(lookup.get(customer)) or WHOLE_BASE for customer in known]


def _days_between(later: pd.Series, earlier: pd.Series) -> pd.Series:
    """Whole days as float64, NaN where a date is missing."""
    return (later - earlier).dt.days.astype("float64")


def purchase_cycles(
    days: pd.DataFrame,
    as_of_date: DateLike,
    known: Sequence[str],
    score_groups: Mapping[str, Any] | None = None,
    gap_prior_strength: float = 2,
    default_purchase_gap_days: float = 60,
    min_group_customers: int = 1,
) -> pd.DataFrame:
    """How often each known customer buys and is expected to, in days; by customer_id.

    own_gap_days: mean gap between the distinct order dates, NaN below two of them.
    group_gap_days: median own gap of the customers of the same group who have one; a group with
    fewer than `min_group_customers` such customers, and '(all)', take the median of the whole base;
    nobody: `default_purchase_gap_days`.
    expected_gap_days: the sum of own gaps and `gap_prior_strength` group gaps over their number,
    at least 1; the group gap where that number is 0; NaN without an order date.
    expected_gap_before_last_days: the same as it stood before the last order date, with today's
    group gap; NaN below two order dates.

    Returns as_of_date, customer_id, order_date_count (int64), first_order_date, last_order_date,
    previous_order_date, own_gap_days, group_gap_days, expected_gap_days,
    expected_gap_before_last_days.
    """
    dates = _order_dates(days, as_of_date)
    by_customer = dates.groupby("customer_id")["sale_date"]
    from_last = dates.groupby("customer_id").cumcount(ascending=False)
    previous = dates[from_last == 1].set_index("customer_id")["sale_date"]

    result = _base(as_of_date, known)
    result["order_date_count"] = _by_customer(by_customer.size(), known, 0).astype("int64")
    for column, values in (
        ("first_order_date", by_customer.min()),
        ("last_order_date", by_customer.max()),
        ("previous_order_date", previous),
    ):
        result[column] = _by_customer(values, known).astype("datetime64[s]")

    count, prior = result["order_date_count"], float(gap_prior_strength)
    span = _days_between(result["last_order_date"], result["first_order_date"])
    result["own_gap_days"] = _ratio(span.where(count >= 2), count - 1)
    group_gap = _group_gaps(
        result, known, score_groups, float(default_purchase_gap_days), min_group_customers
    )
    result["group_gap_days"] = group_gap

    earlier_span = _days_between(result["previous_order_date"], result["first_order_date"])
    for column, own_days, own_gaps, least in (
        ("expected_gap_days", span, count - 1, 1),
        ("expected_gap_before_last_days", earlier_span, count - 2, 2),
    ):
        blended = _ratio(own_days + prior * group_gap, own_gaps + prior)
        blended = blended.where(own_gaps + prior != 0, group_gap).clip(lower=1.0)
        result[column] = blended.where(count >= least)
    return result


def _group_gaps(
    cycles: pd.DataFrame,
    known: Sequence[str],
    score_groups: Mapping[str, Any] | None,
    default_days: float,
    min_group_customers: int,
) -> pd.Series:
    """The group gap per row of `cycles`."""
    names = _group_names(known, score_groups)
    medians = {
        row["score_group"]: row["gap_days_median"]
        for row in cycle_summary(cycles, score_groups).to_dict("records")
        if row["score_group"] == WHOLE_BASE or row["customer_count"] >= min_group_customers
    }
    whole_base = medians[WHOLE_BASE]
    fallback = default_days if np.isnan(whole_base) else whole_base
    medians[WHOLE_BASE] = fallback
    return pd.Series([medians.get(name, fallback) for name in names], dtype="float64")


def cycle_summary(
    cycles: pd.DataFrame, score_groups: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """The spread of own_gap_days per score group, over customers with two or more order dates.

    A row per group that has such a customer, and always '(all)': everybody, whatever the group.

    Returns as_of_date, score_group, customer_count, order_date_count (of those customers),
    gap_days_q1, gap_days_median, gap_days_q3, gap_days_p90 (continuous quantiles, NaN without
    customers); by date and group.
    """
    rows: list[dict[str, Any]] = []
    for day, of_day in cycles.groupby("as_of_date", sort=True):
        repeat = of_day[of_day["order_date_count"] >= 2]
        names = pd.Series(_group_names(repeat["customer_id"].tolist(), score_groups), dtype=object)
        for group in sorted({WHOLE_BASE, *names}):
            chosen = np.full(len(repeat), True) if group == WHOLE_BASE else (names == group)
            members = repeat[np.asarray(chosen, dtype=bool)]
            gaps = members["own_gap_days"].tolist()
            row = {"as_of_date": day, "score_group": group, "customer_count": len(members)}
            row["order_date_count"] = int(members["order_date_count"].sum())
            for name, at in (("q1", 0.25), ("median", 0.5), ("q3", 0.75), ("p90", 0.9)):
                row[f"gap_days_{name}"] = _quantile(gaps, at)
            rows.append(row)
    columns = ["as_of_date", "score_group", "customer_count", "order_date_count"]
    columns += [f"gap_days_{name}" for name in ("q1", "median", "q3", "p90")]
    if not rows:  # nobody is known: no date to read either
        nobody = (pd.NaT, WHOLE_BASE, 0, 0, *[float("nan")] * 4)
        rows.append(dict(zip(columns, nobody, strict=True)))
    return pd.DataFrame(rows, columns=columns)


def lifecycle_stages(cycles: pd.DataFrame, thresholds: Thresholds) -> pd.DataFrame:
    """The stage of every row of `purchase_cycles`: the first definition that fits.

    `thresholds`: active_until, lapsing_until, reactivated_after, multiples of the expected gap, and
    new_until, a multiple of the group gap (at least a day).

    Returns as_of_date, customer_id, silence_ratio (days since the last order over the expected
    gap, NaN for prospects), lifecycle_stage (one of LIFECYCLE_STAGES); in the order of `cycles`.
    """
    multiple = {
        code: _threshold(thresholds, code)
        for code in ("active_until", "lapsing_until", "new_until", "reactivated_after")
    }
    day, expected = cycles["as_of_date"], cycles["expected_gap_days"]
    silence = _ratio(_days_between(day, cycles["last_order_date"]), expected)
    age = _days_between(day, cycles["first_order_date"])
    last_gap = _days_between(cycles["last_order_date"], cycles["previous_order_date"])
    usual_gap = cycles["expected_gap_before_last_days"]
    fits = {
        "prospect": cycles["order_date_count"] == 0,
        "lapsed": silence > multiple["lapsing_until"],
        "lapsing": silence > multiple["active_until"],
        "new": age <= multiple["new_until"] * cycles["group_gap_days"].clip(lower=1.0),
        "reactivated": last_gap > multiple["reactivated_after"] * usual_gap,
    }
    conditions = [np.asarray(condition, dtype=bool) for condition in fits.values()]
    stage = np.select(conditions, list(fits), default="active")
    result = cycles[["as_of_date", "customer_id"]].copy()
    result["silence_ratio"] = silence.to_numpy()
    result["lifecycle_stage"] = oracle._text_series(stage.tolist(), result.index)
    return result


# ---------------------------------------------------------------------------------------------
# Engagement
# ---------------------------------------------------------------------------------------------


def _known_events(events: pd.DataFrame, as_of_date: DateLike) -> pd.DataFrame:
    rows = events.assign(event_date=oracle._read_dates(events["event_date"])[0])
    return _before(rows, "event_date", as_of_date).reset_index(drop=True)


def _weighted_events(
    events: pd.DataFrame, event_types: pd.DataFrame, as_of_date: DateLike
) -> pd.DataFrame:
    """Events before D with event_family, weight (Decimal) and days_ago (1 = the day before D)."""
    families: dict[str | None, tuple[str, Decimal]] = {}
    for row in event_types.to_dict("records"):
        family, weight = oracle.id_text(row["event_family"]), oracle.id_text(row["weight"])
        families[_event_type_code(row["event_type"])] = (str(family), Decimal(str(weight)))
    rows = _known_events(events, as_of_date)
    codes = oracle._map_values(rows["event_type"], _event_type_code)
    found = [families.get(code, (UNMAPPED, Decimal(0))) for code in codes]
    rows["event_family"] = oracle._text_series(family for family, _ in found)
    rows["weight"] = oracle._text_series(weight for _, weight in found)
    rows["days_ago"] = (oracle._day(as_of_date) - rows["event_date"]).dt.days
    return rows


def _event_measures(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The measures per key of `_weighted_events`, engagement_value as an exact Decimal."""
    rows = rows.assign(
        event_count_30d=(rows["days_ago"] <= 30).astype("int64"),
        event_count_90d=(rows["days_ago"] <= 90).astype("int64"),
        days_engaged=rows["days_ago"].astype("float64").where(
            [weight > 0 for weight in rows["weight"]]
        ),
        value=oracle._text_series(
            (
                weight if days <= 90 else Decimal(0)
                for weight, days in zip(rows["weight"], rows["days_ago"], strict=True)
            ),
            rows.index,
        ),
    )
    grouped = rows.groupby(keys, sort=True)
    result = grouped.agg(
        last_event_date=("event_date", "max"),
        days_since_last_event=("days_ago", "min"),
        days_since_last_engagement=("days_engaged", "min"),
        event_count_30d=("event_count_30d", "sum"),
        event_count_90d=("event_count_90d", "sum"),
    )
    exact = grouped["value"].agg(lambda values: sum(values.tolist(), Decimal(0)))
    result["engagement_value"] = exact.astype(object)
    return result.reset_index()


def _event_trend(measures: pd.DataFrame) -> pd.Series:
    third = measures["event_count_90d"].astype("float64") / 3.0
    return _ratio(measures["event_count_30d"], third)


def engagement_by_family(
    events: pd.DataFrame | None, event_types: pd.DataFrame, as_of_date: DateLike
) -> pd.DataFrame:
    """One row per (customer, event_family) with an event before D; none without events.

    The family of a type that is not listed (or missing) is 'unmapped', its weight 0.

    Returns as_of_date, customer_id, event_family, last_event_date, days_since_last_event (1 = the
    day before D), days_since_last_engagement (events of a weight above 0 only), event_count_30d,
    event_count_90d (in [D−30, D) and [D−90, D)), event_trend (the
    last 30 days over a third of the last 90, NaN without any), engagement_value (sum of weights
    over 90 days); by customer and family.
    """
    columns = ["as_of_date", "customer_id", "event_family", "last_event_date"]
    columns += ["days_since_last_event", "days_since_last_engagement", "event_count_30d"]
    columns += ["event_count_90d", "event_trend", "engagement_value"]
    if events is None:
        return pd.DataFrame(columns=columns)
    rows = _weighted_events(events, event_types, as_of_date)
    result = _event_measures(rows, ["customer_id", "event_family"])
    result["event_trend"] = _event_trend(result)
    result["engagement_value"] = result["engagement_value"].astype("float64")
    result["as_of_date"] = oracle._day(as_of_date)
    result["as_of_date"] = result["as_of_date"].astype("datetime64[s]")
    for column in ("customer_id", "event_family"):
        result[column] = result[column].astype(object)
    return result[columns]


def engagement(
    events: pd.DataFrame | None,
    event_types: pd.DataFrame,
    as_of_date: DateLike,
    known: Sequence[str],
    stages: pd.DataFrame,
    engaged_within_days: float = 30,
    score_tiles: int = 5,
    tie_method: TieMethod = "shared",
) -> pd.DataFrame:
    """One row per known customer over all families; everything missing when `events` is None.

    `stages`: `lifecycle_stages` of the same customers.
    engagement_score: NTILE of engagement_value over all known customers, 1 = least engaged; ties
    by the same rule as the other scores. "Engaged": an event with a weight above 0 at most
    `engaged_within_days` ago.

    Returns as_of_date, customer_id, the measures of `engagement_by_family` (counts and value 0
    for a customer without events), engagement_score (Int64), is_engaged_not_buying (engaged, and
    a prospect, lapsing or lapsed), is_buying_not_engaged (new, active or reactivated, and not
    engaged); by customer_id.
    """
    result = _base(as_of_date, known)
    names = ["last_event_date", "days_since_last_event", "days_since_last_engagement"]
    names += ["event_count_30d", "event_count_90d", "engagement_value"]
    if events is None:
        measures = pd.DataFrame(columns=["customer_id", *names])
    else:
        rows = _weighted_events(events, event_types, as_of_date)
        measures = _event_measures(rows, ["customer_id"])
    measures = measures.set_index("customer_id")
    nothing = {"event_count_30d": 0, "event_count_90d": 0, "engagement_value": Decimal(0)}
    for name in names:
        missing = None if events is None else nothing.get(name)
        result[name] = _by_customer(measures[name], known, missing)
    result["last_event_date"] = result["last_event_date"].astype("datetime64[s]")
    for name in names[1:-1]:
        result[name] = pd.to_numeric(result[name]).astype("Int64")
    result.insert(result.columns.get_loc("engagement_value"), "event_trend", _event_trend(result))

    stage_of = dict(zip(stages["customer_id"], stages["lifecycle_stage"], strict=True))
    is_buying = np.array([stage_of[customer] in BUYING_STAGES for customer in known], dtype=bool)
    if events is None:
        result["engagement_score"] = pd.array([pd.NA] * len(known), dtype="Int64")
        is_engaged = pd.array([pd.NA] * len(known), dtype="boolean")
    else:
        score = _shared_or_split_tiles(result, "engagement_value", score_tiles, tie_method)
        result["engagement_score"] = pd.array(score, dtype="Int64")
        days = result["days_since_last_engagement"].astype("float64").to_numpy()
        is_engaged = pd.array(days <= engaged_within_days, dtype="boolean")
    result["engagement_value"] = result["engagement_value"].astype("float64")
    # Not a plain "and": without events nothing is known, not even for those who do not buy.
    unknown = np.full(len(known), events is None)
    for name, flag in (
        ("is_engaged_not_buying", is_engaged & ~is_buying),
        ("is_buying_not_engaged", ~is_engaged & is_buying),
    ):
        result[name] = pd.Series(flag, dtype="boolean").mask(unknown)
    return result


def _shared_or_split_tiles(
    rows: pd.DataFrame, column: str, score_tiles: int, tie_method: str
) -> list[int]:
    """NTILE per row from the smallest value to the largest, ties by customer_id or shared."""
    if tie_method not in ("shared", "split"):
        raise ValueError(f"tie_method: accepted 'shared', 'split', found {tie_method!r}")
    ranked = rows[[column, "customer_id"]].sort_values([column, "customer_id"])
    ranked["tile"] = oracle.ntile(len(ranked), score_tiles)
    if tie_method == "shared":
        ranked["tile"] = ranked.groupby(column)["tile"].transform("min")
    return ranked["tile"].sort_index().tolist()


# ---------------------------------------------------------------------------------------------
# Behaviour
# ---------------------------------------------------------------------------------------------


def behaviour(
    lines: pd.DataFrame,
    days: pd.DataFrame,
    as_of_date: DateLike,
    known: Sequence[str],
    thresholds: Thresholds,
    products: pd.DataFrame | None = None,
    has_discounts: bool | None = None,
) -> pd.DataFrame:
    """Measures and flags per known customer, over all history before D; by customer_id.

    `lines`, `days`: `sale_lines` and `order_days`; `products` None: no categories;
    `has_discounts`: whether the sales source has a discount column (default: as `lines` says).

    A flag is NA for a customer without orders, and where what it judges is missing; a condition
    that fails for certain makes it false even then (too few orders to judge a missing rate).

    Returns as_of_date, customer_id, and
    order_count, order_date_count, sales_amount, return_amount, return_rate_by_value (returns over
    sales), returned_order_count (orders with a return; without order id days with one),
    return_rate_by_orders (at most 1);
    channel_count (NA where none is known); discount_amount, discounted_order_count, discounted_order_share,
    discount_depth (discount over sales before discount); largest_order_amount (None without
    orders), largest_order_share (of sales); recent_gap_days, earlier_gap_days,
    gap_ratio; category_count (NA without any), top_category, top_category_share; season_year_count,
    best_season_share (of the order dates, in the best three months in a row of any year);
    then FLAGS.
    """
    if has_discounts is None:
        has_discounts = bool(lines.attrs.get("has_discounts", True))
    result = _base(as_of_date, known)
    orders = _whole_orders(lines, as_of_date, days.attrs["count_zero_value_orders"])
    _add_order_measures(result, days, orders, as_of_date, known)
    _add_channels(result, lines, as_of_date, known)
    _add_discounts(result, orders, known, has_discounts)
    _add_largest_order(result, orders, known)
    _add_date_measures(result, days, as_of_date, known)
    _add_categories(result, lines, as_of_date, known, products)

    def reaches(column: str, code: str) -> pd.Series:
        return _at_least(result[column], _threshold(thresholds, code))

    has_channel = result["channel_count"] > 0
    flags = {
        "has_high_return_rate_by_value": reaches("order_count", "return_rate_min_orders")
        & reaches("return_rate_by_value", "high_return_rate_by_value"),
        "has_high_return_rate_by_orders": reaches("order_count", "return_rate_min_orders")
        & reaches("return_rate_by_orders", "high_return_rate_by_orders"),
        "is_single_channel": (
            reaches("order_count", "single_channel_min_orders") & (result["channel_count"] == 1)
        ).mask(~has_channel),
        "is_discount_dependent": (
            reaches("order_count", "discount_dependent_min_orders")
            & reaches("discounted_order_share", "discount_dependent_order_share")
            & reaches("discount_depth", "discount_dependent_depth")
        ).mask(np.full(len(result), not has_discounts)),
        "is_one_time_buyer": (result["order_count"] == 1).astype("boolean"),
        "has_one_big_order": reaches("order_count", "one_big_order_min_orders")
        & reaches("largest_order_share", "one_big_order_share"),
        "is_frequency_declining": reaches(
            "order_date_count", "declining_frequency_min_order_dates"
        )
        & reaches("gap_ratio", "declining_frequency_ratio"),
        "is_single_category": (
            reaches("order_count", "single_category_min_orders")
            & reaches("top_category_share", "single_category_share")
        ).mask(result["top_category_share"].isna()),
        "is_seasonal_buyer": reaches("order_date_count", "seasonal_min_order_dates")
        & reaches("season_year_count", "seasonal_min_years")
        & reaches("best_season_share", "seasonal_share"),
    }
    for name in FLAGS:
        result[name] = flags[name].astype("boolean").mask(result["order_count"] == 0)
    for name in ("channel_count", "category_count"):
        result[name] = result[name].astype("Int64").mask(result[name] == 0)
    return result


def _add_order_measures(
    result: pd.DataFrame,
    days: pd.DataFrame,
    orders: pd.DataFrame,
    as_of_date: DateLike,
    known: Sequence[str],
) -> None:
    rows = _before(days, "sale_date", as_of_date)
    sums = rows.groupby("customer_id")[["order_count", "sales_cents", "return_cents"]].sum()
    sums["returned"] = (orders["return_cents"] > 0).groupby(orders["customer_id"]).sum()
    count, sales, returns, returned = (
        _by_customer(sums[column], known, 0).astype("int64") for column in sums.columns
    )
    dates = _order_dates(days, as_of_date).groupby("customer_id").size()
    result["order_count"] = count
    result["order_date_count"] = _by_customer(dates, known, 0).astype("int64")
    result["sales_amount"] = _money_series(sales)
    result["return_amount"] = _money_series(returns)
    result["return_rate_by_value"] = _ratio(returns, sales)
    result["returned_order_count"] = returned
    result["return_rate_by_orders"] = _ratio(returned, count).clip(upper=1.0)


def _add_channels(
    result: pd.DataFrame, lines: pd.DataFrame, as_of_date: DateLike, known: Sequence[str]
) -> None:
    rows = _before(lines, "sale_date", as_of_date)
    channels = rows[~rows["is_return_row"]].groupby("customer_id")["channel"].nunique()
    result["channel_count"] = _by_customer(channels, known, 0).astype("int64")


def _add_discounts(
    result: pd.DataFrame, orders: pd.DataFrame, known: Sequence[str], has_discounts: bool
) -> None:
    rows = orders.assign(discounted=orders["is_order"] & (orders["discount_cents"] > 0))
    sums = rows.groupby("customer_id")[["discount_cents", "discounted", "sales_cents"]].sum()
    discount, discounted, sales = (
        _by_customer(sums[column], known, 0).astype("Int64") for column in sums.columns
    )
    if not has_discounts:
        discount, discounted = discount.mask(discount >= 0), discounted.mask(discounted >= 0)
    result["discount_amount"] = _money_series(discount)
    result["discounted_order_count"] = discounted
    result["discounted_order_share"] = _ratio(discounted, result["order_count"])
    result["discount_depth"] = _ratio(discount, sales + discount)


def _add_largest_order(
    result: pd.DataFrame, orders: pd.DataFrame, known: Sequence[str]
) -> None:
    by_customer = orders.groupby("customer_id")["sales_cents"]
    largest = _by_customer(by_customer.max(), known).astype("Int64")
    largest = largest.mask(result["order_count"] == 0)
    result["largest_order_amount"] = _money_series(largest)
    total = _by_customer(by_customer.sum(), known, 0)
    result["largest_order_share"] = _ratio(largest, total)


def _add_date_measures(
    result: pd.DataFrame, days: pd.DataFrame, as_of_date: DateLike, known: Sequence[str]
) -> None:
    """The recent and the earlier gap, the years and the best season of the order dates."""
    dates = _order_dates(days, as_of_date)
    by_customer = dates.groupby("customer_id")["sale_date"]
    from_last = dates.groupby("customer_id").cumcount(ascending=False)
    third_last = dates[from_last == 2].set_index("customer_id")["sale_date"]
    third_last = _by_customer(third_last, known).astype("datetime64[s]")
    first = _by_customer(by_customer.min(), known).astype("datetime64[s]")
    today = pd.Series(oracle._day(as_of_date), index=third_last.index).astype("datetime64[s]")
    result["recent_gap_days"] = _days_between(today, third_last) / 3.0
    result["earlier_gap_days"] = _ratio(
        _days_between(third_last, first), result["order_date_count"] - 3
    )
    result["gap_ratio"] = _ratio(result["recent_gap_days"], result["earlier_gap_days"])

    months = dates["sale_date"].dt.year * 12 + dates["sale_date"].dt.month - 1
    best = pd.Series(0, index=by_customer.size().index)
    years = best
    for start in range(12):
        since_start = months - start
        in_season = since_start % 12 < 3
        inside = in_season.groupby(dates["customer_id"]).sum()
        season_years = (since_start // 12).where(in_season).groupby(dates["customer_id"]).nunique()
        is_better = inside > best
        best, years = best.mask(is_better, inside), years.mask(is_better, season_years)
    result["season_year_count"] = _by_customer(years, known, 0).astype("int64")
    result["best_season_share"] = _ratio(
        _by_customer(best, known), result["order_date_count"]
    )


def _add_categories(
    result: pd.DataFrame,
    lines: pd.DataFrame,
    as_of_date: DateLike,
    known: Sequence[str],
    products: pd.DataFrame | None,
) -> None:
    breadth = category_breadth(lines, as_of_date, known, products)
    for column in ("category_count", "top_category", "top_category_share"):
        result[column] = breadth[column]


# ---------------------------------------------------------------------------------------------
# Affinity
# ---------------------------------------------------------------------------------------------


def _positive_spends(
    lines: pd.DataFrame, as_of_date: DateLike, products: pd.DataFrame, affinity_type: str
) -> pd.DataFrame:
    """customer_id, item, cents, rank: net spend above zero per customer and item, largest first.

    `item` is the category, or the product id (of products that dim_products does not list too).
    """
    ids = oracle._text_series(oracle._map_values(products["product_id"], oracle.id_text))
    repeated = sorted(set(ids[ids.duplicated()].dropna()))
    if repeated:
        raise ValueError(f"products: more than one row for {repeated[:5]}")
    rows = _before(lines, "sale_date", as_of_date)
    rows = rows[rows["product_id"].notna()]
    if affinity_type == "category":
        names = oracle._map_values(products["category"], oracle.id_text)
        item = rows["product_id"].map(dict(zip(ids, names, strict=True)))
    else:
        item = rows["product_id"]
    rows = rows.assign(item=item.astype(object))
    spends = rows.groupby(["customer_id", "item"], sort=True)["net_cents"].sum()
    spends = spends[spends > 0].rename("cents").reset_index()
    for column in ("customer_id", "item"):
        spends[column] = spends[column].astype(object)
    spends = spends.sort_values(
        ["customer_id", "cents", "item"], ascending=[True, False, True], kind="stable"
    ).reset_index(drop=True)
    spends["rank"] = spends.groupby("customer_id").cumcount() + 1
    return spends


def category_breadth(
    lines: pd.DataFrame,
    as_of_date: DateLike,
    known: Sequence[str],
    products: pd.DataFrame | None,
) -> pd.DataFrame:
    """How many categories a customer spends on, and which one most.

    Returns as_of_date, customer_id, category_count (Int64: categories with positive spend; NA
    without products), top_category (None without any), top_category_share (of the customer's net
    revenue, at most 1; NaN where that is not positive); by customer_id.
    """
    result = _base(as_of_date, known)
    if products is None:
        result["category_count"] = pd.array([pd.NA] * len(known), dtype="Int64")
        result["top_category"] = oracle._text_series([None] * len(known))
        result["top_category_share"] = pd.Series(float("nan"), index=result.index)
        return result
    spends = _positive_spends(lines, as_of_date, products, "category")
    by_customer = spends.groupby("customer_id")["cents"]
    top = spends[spends["rank"] == 1].set_index("customer_id")
    result["category_count"] = _by_customer(by_customer.size(), known, 0).astype("Int64")
    names = _by_customer(top["item"], known)
    result["top_category"] = oracle._text_series(None if pd.isna(v) else v for v in names)
    net = _before(lines, "sale_date", as_of_date).groupby("customer_id")["net_cents"].sum()
    result["top_category_share"] = _ratio(
        _by_customer(top["cents"], known), _by_customer(net[net > 0], known)
    ).clip(upper=1.0)
    return result


def affinity(
    lines: pd.DataFrame,
    days: pd.DataFrame,
    as_of_date: DateLike,
    products: pd.DataFrame | None,
    affinity_prior_orders: float = 5,
    ranks: int = 3,
) -> pd.DataFrame:
    """The categories and products a customer spends most on, `ranks` of each; none without
    products.

    Spend is net of returns; only spends above zero count, of the customer and in the base.
    affinity_index: the customer's share over everybody's, drawn towards 1 as if by
    `affinity_prior_orders` orders of an average customer.

    Returns as_of_date, customer_id, affinity_type ('category' or 'product'), affinity_rank,
    item (category or product_id), item_name (category; product_name, without one the id),
    spend_amount (Decimal), spend_share, base_share, affinity_index; by customer, type and rank.
    """
    columns = ["as_of_date", "customer_id", "affinity_type", "affinity_rank", "item", "item_name"]
    columns += ["spend_amount", "spend_share", "base_share", "affinity_index"]
    if products is None:
        return pd.DataFrame(columns=columns)
    counts = _before(days, "sale_date", as_of_date).groupby("customer_id")["order_count"].sum()
    names: dict[str | None, str | None] = {}
    if "product_name" in products.columns:
        ids = oracle._map_values(products["product_id"], oracle.id_text)
        shown = oracle._map_values(products["product_name"], oracle.id_text)
        names = dict(zip(ids, shown, strict=True))
    parts = []
    for affinity_type in ("category", "product"):
        spends = _positive_spends(lines, as_of_date, products, affinity_type)
        own_total = spends.groupby("customer_id")["cents"].transform("sum")
        item_total = spends.groupby("item")["cents"].transform("sum")
        everything = pd.Series(spends["cents"].sum(), index=spends.index)
        spends["affinity_type"] = affinity_type
        spends["spend_share"] = _ratio(spends["cents"], own_total)
        spends["base_share"] = _ratio(item_total, everything)
        orders = spends["customer_id"].map(counts).astype("float64")
        prior = float(affinity_prior_orders)
        lift = orders * spends["spend_share"] / spends["base_share"]
        spends["affinity_index"] = (lift + prior) / (orders + prior)
        is_product = affinity_type == "product"
        spends["item_name"] = oracle._text_series(
            (names.get(item) or item) if is_product else item for item in spends["item"]
        )
        parts.append(spends[spends["rank"] <= ranks])
    result = pd.concat(parts, ignore_index=True).rename(columns={"rank": "affinity_rank"})
    result["as_of_date"] = oracle._day(as_of_date)
    result["as_of_date"] = result["as_of_date"].astype("datetime64[s]")
    result["affinity_type"] = result["affinity_type"].astype(object)
    result["spend_amount"] = _money_series(result["cents"])
    result = result.sort_values(["customer_id", "affinity_type", "affinity_rank"])
    return result[columns].reset_index(drop=True)


# ---------------------------------------------------------------------------------------------
# Next-best category, segment profile
# ---------------------------------------------------------------------------------------------


def next_best_categories(
    lines: pd.DataFrame,
    as_of_date: DateLike,
    products: pd.DataFrame,
    segment_of: Mapping[str, str],
    thresholds: Thresholds,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(what customers of a segment with the same top category also buy, the proposal of each).

    `segment_of`: customer id → segment_key, every known customer.
    lift: share of buyers over the share among all of the segment whose top category is another
    one, pulled towards 1 by next_best_prior_customers average customers.

    Returns segment_key, top_category, category, customer_count, buyer_count, buyer_share,
    base_share, lift; and customer_id, as_of_date, segment_key, top_category, next_category,
    buyer_share, lift: of the categories with a lift above 1 of which the customer has no row at
    all, the largest lift, then share, then the first name.
    """
    spends = _positive_spends(lines, as_of_date, products, "category")
    bought: dict[str, set[str]] = {}
    for customer, item in zip(spends["customer_id"], spends["item"], strict=True):
        bought.setdefault(customer, set()).add(item)
    top = dict(spends.loc[spends["rank"] == 1, ["customer_id", "item"]].itertuples(index=False))
    fewest = _threshold(thresholds, "next_best_min_buyers")
    least_share = _threshold(thresholds, "next_best_min_share")
    prior = _threshold(thresholds, "next_best_prior_customers")

    groups: dict[tuple[str, str], list[str]] = {}
    for customer, category in top.items():
        groups.setdefault((segment_of[customer], category), []).append(customer)
    rows = []
    for (segment, favourite), members in sorted(groups.items()):
        for category in sorted(set().union(*(bought[member] for member in members))):
            buyers = sum(category in bought[member] for member in members)
            share = buyers / len(members)
            if category == favourite or buyers < fewest or buyers < least_share * len(members):
                continue
            others = [
                customer
                for customer, most in top.items()
                if most != category and segment_of[customer] == segment
            ]
            base = sum(category in bought[customer] for customer in others) / len(others)
            lift = (buyers / base + prior) / (len(members) + prior)
            rows.append((segment, favourite, category, len(members), buyers, share, base, lift))
    names = "segment_key top_category category customer_count buyer_count buyer_share base_share"
    table = pd.DataFrame(rows, columns=[*names.split(), "lift"])

    sold = _before(lines, "sale_date", as_of_date)
    ids = oracle._text_series(oracle._map_values(products["product_id"], oracle.id_text))
    categories = oracle._map_values(products["category"], oracle.id_text)
    category_of = dict(zip(ids, categories, strict=True))
    touched: dict[str, set[str]] = {}
    for customer, product in zip(sold["customer_id"], sold["product_id"], strict=True):
        touched.setdefault(customer, set()).add(category_of.get(product))
    proposals = []
    for customer, favourite in sorted(top.items()):
        fits = table[
            (table["segment_key"] == segment_of[customer])
            & (table["top_category"] == favourite)
            & (table["lift"].round(9) > 1)
            & ~table["category"].isin(touched[customer])
        ]
        fits = fits.assign(first=-fits["lift"].round(9), second=-fits["buyer_share"].round(9))
        for row in fits.sort_values(["first", "second", "category"]).head(1).itertuples():
            key = (customer, oracle._day(as_of_date), row.segment_key, favourite)
            proposals.append((*key, row.category, row.buyer_share, row.lift))
    names = "customer_id as_of_date segment_key top_category next_category buyer_share lift"
    return table, pd.DataFrame(proposals, columns=names.split())


def segment_profile(
    customers: pd.DataFrame, lines: pd.DataFrame, as_of_date: DateLike
) -> pd.DataFrame:
    """Who the customers of each segment are, and which traits go with slipping.

    `customers`: segment_key, silence_ratio and the traits of every known customer (rows of
    customer_segments). Shares are of those of whom the trait is known. Slipping: a silence_ratio
    above the median of the segment; NaN for traits that contain silence.

    Returns the columns of the mart segment_profile.
    """
    sold = _before(lines, "sale_date", as_of_date)
    sold = sold[~sold["is_return_row"] & sold["channel"].notna()]
    channels = sold.groupby("customer_id")["channel"].unique().to_dict()
    medians: dict[str, float] = {}
    for segment, ratios in customers.groupby("segment_key")["silence_ratio"]:
        medians[segment] = _quantile([float(ratio) for ratio in ratios if pd.notna(ratio)], 0.5)

    flags = [*FLAGS, "is_engaged_not_buying", "is_buying_not_engaged"]
    silent = {"is_frequency_declining", "is_engaged_not_buying", "is_buying_not_engaged"}
    # (type, known as, values or none) per customer.
    known: dict[tuple[str, str], dict[str, list[str]]] = {}
    people = customers.to_dict("records")
    for person in people:
        customer = person["customer_id"]
        for name in ("lifecycle_stage", "engagement_score", "top_category", "country"):
            if not pd.isna(person[name]):
                known.setdefault((name, name), {})[customer] = [str(person[name])]
        for flag in flags:
            if not pd.isna(person[flag]):
                known.setdefault(("flag", flag), {})[customer] = [flag] if person[flag] else []
        if customer in channels:
            known.setdefault(("channel", "channel"), {})[customer] = list(channels[customer])

    segment_of = {person["customer_id"]: person["segment_key"] for person in people}
    slips = {
        person["customer_id"]: None
        if pd.isna(person["silence_ratio"])
        else round(float(person["silence_ratio"]), 9) > round(medians[person["segment_key"]], 9)
        for person in people
    }

    def slipping(members: list[str]) -> tuple[int, float]:
        judged = [slips[member] for member in members if slips[member] is not None]
        return len(judged), sum(judged) / len(judged) if judged else float("nan")

    rows = []
    for (trait_type, name), values in known.items():
        for value in sorted({value for had in values.values() for value in had}):
            base = sum(value in had for had in values.values()) / len(values)
            for segment in sorted(medians):
                members = [customer for customer in values if segment_of[customer] == segment]
                having = [member for member in members if value in values[member]]
                if not having:
                    continue
                share = len(having) / len(members)
                lacking = [member for member in members if value not in values[member]]
                (count, with_it), (other_count, without) = slipping(having), slipping(lacking)
                if trait_type == "lifecycle_stage" or name in silent:
                    with_it = without = float("nan")
                difference, error = with_it - without, float("nan")
                if not np.isnan(difference):
                    variance = with_it * (1 - with_it) / count
                    error = (variance + without * (1 - without) / other_count) ** 0.5
                goes = min(count, other_count) >= 30 and round(difference, 9) > round(3 * error, 9)
                rows.append(
                    (segment, trait_type, value, len(having), share, base, share / base)
                    + (with_it, without, difference, error, bool(goes))
                )
    names = (
        "segment_key trait_type trait_value customer_count customer_share base_share"
        " customer_share_index slipping_share slipping_share_of_others slipping_difference"
        " slipping_difference_error goes_with_slipping"
    )
    return pd.DataFrame(rows, columns=names.split())
