"""The behaviour oracle against examples worked out by hand, and its generator of hard data."""

from __future__ import annotations

import datetime as dt
import doctest
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from python_checks import behaviour_cases, behaviour_oracle, oracle
from python_checks.behaviour_cases import BEHAVIOUR_THRESHOLDS, LIFECYCLE_THRESHOLDS

DAY = dt.date(2023, 7, 1)
SALES = "customer_id sale_date revenue order_id is_return product_id channel discount_amount"
EVENT_TYPES = pd.DataFrame(
    [
        ("email_open", "email", "1"),
        (" Email_Click ", "email", "2.5"),
        ("visit", "site", "0.1"),
    ],
    columns=["event_type", "event_family", "weight"],
)
PRODUCTS = pd.DataFrame(
    [
        ("p1", "Pan", "kitchen"),
        ("p2", None, "kitchen"),
        ("p3", "Lamp", "light"),
        ("p4", "Rug", None),
    ],
    columns=["product_id", "product_name", "category"],
)


def ago(days: int) -> dt.date:
    """The date `days` days before DAY."""
    return DAY - dt.timedelta(days=days)


def sale(customer: str, date: dt.date, revenue: Any = 10, **more: Any) -> dict[str, Any]:
    row = dict.fromkeys(SALES.split()) | {"is_return": False} | more
    unknown = set(row) - set(SALES.split())
    assert not unknown, unknown
    return row | {"customer_id": customer, "sale_date": date, "revenue": Decimal(str(revenue))}


def typed(*rows: dict[str, Any], count_zero: bool = False) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(sale lines, order days)."""
    lines = behaviour_oracle.sale_lines(pd.DataFrame(rows, columns=SALES.split(), dtype=object))
    return lines, behaviour_oracle.order_days(lines, count_zero)


def bought(customer: str, *days_ago: int) -> list[dict[str, Any]]:
    return [sale(customer, ago(days)) for days in days_ago]


def cycles_of(
    *rows: dict[str, Any], known: tuple[str, ...] = (), groups: Any = None, **arguments: Any
) -> pd.DataFrame:
    lines, days = typed(*rows)
    ids = sorted({*known, *(row["customer_id"] for row in rows)})
    found = behaviour_oracle.purchase_cycles(days, DAY, ids, groups, **arguments)
    return found.set_index("customer_id", drop=False)


def events(*rows: tuple[str, int, Any]) -> pd.DataFrame:
    """From (customer, days before DAY, type)."""
    filled = [(f"e{n}", row[0], ago(row[1]), row[2]) for n, row in enumerate(rows)]
    columns = ["event_id", "customer_id", "event_date", "event_type"]
    return pd.DataFrame(filled, columns=columns, dtype=object)


def stages(**stage_of: str) -> pd.DataFrame:
    pairs = sorted(stage_of.items())
    return pd.DataFrame(pairs, columns=["customer_id", "lifecycle_stage"])


def engaged(rows: pd.DataFrame | None, stage: pd.DataFrame, **arguments: Any) -> pd.DataFrame:
    known = stage["customer_id"].tolist()
    found = behaviour_oracle.engagement(rows, EVENT_TYPES, DAY, known, stage, **arguments)
    return found.set_index("customer_id")


def behaviour_of(
    *rows: dict[str, Any], count_zero: bool = False, day: dt.date = DAY, **arguments: Any
) -> pd.Series:
    """The only customer's row as plain Python values; thresholds are the defaults."""
    lines, days = typed(*rows, count_zero=count_zero)
    ids = sorted({row["customer_id"] for row in rows})
    found = behaviour_oracle.behaviour(lines, days, day, ids, BEHAVIOUR_THRESHOLDS, **arguments)
    assert len(found) == 1
    row = {name: found[name].tolist()[0] for name in found.columns}
    return pd.Series(row, dtype=object)


def test_docstring_examples_hold() -> None:
    result = doctest.testmod(behaviour_oracle)
    assert result.attempted >= 1
    assert result.failed == 0


# ---------------------------------------------------------------------------------------------
# Order days and known customers
# ---------------------------------------------------------------------------------------------


def test_an_order_counts_on_the_day_of_its_earliest_paid_line() -> None:
    rows = [
        sale("a", ago(9), 0, order_id="o1"),
        sale("a", ago(8), 5, order_id="o1", discount_amount=Decimal("-1.50")),
        sale("a", ago(7), 7, order_id="o1"),
        sale("a", ago(7), 2, order_id="o1", is_return=True),
        sale("a", ago(7), -3, order_id="o1"),
        sale("a", ago(6), 4),
        sale("a", ago(6), 6, discount_amount=Decimal("0.25")),
        sale("a", ago(6), 0),
    ]
    names = ["sale_date", "order_count", "sales_cents", "return_cents", "discount_cents"]
    _, days = typed(*rows)
    found = days[names].assign(sale_date=days["sale_date"].dt.date).values.tolist()
    assert found == [
        [ago(9), 0, 0, 0, 0],
        [ago(8), 1, 500, 0, 150],
        [ago(7), 0, 700, 500, 0],
        [ago(6), 2, 1000, 0, 25],
    ]
    _, with_zero = typed(*rows, count_zero=True)
    assert with_zero["order_count"].tolist() == [1, 0, 0, 3]


def test_an_event_makes_a_customer_known_from_the_next_day_on() -> None:
    lines, _ = typed(sale("buyer", ago(1)), sale("later", DAY))
    happened = events(("reader", 1, "visit"), ("tomorrow", 0, "visit"))
    people = pd.DataFrame(
        {"customer_id": ["dim", "undated", "new"], "created_date": [ago(1), None, DAY]}
    )
    known = behaviour_oracle.known_customers(lines, DAY, happened, people)
    assert known == ["buyer", "dim", "reader", "undated"]
    known = behaviour_oracle.known_customers(lines, DAY, happened, people, is_current=False)
    assert known == ["buyer", "dim", "reader"]
    assert behaviour_oracle.known_customers(lines, DAY) == ["buyer"]


# ---------------------------------------------------------------------------------------------
# Purchase cycle
# ---------------------------------------------------------------------------------------------


def test_gaps_are_between_distinct_order_dates() -> None:
    # 50 and 10 days before; two orders on the same day and a return later add nothing.
    rows = [*bought("a", 50, 50, 10), sale("a", ago(3), -5)]
    row = cycles_of(*rows).loc["a"]
    assert row["order_date_count"] == 2
    assert row["first_order_date"] == row["previous_order_date"] == pd.Timestamp(ago(50))
    assert row["last_order_date"] == pd.Timestamp(ago(10))
    assert row["own_gap_days"] == row["group_gap_days"] == row["expected_gap_days"] == 40


def test_the_expected_gap_is_drawn_towards_the_group_gap() -> None:
    # Own gaps: a (100-10)/3 = 30, b 10, c 50; median 30.
    rows = [*bought("a", 100, 90, 50, 10), *bought("b", 30, 20), *bought("c", 55, 5)]
    found = cycles_of(*rows, *bought("d", 4))
    assert found["group_gap_days"].tolist() == [30, 30, 30, 30]
    # a: (90 + 60) / (3 + 2); b: (10 + 60) / 3; c: (50 + 60) / 3; d: 60 / 2.
    assert found["expected_gap_days"].tolist() == pytest.approx([30, 70 / 3, 110 / 3, 30])
    # a before its last date: (100 - 50 + 60) / (2 + 2); b and c: one date before it.
    before_last = found["expected_gap_before_last_days"]
    assert before_last.tolist()[:3] == [27.5, 30, 30]
    assert pd.isna(before_last["d"])
    assert pd.isna(found.loc["d", "own_gap_days"])
    assert pd.isna(found.loc["d", "previous_order_date"])


def test_without_a_prior_the_own_gaps_decide_alone() -> None:
    rows = [*bought("a", 100, 90, 50, 10), *bought("b", 30, 20), *bought("c", 4)]
    found = cycles_of(*rows, gap_prior_strength=0)
    assert found["group_gap_days"].tolist() == [20, 20, 20]  # median of 30 and 10
    assert found["expected_gap_days"].tolist() == [30, 10, 20]
    assert found["expected_gap_before_last_days"].tolist()[:2] == [25, 20]


def test_the_expected_gap_is_a_day_at_least() -> None:
    found = cycles_of(*bought("a", 9), default_purchase_gap_days=0.5)
    assert found.loc["a", "expected_gap_days"] == 1


def test_a_group_without_gaps_takes_the_base_and_a_base_without_gaps_the_default() -> None:
    groups = {"a": "north", "b": "north", "c": "south", "d": " "}
    rows = [*bought("a", 30, 10), *bought("b", 40, 30), *bought("c", 5), *bought("d", 80, 10)]
    found = cycles_of(*rows, known=("z",), groups=groups)
    # north: median of 20 and 10; everybody: median of 20, 10 and 70.
    assert found["group_gap_days"].tolist() == [15, 15, 20, 20, 20]
    assert cycles_of(*bought("a", 9), groups=groups).loc["a", "group_gap_days"] == 60
    found = cycles_of(*bought("a", 9), groups=groups, default_purchase_gap_days=45)
    assert found.loc["a", "expected_gap_days"] == 45


def test_a_prospect_has_a_group_gap_and_no_expected_gap() -> None:
    rows = [sale("free", ago(9), 0), sale("returner", ago(9), -5), *bought("a", 30, 10)]
    found = cycles_of(*rows, known=("z",))
    for customer in ("free", "returner", "z"):
        row = found.loc[customer]
        assert (row["order_date_count"], row["group_gap_days"]) == (0, 20)
        assert row[["first_order_date", "own_gap_days", "expected_gap_days"]].isna().all()


def test_sales_on_the_date_itself_are_not_yet_known() -> None:
    row = cycles_of(*bought("a", 30, 10, 0)).loc["a"]
    assert (row["order_date_count"], row["own_gap_days"]) == (2, 20)


def test_the_summary_has_a_row_per_group_with_gaps_and_one_for_everybody() -> None:
    groups = {"a": "north", "b": "north", "c": "south"}
    rows = [*bought("a", 30, 10), *bought("b", 50, 40, 20), *bought("c", 5), *bought("d", 80, 10)]
    summary = behaviour_oracle.cycle_summary(cycles_of(*rows), groups)
    # Own gaps: a 20, b 15, d 70.
    assert summary.drop(columns="as_of_date").values.tolist() == [
        ["(all)", 3, 7, 17.5, 20, 45, pytest.approx(60)],
        ["north", 2, 5, 16.25, 17.5, 18.75, pytest.approx(19.5)],
    ]
    alone = behaviour_oracle.cycle_summary(cycles_of(*bought("c", 5)), groups)
    assert alone[["score_group", "customer_count"]].values.tolist() == [["(all)", 0]]
    assert alone["gap_days_median"].isna().all()


# ---------------------------------------------------------------------------------------------
# Lifecycle
# ---------------------------------------------------------------------------------------------


def one_cycle(
    first: int | None,
    previous: int | None,
    last: int | None,
    expected: float,
    before: float = 10,
    group: float | None = None,
) -> pd.DataFrame:
    """A row of `purchase_cycles` from days before DAY and the gaps (the group's: as expected)."""
    dates = [None if days is None else pd.Timestamp(ago(days)) for days in (first, previous, last)]
    count = 0 if last is None else 1 if previous is None else 3
    row = {"as_of_date": pd.Timestamp(DAY), "customer_id": "a", "order_date_count": count}
    row |= dict(zip(["first_order_date", "previous_order_date", "last_order_date"], dates))
    row |= {"expected_gap_days": expected, "expected_gap_before_last_days": before}
    row["group_gap_days"] = expected if group is None else group
    gaps = dict.fromkeys(["expected_gap_days", "group_gap_days"], "float64")
    frame = pd.DataFrame([row]).astype(gaps)
    for column in ("as_of_date", "first_order_date", "previous_order_date", "last_order_date"):
        frame[column] = frame[column].astype("datetime64[s]")
    return frame


@pytest.mark.parametrize(
    ("first", "previous", "last", "expected", "stage"),
    [
        (None, None, None, None, "prospect"),
        (90, 60, 41, 10, "lapsed"),  # 4.1 expected gaps
        (90, 60, 40, 10, "lapsing"),  # exactly 4
        (90, 60, 21, 10, "lapsing"),  # 2.1
        (90, 60, 20, 10, "active"),  # exactly 2; 40 days before it is not more than 4 × 10
        (90, 61, 20, 10, "reactivated"),  # 41 days is more
        (20, 20, 1, 10, "new"),  # first order exactly 2 expected gaps ago
        (21, 20, 1, 10, "active"),
        (20, None, 20, 10, "new"),
        (21, None, 21, 10, "lapsing"),
        (50, 45, 2, 25, "new"),  # 43 days of absence, but new comes first
        (1, None, 1, 1, "new"),
    ],
)
def test_the_first_stage_that_fits(
    first: int | None, previous: int | None, last: int | None, expected: float, stage: str
) -> None:
    cycle = one_cycle(first, previous, last, expected)
    found = behaviour_oracle.lifecycle_stages(cycle, LIFECYCLE_THRESHOLDS).iloc[0]
    assert found["lifecycle_stage"] == stage
    if last is None:
        assert pd.isna(found["silence_ratio"])
    else:
        assert found["silence_ratio"] == last / expected


def test_stages_read_their_own_thresholds() -> None:
    def stage(cycle: pd.DataFrame, **changed: float) -> str:
        thresholds = {**LIFECYCLE_THRESHOLDS, **changed}
        return behaviour_oracle.lifecycle_stages(cycle, thresholds).loc[0, "lifecycle_stage"]

    assert stage(one_cycle(90, 60, 30, 10), active_until=3) == "active"
    assert stage(one_cycle(90, 60, 30, 10), lapsing_until=2.5) == "lapsed"
    assert stage(one_cycle(90, 30, 10, 10), new_until=9) == "new"
    assert stage(one_cycle(90, 30, 10, 10), reactivated_after=1.9) == "reactivated"
    # Who is new is judged by the group's gap, of at least a day.
    assert stage(one_cycle(601, 601, 1, 330, 60, group=60), new_until=2) == "reactivated"
    assert stage(one_cycle(20, 20, 1, 5, group=10), new_until=2) == "new"
    assert stage(one_cycle(2, 2, 1, 5, group=0.5), new_until=2) == "new"
    with pytest.raises(KeyError, match="new_until"):
        without = {c: v for c, v in LIFECYCLE_THRESHOLDS.items() if c != "new_until"}
        behaviour_oracle.lifecycle_stages(one_cycle(9, 9, 9, 9), without)


def test_one_order_lapses_after_multiples_of_the_group_gap() -> None:
    # Group gap 10 (of z): one order 20 days ago is new, 21 lapsing, 41 lapsed.
    rows = [*bought("z", 20, 10), *bought("a", 20), *bought("b", 21), *bought("c", 41)]
    found = behaviour_oracle.lifecycle_stages(cycles_of(*rows), LIFECYCLE_THRESHOLDS)
    assert found["lifecycle_stage"].tolist() == ["new", "lapsing", "lapsed", "new"]


# ---------------------------------------------------------------------------------------------
# Engagement
# ---------------------------------------------------------------------------------------------


def test_two_families_and_the_edges_of_both_windows() -> None:
    rows = events(
        ("a", 1, "visit"),
        ("a", 30, " VISIT"),
        ("a", 31, "visit"),
        ("a", 90, "visit"),
        ("a", 91, "visit"),
        ("a", 60, "EMAIL_CLICK"),
        ("a", 0, "email_open"),  # not yet known
    )
    found = behaviour_oracle.engagement_by_family(rows, EVENT_TYPES, DAY)
    names = ["event_family", "days_since_last_event", "event_count_30d", "event_count_90d"]
    names += ["event_trend", "engagement_value"]
    assert found[names].values.tolist() == [
        ["email", 60, 0, 1, 0, 2.5],
        ["site", 1, 2, 4, 1.5, 0.4],
    ]
    assert found["last_event_date"].dt.date.tolist() == [ago(60), ago(1)]
    row = engaged(rows, stages(a="active")).loc["a"]
    assert row["last_event_date"] == pd.Timestamp(ago(1))
    assert row["event_count_30d"] == 2
    assert row["event_count_90d"] == 5
    assert row["event_trend"] == pytest.approx(1.2)  # 2 / (5 / 3)
    assert row["engagement_value"] == 2.9


def test_a_type_nobody_listed_counts_without_weight() -> None:
    rows = events(("a", 5, "fax"), ("a", 6, None), ("a", 7, "  "), ("a", 8, "Email Open"))
    found = behaviour_oracle.engagement_by_family(rows, EVENT_TYPES, DAY)
    assert found["event_family"].tolist() == ["unmapped"]
    row = engaged(rows, stages(a="active")).loc["a"]
    assert (row["event_count_90d"], row["engagement_value"]) == (4, 0)


def test_a_customer_with_old_events_or_none() -> None:
    found = engaged(events(("a", 91, "visit")), stages(a="lapsed", b="active"))
    assert found["days_since_last_event"].tolist() == [91, pd.NA]
    assert found["event_count_90d"].tolist() == [0, 0]
    assert found["engagement_value"].tolist() == [0, 0]
    assert found["event_trend"].isna().all()
    assert found["is_engaged_not_buying"].tolist() == [False, False]
    assert found["is_buying_not_engaged"].tolist() == [False, True]
    by_family = behaviour_oracle.engagement_by_family(
        events(("a", 91, "visit")), EVENT_TYPES, DAY
    ).iloc[0]
    assert by_family["event_count_90d"] == 0
    assert pd.isna(by_family["event_trend"])


def test_the_engagement_score_is_of_all_known_customers() -> None:
    # Values 0, 0, 0, 0.1, 1, 2.5, 2.5: tiles of 7 by 5 are 1 1 2 2 3 4 5.
    rows = events(
        ("d", 1, "visit"), ("e", 1, "email_open"), ("f", 1, "email_click"), ("g", 9, "email_click")
    )
    who = stages(**dict.fromkeys("abcdefg", "active"))
    assert engaged(rows, who)["engagement_score"].tolist() == [1, 1, 1, 2, 3, 4, 4]
    split = engaged(rows, who, tie_method="split")["engagement_score"].tolist()
    assert split == [1, 1, 2, 2, 3, 4, 5]
    assert engaged(rows, who, score_tiles=3)["engagement_score"].tolist() == [1, 1, 1, 2, 2, 3, 3]


def test_equal_sums_of_weights_are_a_tie_whatever_their_order() -> None:
    types = pd.DataFrame(
        [("x", "f", "0.1"), ("y", "f", "0.2"), ("z", "f", "0.3")], columns=EVENT_TYPES.columns
    )
    rows = events(("a", 1, "x"), ("a", 1, "y"), ("b", 1, "z"))  # 0.1 + 0.2 is not 0.3 in floats
    found = behaviour_oracle.engagement(rows, types, DAY, ["a", "b"], stages(a="new", b="new"))
    assert found["engagement_score"].tolist() == [1, 1]


@pytest.mark.parametrize("stage", behaviour_oracle.LIFECYCLE_STAGES)
def test_engaged_or_buying_at_the_edge_of_the_days(stage: str) -> None:
    # Whatever has no weight ("fax") engages nobody.
    rows = events(("a", 30, "visit"), ("b", 31, "visit"), ("b", 1, "fax"))
    found = engaged(rows, stages(a=stage, b=stage))
    is_buying = stage in ("new", "active", "reactivated")
    assert found["is_engaged_not_buying"].tolist() == [not is_buying, False]
    assert found["is_buying_not_engaged"].tolist() == [False, is_buying]


def test_without_events_nothing_is_known() -> None:
    found = engaged(None, stages(a="active", b="prospect"))
    assert found.drop(columns="as_of_date").isna().all(axis=None)
    assert behaviour_oracle.engagement_by_family(None, EVENT_TYPES, DAY).empty


# ---------------------------------------------------------------------------------------------
# Behaviour
# ---------------------------------------------------------------------------------------------


def three_orders(*amounts: Any, **more: Any) -> list[dict[str, Any]]:
    """Orders o0, o1, … of 'a' on days of their own."""
    return [
        sale("a", ago(50 - n), amount, order_id=f"o{n}", **more) for n, amount in enumerate(amounts)
    ]


@pytest.mark.parametrize(("returned", "flag"), [("8.99", False), (9, True), (60, True)])
def test_return_rate_by_value(returned: Any, flag: bool) -> None:
    back = sale("a", ago(3), returned, order_id="o1", is_return=True)
    row = behaviour_of(*three_orders(10, 10, 10), back)
    assert row["return_rate_by_value"] == float(returned) / 30  # not capped
    assert row["has_high_return_rate_by_value"] is flag
    assert (row["sales_amount"], row["return_amount"]) == (30, Decimal(str(returned)))


def test_an_order_is_returned_once_in_however_many_parcels() -> None:
    # Without an order id a day with returns counts as one.
    back = [sale("a", ago(3), -1, order_id="o1") for _ in range(3)]
    row = behaviour_of(*three_orders(*[10] * 10), *back)
    assert (row["returned_order_count"], row["return_rate_by_orders"]) == (1, 0.1)
    back += [sale("a", ago(2), -1, order_id="o1"), sale("a", ago(2), -1), sale("a", ago(2), -1)]
    back += [sale("a", ago(1), -1)]
    row = behaviour_of(*three_orders(*[10] * 10), *back)
    assert (row["returned_order_count"], row["return_rate_by_orders"]) == (3, 0.3)
    assert row["has_high_return_rate_by_orders"] is True
    assert row["has_high_return_rate_by_value"] is False
    back += [sale("a", ago(days), -1, order_id=f"x{days}") for days in range(4, 14)]
    assert behaviour_of(*three_orders(*[10] * 10), *back)["return_rate_by_orders"] == 1


def test_two_orders_are_too_few_for_rates() -> None:
    back = sale("a", ago(3), -20, order_id="o1")
    row = behaviour_of(*three_orders(10, 10, channel="web", discount_amount=Decimal(9)), back)
    for flag in ("has_high_return_rate_by_value", "has_high_return_rate_by_orders"):
        assert row[flag] is False
    assert row["return_rate_by_value"] == 1
    assert row["is_single_channel"] is False
    assert row["is_discount_dependent"] is False
    assert row["has_one_big_order"] is False
    assert row["is_one_time_buyer"] is False


def test_without_orders_no_flag_is_known() -> None:
    row = behaviour_of(sale("a", ago(3), -20, channel="web"), sale("a", ago(2), 0, channel="web"))
    assert row[list(behaviour_oracle.FLAGS)].isna().all()
    assert (row["order_count"], row["returned_order_count"], row["return_amount"]) == (0, 1, 20)
    assert row["channel_count"] == 1  # the free line; the return's channel does not count
    names = ["return_rate_by_value", "return_rate_by_orders", "largest_order_amount"]
    assert row[names + ["best_season_share", "discounted_order_share"]].isna().all()


def test_only_free_orders_leave_rates_of_money_unknown() -> None:
    three = [sale("a", ago(days), 0, order_id=f"o{days}") for days in (3, 2, 1)]
    row = behaviour_of(*three, count_zero=True)
    assert row["order_count"] == 3
    for flag in ("has_high_return_rate_by_value", "has_one_big_order"):
        assert row[flag] is pd.NA
    assert row["has_high_return_rate_by_orders"] is False
    assert row["is_discount_dependent"] is False  # no order with a discount: certain
    two = behaviour_of(*three[:2], count_zero=True)
    assert two["has_one_big_order"] is False  # too few orders: certain


def test_one_time_buyer_is_one_order_ever() -> None:
    assert behaviour_of(*bought("a", 9))["is_one_time_buyer"] is True
    rows = [sale("a", ago(9), order_id="o1"), sale("a", ago(8), order_id="o1")]
    assert behaviour_of(*rows)["is_one_time_buyer"] is True
    assert behaviour_of(*bought("a", 9, 9))["is_one_time_buyer"] is False
    assert behaviour_of(*bought("a", 9, 0))["is_one_time_buyer"] is True


def test_single_channel() -> None:
    web = three_orders(10, 10, 10, channel="web")
    assert behaviour_of(*web)["is_single_channel"] is True
    back = sale("a", ago(3), -1, order_id="o1", channel="shop")
    assert behaviour_of(*web, back)["is_single_channel"] is True
    some = [*web[:2], sale("a", ago(3), 10, order_id="o2")]  # unknown channel: not a second one
    assert behaviour_of(*some)["is_single_channel"] is True
    row = behaviour_of(*web, sale("a", ago(3), 10, channel="Web"))
    assert (row["channel_count"], row["is_single_channel"]) == (2, False)
    row = behaviour_of(*three_orders(10, 10, 10))
    assert row[["channel_count", "is_single_channel"]].isna().all()
    assert behaviour_of(*three_orders(10))["is_single_channel"] is pd.NA


def test_discount_dependence_needs_share_and_depth() -> None:
    def found(discounted: int, plain: int, discount: str) -> pd.Series:
        cut = three_orders(*[9] * discounted, discount_amount=Decimal(discount))
        rest = [sale("a", ago(9), 9, order_id=f"plain{n}") for n in range(plain)]
        return behaviour_of(*cut, *rest)

    row = found(4, 0, "3")  # 12 of 36 + 12
    assert (row["discounted_order_share"], row["discount_depth"]) == (1, 0.25)
    assert row["is_discount_dependent"] is True
    row = found(4, 1, "-3.75")  # 15 of 45 + 15, four orders of five; the sign does not matter
    assert (row["discounted_order_share"], row["discount_depth"]) == (0.8, 0.25)
    assert (row["discount_amount"], row["discounted_order_count"]) == (15, 4)
    assert row["is_discount_dependent"] is True
    assert found(4, 1, "3.74")["is_discount_dependent"] is False
    assert found(7, 2, "9")["is_discount_dependent"] is False  # 7 of 9
    assert found(2, 0, "9")["is_discount_dependent"] is False  # two orders
    assert found(3, 0, "0")["is_discount_dependent"] is False


def test_a_discount_of_a_return_or_without_a_column() -> None:
    back = sale("a", ago(3), -1, order_id="o1", discount_amount=Decimal(5))
    row = behaviour_of(*three_orders(10, 10, 10), back)
    assert (row["discount_amount"], row["discounted_order_count"]) == (0, 0)
    assert row["is_discount_dependent"] is False
    row = behaviour_of(*three_orders(10, 10, 10), back, has_discounts=False)
    names = ["discount_amount", "discounted_order_count", "discounted_order_share"]
    assert row[[*names, "discount_depth", "is_discount_dependent"]].isna().all()
    lines, days = typed(*three_orders(10, 10, 10))
    without = behaviour_oracle.sale_lines(lines[["customer_id", "sale_date", "revenue"]])
    found = behaviour_oracle.behaviour(
        without, behaviour_oracle.order_days(without), DAY, ["a"], BEHAVIOUR_THRESHOLDS
    )
    assert found.loc[0, "is_discount_dependent"] is pd.NA


def test_every_sale_without_an_order_id_is_an_order() -> None:
    rows = [sale("a", ago(5)), sale("a", ago(5), discount_amount=Decimal(1)), sale("a", ago(4))]
    row = behaviour_of(*rows)
    assert (row["order_count"], row["discounted_order_count"]) == (3, 1)
    assert (row["largest_order_amount"], row["largest_order_share"]) == (10, 10 / 30)
    assert row["has_one_big_order"] is False


def test_an_order_over_several_days_is_one_order() -> None:
    later = sale("a", ago(45), 50, order_id="o1", discount_amount=Decimal(1))
    unknown = sale("a", ago(0), 500, order_id="o1")  # not before D
    row = behaviour_of(*three_orders(20, 20, 20), later, unknown)
    assert (row["order_count"], row["discounted_order_count"]) == (3, 1)
    assert row["largest_order_amount"] == 70


@pytest.mark.parametrize(("largest", "flag"), [("59.99", False), (60, True)])
def test_one_big_order(largest: Any, flag: bool) -> None:
    row = behaviour_of(*three_orders(20, largest, 20))
    assert row["largest_order_amount"] == Decimal(str(largest))
    assert row["has_one_big_order"] is flag


def test_a_return_does_not_make_an_order_smaller() -> None:
    back = sale("a", ago(49), -60, order_id="o1")  # on the day of o1 itself
    row = behaviour_of(*three_orders(20, 60, 20), back)
    assert (row["largest_order_amount"], row["has_one_big_order"]) == (60, True)


@pytest.mark.parametrize(
    ("days_ago", "flag"),
    [
        # Earlier gaps 10 each, third-last d days ago: recent gap d / 3.
        ((90, 80, 70, 60, 40, 20), True),  # 60 / 3 = 20 is twice 10
        ((89, 79, 69, 59, 40, 20), False),
        ((90, 80, 70, 60, 59, 58), True),  # the silence until now counts
        ((80, 70, 60, 40, 20), False),  # five dates
        ((90, 90, 80, 70, 60, 40, 20, 20), True),  # the same six dates
        ((60, 50, 40, 30, 20, 10), False),
    ],
)
def test_declining_frequency(days_ago: tuple[int, ...], flag: bool) -> None:
    row = behaviour_of(*bought("a", *days_ago))
    assert row["is_frequency_declining"] is flag
    assert row["earlier_gap_days"] == 10


def test_a_third_last_order_date_needs_three() -> None:
    row = behaviour_of(*bought("a", 9, 8, 7))
    assert row["recent_gap_days"] == 3
    assert row[["earlier_gap_days", "gap_ratio"]].isna().all()
    row = behaviour_of(*bought("a", 9, 8))
    assert pd.isna(row["recent_gap_days"])
    assert row["is_frequency_declining"] is False


@pytest.mark.parametrize(("other", "flag"), [("10.01", False), (10, True)])
def test_single_category(other: Any, flag: bool) -> None:
    rows = [
        *three_orders(30, 30, product_id="p1"),
        sale("a", ago(9), 30, order_id="o8", product_id="p2"),
        sale("a", ago(8), other, order_id="o9", product_id="p3"),
    ]
    row = behaviour_of(*rows, products=PRODUCTS)
    assert (row["category_count"], row["top_category"]) == (2, "kitchen")
    assert row["top_category_share"] == pytest.approx(90 / (90 + float(other)))
    assert row["is_single_category"] is flag


def test_spend_without_a_category_speaks_against_a_single_one() -> None:
    rows = three_orders(30, 30, 30, product_id="p1")
    row = behaviour_of(*rows, sale("a", ago(7), 90, product_id="p4"), products=PRODUCTS)
    assert (row["top_category_share"], row["is_single_category"]) == (0.5, False)
    row = behaviour_of(*rows, sale("a", ago(6), -10), products=PRODUCTS)
    assert (row["top_category_share"], row["is_single_category"]) == (1, True)
    row = behaviour_of(*rows, sale("a", ago(6), -90), products=PRODUCTS)
    assert row[["top_category_share", "is_single_category"]].isna().all()


def test_single_category_without_categories() -> None:
    rows = three_orders(10, 10, 10, product_id="p4")
    row = behaviour_of(*rows, products=PRODUCTS)
    assert row[["category_count", "top_category"]].isna().all()
    assert row["is_single_category"] is pd.NA
    row = behaviour_of(*rows)
    assert row[["category_count", "top_category", "is_single_category"]].isna().all()
    row = behaviour_of(*three_orders(10, 10, product_id="p1"), products=PRODUCTS)
    assert row["is_single_category"] is False  # two orders
    row = behaviour_of(*three_orders(10, 10, product_id="p4"), products=PRODUCTS)
    assert row["is_single_category"] is pd.NA  # too few orders, and no category at all


@pytest.mark.parametrize(
    ("dates", "share", "flag"),
    [
        ("2020-12-05 2021-01-05 2021-12-20 2022-02-28", 1, True),  # December to February
        ("2020-12-05 2021-01-05 2021-12-20 2022-03-01", 0.75, False),
        ("2020-11-05 2021-01-05 2021-12-20 2022-01-28", 1, True),  # November to January
        ("2021-06-01 2021-07-01 2021-08-31 2022-07-01 2022-01-01", 0.8, True),
        ("2021-06-01 2021-07-01 2021-08-31 2021-07-02", 1, False),  # one year
        ("2021-06-01 2022-07-01 2022-08-31", 1, False),  # three dates
        ("2021-06-01 2021-06-01 2022-07-01 2022-08-31", 1, False),  # three distinct dates
        ("2021-01-01 2021-04-01 2022-07-01 2022-10-01", 0.25, False),
        ("2020-12-05 2020-12-06 2021-01-05 2021-01-06", 1, False),  # one winter of two years
        ("2020-12-05 2021-01-05 2021-12-20 2021-12-21", 1, True),  # two winters of two years
        ("2021-06-01 2021-06-02 2021-07-01 2021-08-31 2022-02-01", 0.8, False),  # one summer
    ],
)
def test_seasonal_buyers(dates: str, share: float, flag: bool) -> None:
    row = behaviour_of(*(sale("a", dt.date.fromisoformat(date)) for date in dates.split()))
    assert row["best_season_share"] == share
    assert row["is_seasonal_buyer"] is flag


def test_a_missing_threshold_is_named() -> None:
    lines, days = typed(*bought("a", 9))
    with pytest.raises(KeyError, match="return_rate_min_orders"):
        behaviour_oracle.behaviour(lines, days, DAY, ["a"], {})


# ---------------------------------------------------------------------------------------------
# Affinity
# ---------------------------------------------------------------------------------------------


def affinity_of(*rows: dict[str, Any], **arguments: Any) -> pd.DataFrame:
    lines, days = typed(*rows)
    return behaviour_oracle.affinity(lines, days, DAY, PRODUCTS, **arguments)


def test_affinity_of_categories() -> None:
    rows = [
        sale("a", ago(9), 30, order_id="o1", product_id="p1"),
        sale("a", ago(8), 20, order_id="o2", product_id="p2"),
        sale("a", ago(7), -10, order_id="o2", product_id="p2"),
        sale("a", ago(6), 10, order_id="o3", product_id="p3"),
        sale("b", ago(5), 50, order_id="o4", product_id="p3"),
        sale("b", ago(4), 5, order_id="o5", product_id="p1"),
        sale("b", ago(3), -7, order_id="o5", product_id="p1"),  # below zero: no spend at all
        sale("b", DAY, 99, order_id="o6", product_id="p1"),
    ]
    found = affinity_of(*rows)
    found = found[found["affinity_type"] == "category"]
    assert found[["customer_id", "affinity_rank", "item", "spend_amount"]].values.tolist() == [
        ["a", 1, "kitchen", 40],
        ["a", 2, "light", 10],
        ["b", 1, "light", 50],
    ]
    assert found["spend_share"].tolist() == [0.8, 0.2, 1]
    assert found["base_share"].tolist() == [0.4, 0.6, 0.6]  # 40 and 60 of 100
    # a has three orders: (3 · 0.8 / 0.4 + 5) / 8 and (3 · 0.2 / 0.6 + 5) / 8;
    # b has two: (2 · 1 / 0.6 + 5) / 7.
    assert found["affinity_index"].tolist() == pytest.approx([11 / 8, 6 / 8, 25 / 21])
    without_prior = affinity_of(*rows, affinity_prior_orders=0)
    assert without_prior["affinity_index"].tolist()[:2] == pytest.approx([2, 1 / 3])


def test_affinity_of_products_ties_by_id_and_stops_at_three() -> None:
    ids = ["p2", "p10", "p1", "x", "p3"]
    rows = [sale("a", ago(9), 10, product_id=product) for product in ids]
    rows += [sale("a", ago(8), 1, product_id="p3"), sale("a", ago(8), 500)]
    found = affinity_of(*rows)
    found = found[found["affinity_type"] == "product"]
    assert found["item"].tolist() == ["p3", "p1", "p10"]  # 11, then bytewise
    assert found["item_name"].tolist() == ["Lamp", "Pan", "p10"]
    assert found["affinity_rank"].tolist() == [1, 2, 3]
    assert found["spend_share"].tolist() == [11 / 51, 10 / 51, 10 / 51]
    # The only customer is the base.
    assert found["affinity_index"].tolist() == pytest.approx([1, 1, 1])


def test_categories_tie_by_name() -> None:
    rows = [sale("a", ago(9), 10, product_id=product) for product in ("p3", "p1")]
    assert affinity_of(*rows)["item"].tolist()[:2] == ["kitchen", "light"]


def test_affinity_without_products_or_product_ids() -> None:
    lines, days = typed(sale("a", ago(9), 10, product_id="p1"))
    assert behaviour_oracle.affinity(lines, days, DAY, None).empty
    assert affinity_of(sale("a", ago(9))).empty
    assert affinity_of(sale("a", ago(9), -10, product_id="p1")).empty
    twice = pd.concat([PRODUCTS, PRODUCTS])
    with pytest.raises(ValueError, match="p1"):
        behaviour_oracle.affinity(lines, days, DAY, twice)


# ---------------------------------------------------------------------------------------------
# Hard data
# ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def case() -> behaviour_cases.BehaviourCase:
    return behaviour_cases.behaviour_case(behaviour_cases.SEED)


@pytest.fixture(scope="module")
def told(case: behaviour_cases.BehaviourCase) -> behaviour_cases.OracleResult:
    return behaviour_cases.oracle_result(case)


def test_every_flag_is_true_and_false_for_five_customers(
    told: behaviour_cases.OracleResult,
) -> None:
    found = [told.behaviour[name] for name in behaviour_oracle.FLAGS]
    found += [told.engagement[n] for n in ("is_engaged_not_buying", "is_buying_not_engaged")]
    for flag in found:
        assert (flag == True).sum() >= 5, flag.name  # noqa: E712
        assert (flag == False).sum() >= 5, flag.name  # noqa: E712
    for name in ("is_single_channel", "is_single_category"):
        with_orders = told.behaviour["order_count"] > 0
        assert told.behaviour.loc[with_orders, name].isna().sum() >= 5, name


def test_every_stage_occurs_five_times(told: behaviour_cases.OracleResult) -> None:
    counts = told.stages["lifecycle_stage"].value_counts()
    assert min(counts.get(stage, 0) for stage in behaviour_oracle.LIFECYCLE_STAGES) >= 5


def test_the_case_holds_what_it_promises(
    case: behaviour_cases.BehaviourCase, told: behaviour_cases.OracleResult
) -> None:
    assert len(case.customer_ids) == 300
    assert set(told.cycles["customer_id"]) <= set(case.customer_ids)
    assert told.as_of_date == dt.date(2024, 1, 1)
    sales, dim = case.sales, set(case.customers["customer_id"])
    assert oracle.classify(sales, case.latest_plausible_date)["rejection_reason"].isna().all()
    assert sales["order_id"].isna().sum() >= 20
    assert (sales["revenue"] == 0).sum() >= 20
    assert (sales["revenue"] < 0).any()
    assert (sales["is_return"].eq(True) & sales["revenue"].gt(0)).any()
    assert len(set(case.events["customer_id"]) - dim - set(sales["customer_id"])) >= 5
    assert "unmapped" in set(told.by_family["event_family"])
    types = [value for value in case.events["event_type"] if value is not None]
    assert any(value != value.strip() for value in types)
    assert any(value != value.lower() for value in types)
    groups = set(told.summary["score_group"])
    assert "north" in groups
    assert "once" not in groups
    assert "once" in set(case.customers["score_group"])
    listed = set(case.products["product_id"])
    assert set(sales["product_id"].dropna()) - listed
    assert case.products["category"].isna().any()
    assert len(case.contacts) >= 20


def test_a_case_is_the_same_at_every_call(case: behaviour_cases.BehaviourCase) -> None:
    again = behaviour_cases.behaviour_case(behaviour_cases.SEED)
    other = behaviour_cases.behaviour_case(behaviour_cases.SEED + 1)
    for name in ("sales", "customers", "products", "events", "contacts"):
        pd.testing.assert_frame_equal(getattr(case, name), getattr(again, name))
        assert list(case.column_types[name]) == list(getattr(case, name).columns)
    assert not case.sales.equals(other.sales)


def test_row_order_does_not_matter(
    case: behaviour_cases.BehaviourCase, told: behaviour_cases.OracleResult
) -> None:
    shuffled = behaviour_cases.oracle_result(behaviour_cases.shuffled(case, seed=1))
    for name in ("cycles", "summary", "stages", "by_family", "engagement", "behaviour", "affinity"):
        pd.testing.assert_frame_equal(getattr(told, name), getattr(shuffled, name))


def test_later_facts_change_nothing(case: behaviour_cases.BehaviourCase) -> None:
    day = dt.date(2023, 1, 1)
    cut = behaviour_cases.before(case, day)
    whole = behaviour_cases.oracle_result(case, day)
    early = behaviour_cases.oracle_result(cut, day)
    for name in ("cycles", "summary", "stages", "by_family", "engagement", "behaviour", "affinity"):
        pd.testing.assert_frame_equal(getattr(whole, name), getattr(early, name))
