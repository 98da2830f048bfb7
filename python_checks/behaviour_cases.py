"""Customers whose behaviour is hard to judge, over three years and in all sources, from a seed.

`behaviour_case` deals a fixed list of habits out to the customers (seasonal buyers, discount
hunters, returners, …) and blurs them: several lines and days per order, orders without an id,
free lines, odd channels, later facts. It does not say what the result is: that is the part of
behaviour_oracle.py, which `oracle_result` runs over a case.

Values are plain Python objects in object columns (None is null), as in hard_cases.py;
`column_types` names a type for every column in words that DuckDB and PostgreSQL share.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from python_checks import behaviour_oracle, oracle
from python_checks.hard_cases import LATEST_PLAUSIBLE_DATE, SEED

__all__ = [
    "BEHAVIOUR_THRESHOLDS",
    "LIFECYCLE_THRESHOLDS",
    "SEED",
    "BehaviourCase",
    "OracleResult",
    "before",
    "behaviour_case",
    "oracle_result",
    "shuffled",
]

AS_OF_DATE = dt.date(2024, 1, 1)  # the current date: the last sale is the day before it

LIFECYCLE_THRESHOLDS: dict[str, Decimal] = {
    "new_until": Decimal(2),
    "active_until": Decimal(2),
    "lapsing_until": Decimal(4),
    "reactivated_after": Decimal(4),
}
BEHAVIOUR_THRESHOLDS: dict[str, Decimal] = {
    "high_return_rate_by_value": Decimal("0.3"),
    "high_return_rate_by_orders": Decimal("0.3"),
    "return_rate_min_orders": Decimal(3),
    "single_channel_min_orders": Decimal(3),
    "discount_dependent_order_share": Decimal("0.8"),
    "discount_dependent_depth": Decimal("0.25"),
    "discount_dependent_min_orders": Decimal(3),
    "one_big_order_share": Decimal("0.6"),
    "one_big_order_min_orders": Decimal(3),
    "declining_frequency_ratio": Decimal(2),
    "declining_frequency_min_order_dates": Decimal(6),
    "single_category_share": Decimal("0.9"),
    "single_category_min_orders": Decimal(3),
    "seasonal_share": Decimal("0.8"),
    "seasonal_min_order_dates": Decimal(4),
    "seasonal_min_years": Decimal(2),
    "engaged_within_days": Decimal(30),
    "affinity_prior_orders": Decimal(5),
    "next_best_min_customers": Decimal(20),
    "next_best_min_share": Decimal("0.05"),
    "next_best_prior_customers": Decimal(10),
}
EVENT_TYPES = pd.DataFrame(
    [
        ("email_open", "email", "1"),
        ("email_click", "email", "2.5"),
        ("site_visit", "site", "0.1"),
        ("add_to_cart", "site", "3"),
        ("app_open", "app", "0.2"),
    ],
    columns=["event_type", "event_family", "weight"],
)
COLUMN_TYPES: dict[str, dict[str, str]] = {
    "sales": {
        "sale_id": "varchar",
        "customer_id": "varchar",
        "sale_date": "date",
        "revenue": "decimal(18, 2)",
        "order_id": "varchar",
        "product_id": "varchar",
        "channel": "varchar",
        "is_return": "boolean",
        "discount_amount": "decimal(18, 2)",
    },
    "customers": {"customer_id": "varchar", "created_at": "timestamp", "score_group": "varchar"},
    "products": {
        "product_id": "varchar",
        "product_name": "varchar",
        "category": "varchar",
        "margin_rate": "double precision",
    },
    "events": {
        "event_id": "varchar",
        "customer_id": "varchar",
        "event_at": "timestamp",
        "event_type": "varchar",
        "channel": "varchar",
        "event_value": "double precision",
    },
    "contacts": {
        "contact_id": "varchar",
        "campaign_id": "varchar",
        "customer_id": "varchar",
        "contacted_at": "timestamp",
        "channel": "varchar",
        "contact_cost": "decimal(18, 2)",
        "incentive_cost": "decimal(18, 2)",
    },
}
CHANNELS = ("shop", "web", "app", "Web")
PRODUCT_IDS = [f"p{number:02d}" for number in range(24)]
UNLISTED_PRODUCT = "p99"
CATEGORIES = ("garden", "Kitchen", "kitchen", "light", "Möbel", "zebra")


@dataclass(frozen=True)
class BehaviourCase:
    """Raw rows of every source in the documented columns, object dtype.

    sales: fact_sales; customers: dim_customers (score_group is the group column); products:
    dim_products; events: fact_engagement_events; contacts: fact_campaign_contacts;
    column_types: SQL type per column of each of them;
    habits: customer_id → the habit the customer was dealt, of everybody who occurs anywhere;
    event_types: the policy the events were drawn from; settings: dbt vars beside the defaults.
    """

    sales: pd.DataFrame
    customers: pd.DataFrame
    products: pd.DataFrame
    events: pd.DataFrame
    contacts: pd.DataFrame
    column_types: Mapping[str, Mapping[str, str]]
    habits: Mapping[str, str]
    event_types: pd.DataFrame
    latest_plausible_date: dt.date = LATEST_PLAUSIBLE_DATE
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def customer_ids(self) -> list[str]:
        return sorted(self.habits)


def _frame(entity: str, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Object columns in the documented order."""
    columns = {
        name: oracle._text_series(row[name] for row in rows) for name in COLUMN_TYPES[entity]
    }
    return pd.DataFrame(columns)


# ---------------------------------------------------------------------------------------------
# Building blocks
# ---------------------------------------------------------------------------------------------


class _Rows:
    """The rows written so far, and the chance that decides about them."""

    def __init__(self, seed: int, event_types: pd.DataFrame):
        self.chance = np.random.default_rng(seed)
        self.sales: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.contacts: list[dict[str, Any]] = []
        self.orders = 0
        self.event_codes = [str(value).strip() for value in event_types["event_type"]]

    def pick(self, values: Sequence[Any]) -> Any:
        return values[int(self.chance.integers(len(values)))]

    def happens(self, share: float) -> bool:
        return bool(self.chance.random() < share)

    def amount(self, low: int = 500, high: int = 6000) -> int:
        """Cents."""
        return int(self.chance.integers(low, high))

    def line(self, customer: str, days_ago: int, cents: int, **more: Any) -> None:
        """One row of sales; discount in cents."""
        discount = more.pop("discount", None)
        row = {
            "sale_id": f"s{len(self.sales):06d}",
            "customer_id": customer,
            "sale_date": AS_OF_DATE - dt.timedelta(days=int(days_ago)),
            "revenue": Decimal(int(cents)).scaleb(-2),
            "order_id": None,
            "product_id": None,
            "channel": None,
            "is_return": None,
            "discount_amount": None if discount is None else Decimal(int(discount)).scaleb(-2),
        }
        self.sales.append(row | more)

    def order(self, customer: str, days_ago: int, cents: int | None = None, **more: Any) -> str:
        """An order of one to three lines, now and then delivered on two days; its id.

        `more`: channel, product_ids, discount_share (of the price before it), has_id.
        """
        self.orders += 1
        name = f"o{self.orders:05d}"
        total = self.amount() if cents is None else cents
        parts = 1 if total < 300 else int(self.chance.integers(1, 4))
        channel, share = more.get("channel", "shop"), more.get("discount_share", 0.0)
        has_id = more.get("has_id", True)
        for part in range(parts):
            size = total // parts + (total % parts if part == 0 else 0)
            late = part == 2 and has_id and days_ago > 3 and self.happens(0.2)
            self.line(
                customer,
                days_ago - (2 if late else 0),
                size,
                order_id=name if has_id else None,
                product_id=self.pick(more.get("product_ids", PRODUCT_IDS)),
                channel=channel,
                is_return=self.pick([None, False]),
                discount=round(size * share / (1 - share)) if share else self.pick([None, 0]),
            )
        return name

    def give_back(self, customer: str, order: str | None, days_ago: int, cents: int) -> None:
        """A return: flagged, negative, or both."""
        sign, flag = self.pick([(1, True), (-1, None), (-1, True), (-1, False)])
        product = self.pick(PRODUCT_IDS)
        channel = self.pick(["desk", None])
        more = {"order_id": order, "product_id": product, "channel": channel, "is_return": flag}
        self.line(customer, days_ago, sign * cents, **more)

    def event(self, customer: str, days_ago: int, event_type: str | None = None) -> None:
        code = self.pick(self.event_codes) if event_type is None else event_type
        written = self.pick([code, code, code, code.upper(), f" {code} ", f"{code.title()}\t"])
        clock = dt.time(int(self.chance.integers(24)), int(self.chance.integers(60)), 59)
        day = AS_OF_DATE - dt.timedelta(days=int(days_ago))
        self.events.append(
            {
                "event_id": f"e{len(self.events):06d}",
                "customer_id": customer,
                "event_at": dt.datetime.combine(day, clock),
                "event_type": written,
                "channel": self.pick(["email", "web", None]),
                "event_value": self.pick([None, 0.0, 1.5]),
            }
        )

    def contact(self, customer: str, days_ago: int) -> None:
        day = AS_OF_DATE - dt.timedelta(days=int(days_ago))
        self.contacts.append(
            {
                "contact_id": f"k{len(self.contacts):06d}",
                "campaign_id": self.pick(["spring", "winback", "welcome"]),
                "customer_id": customer,
                "contacted_at": dt.datetime.combine(day, dt.time(9, 30)),
                "channel": self.pick(["email", "sms", None]),
                "contact_cost": self.pick([None, Decimal("0.05"), Decimal("1.20")]),
                "incentive_cost": self.pick([None, Decimal("0.00"), Decimal("5.00")]),
            }
        )


# ---------------------------------------------------------------------------------------------
# Habits
# ---------------------------------------------------------------------------------------------

def _products() -> pd.DataFrame:
    """24 products: four per category, of which two have none and two share a name."""
    rows = []
    for number, product in enumerate(PRODUCT_IDS):
        category: str | None = CATEGORIES[number % len(CATEGORIES)]
        if product in ("p22", "p23"):
            category = "  " if product == "p22" else None
        name = None if number % 7 == 6 else "Pot" if number in (1, 2) else f"Thing {number}"
        margin = None if number % 5 == 4 else 0.3
        row = {"product_id": product, "product_name": name, "category": category}
        rows.append(row | {"margin_rate": margin})
    return _frame("products", rows)


def _of_category(category: str) -> list[str]:
    at = CATEGORIES.index(category)
    return [f"p{number:02d}" for number in range(at, 22, len(CATEGORIES))]


_ANY_PRODUCT = [*PRODUCT_IDS, UNLISTED_PRODUCT, None]


def _steady(rows: _Rows, customer: str) -> None:
    """Every month or so until now, everywhere and of everything."""
    gap, last = int(rows.chance.integers(20, 40)), int(rows.chance.integers(1, 25))
    for number in range(int(rows.chance.integers(7, 25))):
        days_ago = last + number * gap + int(rows.chance.integers(0, 5))
        channel = rows.pick([*CHANNELS, None])
        rows.order(customer, days_ago, channel=channel, product_ids=_ANY_PRODUCT)


def _returner(rows: _Rows, customer: str) -> None:
    """Gives back a third of the money or more, some orders on two days."""
    for number in range(int(rows.chance.integers(3, 10))):
        days_ago, cents = 40 + number * 30, rows.amount()
        order = rows.order(customer, days_ago, cents, product_ids=_ANY_PRODUCT)
        if number % 2 == 0 or rows.happens(0.3):
            rows.give_back(customer, order, days_ago - 5, cents * 2 // 3)
        if number % 4 == 0:
            rows.give_back(customer, rows.pick([order, None]), days_ago - 6, cents // 3)


def _returns_only(rows: _Rows, customer: str) -> None:
    rows.give_back(customer, rows.pick(["lost", None]), int(rows.chance.integers(1, 900)), 900)


def _free_only(rows: _Rows, customer: str) -> None:
    """Zero-priced orders, with and without an id; a paid one lies before some."""
    for number in range(3):
        order = rows.pick([None, f"free-{customer}-{number}"])
        rows.line(customer, 20 + 9 * number, 0, order_id=order, product_id="p01", channel="web")
    if rows.happens(0.3):
        rows.order(customer, 400, channel="web")


def _one_channel(rows: _Rows, customer: str) -> None:
    """One channel; some lines do not say which, and every other customer never does."""
    channel = rows.pick([*CHANNELS[:3], None, None, None])
    for number in range(int(rows.chance.integers(2, 7))):
        said = channel if number == 0 else rows.pick([channel, channel, None])
        rows.order(customer, 15 + number * 35, channel=said, product_ids=_ANY_PRODUCT)


def _seasonal(rows: _Rows, customer: str) -> None:
    """Summer or winter of three years; a winter crosses the year. Some buy once in spring."""
    months = rows.pick([(6, 7, 8), (12, 1, 2), (11, 12, 1)])
    for year in (2021, 2022, 2023):
        for month in months:
            if rows.happens(0.2):
                continue
            day = dt.date(year, month, int(rows.chance.integers(1, 28)))
            rows.order(customer, (AS_OF_DATE - day).days, product_ids=_ANY_PRODUCT)
    for _ in range(int(rows.chance.integers(0, 3))):
        day = dt.date(2022, 4, int(rows.chance.integers(1, 28)))
        rows.order(customer, (AS_OF_DATE - day).days)


def _one_winter(rows: _Rows, customer: str) -> None:
    """One winter only, of two calendar years."""
    for days_ago in (395, 380, 350, 340):  # December 2022 to January 2023
        rows.order(customer, days_ago + int(rows.chance.integers(0, 3)))


def _discount_hunter(rows: _Rows, customer: str) -> None:
    """Four orders of five discounted, by a quarter or more; some write it with a minus sign."""
    sign, depth = rows.pick([1, -1]), rows.pick([0.2, 0.3, 0.4, 0.5])
    for number in range(int(rows.chance.integers(3, 9))):
        first = len(rows.sales)
        share = 0.0 if number == 4 else depth
        rows.order(customer, 12 + number * 28, discount_share=share, channel=rows.pick(CHANNELS))
        for row in rows.sales[first:]:
            if row["discount_amount"] is not None:
                row["discount_amount"] *= sign


def _one_big_order(rows: _Rows, customer: str) -> None:
    """Small orders and a large one, in some without ids and then of several lines a day."""
    has_id, count = rows.happens(0.7), int(rows.chance.integers(2, 6))
    big = int(rows.chance.integers(count))
    for number in range(count):
        cents = rows.amount(20000, 90000) if number == big else rows.amount(300, 3000)
        rows.order(customer, 20 + number * 45, cents, has_id=has_id, channel=rows.pick(CHANNELS))


def _loyalist(rows: _Rows, customer: str) -> None:
    """One category, with a little of another that is given back in part."""
    own = _of_category(rows.pick(CATEGORIES))
    for number in range(int(rows.chance.integers(3, 9))):
        rows.order(customer, 18 + number * 33, product_ids=own, channel=rows.pick(CHANNELS))
    if rows.happens(0.6):
        order = rows.order(customer, 60, rows.amount(300, 900), product_ids=_ANY_PRODUCT)
        rows.give_back(customer, order, 50, 200)


def _uncategorised(rows: _Rows, customer: str) -> None:
    """Buys what has no category, no product row or no product id."""
    channel, products = rows.pick(["shop", None]), ["p22", "p23", UNLISTED_PRODUCT, None]
    for number in range(int(rows.chance.integers(1, 6))):
        rows.order(customer, 10 + 31 * number, product_ids=products, channel=channel)


def _declining(rows: _Rows, customer: str) -> None:
    """Every ten days once, then less and less; some stop."""
    recent = rows.pick([(70, 45, 15), (60, 40, 20), (59, 40, 20), (200, 190, 180)])
    for days_ago in recent:
        rows.order(customer, days_ago, channel=rows.pick(CHANNELS))
    for number in range(1, int(rows.chance.integers(3, 9))):
        rows.order(customer, recent[0] + 10 * number)


def _newcomer(rows: _Rows, customer: str) -> None:
    days_ago = int(rows.chance.integers(1, 40))
    rows.order(customer, days_ago, channel=rows.pick(CHANNELS))
    if rows.happens(0.4):
        rows.order(customer, max(1, days_ago - 7), product_ids=_ANY_PRODUCT)


def _reactivated(rows: _Rows, customer: str) -> None:
    """Monthly two years ago, away for a year or more, back this month."""
    rows.order(customer, int(rows.chance.integers(1, 28)))
    for number in range(int(rows.chance.integers(1, 6))):
        rows.order(customer, 500 + number * 30, channel=rows.pick(CHANNELS))


def _lapsing(rows: _Rows, customer: str) -> None:
    last = int(rows.chance.integers(75, 125))
    for number in range(int(rows.chance.integers(5, 9))):
        rows.order(customer, last + number * 30, channel=rows.pick([*CHANNELS, None]))


def _once(rows: _Rows, customer: str) -> None:
    """One order long ago, of several lines that may have no order id."""
    rows.order(customer, int(rows.chance.integers(300, 1090)), has_id=rows.happens(0.6))


def _without_ids(rows: _Rows, customer: str) -> None:
    """Orders without ids, several rows a day, returns among them on the same day."""
    for number in range(int(rows.chance.integers(2, 8))):
        days_ago = 5 + number * 25
        rows.order(customer, days_ago, has_id=False, product_ids=_ANY_PRODUCT, channel="web")
        if rows.happens(0.4):
            rows.give_back(customer, None, days_ago, rows.amount(100, 900))


def _nothing_bought(rows: _Rows, customer: str) -> None:
    """Registered, or known by events alone."""


_HABITS: dict[str, Callable[[_Rows, str], None]] = {
    "steady": _steady,
    "returner": _returner,
    "returns_only": _returns_only,
    "free_only": _free_only,
    "one_channel": _one_channel,
    "seasonal": _seasonal,
    "one_winter": _one_winter,
    "discount_hunter": _discount_hunter,
    "one_big_order": _one_big_order,
    "loyalist": _loyalist,
    "uncategorised": _uncategorised,
    "declining": _declining,
    "newcomer": _newcomer,
    "reactivated": _reactivated,
    "lapsing": _lapsing,
    "once": _once,
    "without_ids": _without_ids,
    "engaged_prospect": _nothing_bought,
    "events_only": _nothing_bought,
    "silent_prospect": _nothing_bought,
}
_NEVER_REPEATS = ("once", "returns_only", "silent_prospect")


def _engage(rows: _Rows, customer: str, habit: str) -> None:
    """Events of the last months; on the edges of 30 and 90 days; none for some."""
    is_sure = habit in ("engaged_prospect", "events_only")
    if habit == "silent_prospect" or (not is_sure and rows.happens(0.35)):
        return
    for _ in range(int(rows.chance.integers(1, 9))):
        rows.event(customer, rows.pick([1, 2, 7, 29, 30, 31, 60, 89, 90, 91, 200, 800]))
    if is_sure:
        rows.event(customer, rows.pick([1, 30]))
    if rows.happens(0.2):
        rows.event(customer, int(rows.chance.integers(1, 100)), rows.pick(["fax", "email open"]))
    if rows.happens(0.05):
        rows.event(customer, int(rows.chance.integers(1, 100)))
        rows.events[-1]["event_type"] = rows.pick([None, "", "  "])
    if rows.happens(0.1):
        rows.event(customer, rows.pick([0, -1, -40]))  # on the as-of date or after it


def _customer_row(rows: _Rows, customer: str, habit: str) -> dict[str, Any]:
    group = "once" if habit in _NEVER_REPEATS else rows.pick(["north", "north", "south", None])
    created = rows.pick([None, dt.datetime(2020, 12, 1, 8), dt.datetime(2023, 12, 31, 23, 59, 59)])
    return {"customer_id": customer, "created_at": created, "score_group": group}


def behaviour_case(
    seed: int = SEED, customers: int = 300, event_types: pd.DataFrame = EVENT_TYPES
) -> BehaviourCase:
    """`customers` people with about equally many of every habit, deterministic for a seed.

    Sales end the day before AS_OF_DATE. `event_types`: the policy to draw events from, for a
    seed file with other codes. From about 300 customers on every flag and its opposite, and every
    lifecycle stage, occurs at least five times at the current date.
    """
    rows = _Rows(seed, event_types)
    names = list(_HABITS)
    habits, people = {}, []
    for number in range(customers):
        # Ids of several lengths and cases: numeric, lower-case and upper-case order all differ.
        habit = names[number % len(names)]
        customer = rows.pick([f"c{number}", f"C{number:04d}", f"é{number}", f"{number:05d}"])
        habits[customer] = habit
        _HABITS[habit](rows, customer)
        _engage(rows, customer, habit)
        if habit != "events_only" and (habit.endswith("prospect") or rows.happens(0.85)):
            people.append(_customer_row(rows, customer, habit))
        for _ in range(int(rows.chance.integers(0, 3))):
            rows.contact(customer, int(rows.chance.integers(-20, 700)))
    for person in people:
        if habits[person["customer_id"]].endswith("prospect"):
            person["created_at"] = rows.pick([None, dt.datetime(2021, 5, 1)])
    if customers:
        buyer = next(iter(habits))  # habit 'steady': somebody buys on the last day
        rows.order(buyer, 1, 2599, channel="web")
    return BehaviourCase(
        sales=_frame("sales", rows.sales),
        customers=_frame("customers", people),
        products=_products(),
        events=_frame("events", rows.events),
        contacts=_frame("contacts", rows.contacts),
        column_types=COLUMN_TYPES,
        habits=habits,
        event_types=event_types,
        settings={"score_group": "score_group", "latest_plausible_date": "2024-06-30"},
    )


_DATED = {"sales": "sale_date", "events": "event_at", "contacts": "contacted_at"}


def shuffled(case: BehaviourCase, seed: int) -> BehaviourCase:
    """The case with the rows of every source in another order."""
    names = [*_DATED, "customers", "products"]
    mixed = {
        name: getattr(case, name).sample(frac=1, random_state=seed).reset_index(drop=True)
        for name in names
    }
    return replace(case, **mixed)


def before(case: BehaviourCase, day: dt.date) -> BehaviourCase:
    """The case without the facts dated `day` or later."""
    cut = {}
    for name, column in _DATED.items():
        rows = getattr(case, name)
        is_early = oracle._read_dates(rows[column])[0] < oracle._day(day)
        cut[name] = rows[is_early].reset_index(drop=True)
    return replace(case, **cut)


# ---------------------------------------------------------------------------------------------
# The oracle over a case
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OracleResult:
    """What behaviour_oracle says about a case at one date."""

    as_of_date: dt.date
    cycles: pd.DataFrame
    summary: pd.DataFrame
    stages: pd.DataFrame
    by_family: pd.DataFrame
    engagement: pd.DataFrame
    behaviour: pd.DataFrame
    affinity: pd.DataFrame


def accepted_events(events: pd.DataFrame) -> pd.DataFrame:
    """Raw events typed: ids and types trimmed, event_date. The generator writes no bad ones."""
    return pd.DataFrame(
        {
            "event_id": oracle._text_series(map(oracle.id_text, events["event_id"])),
            "customer_id": oracle._text_series(map(oracle.id_text, events["customer_id"])),
            "event_date": oracle._read_dates(events["event_at"])[0],
            "event_type": oracle._text_series(map(oracle.id_text, events["event_type"])),
        }
    )


def score_groups(people: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {person["customer_id"]: person["score_group"] for person in people}


def oracle_result(case: BehaviourCase, as_of_date: dt.date | None = None) -> OracleResult:
    """Every function of the oracle at `as_of_date`; default: the current date of the sales."""
    classified = oracle.classify(case.sales, case.latest_plausible_date)
    accepted = oracle.accepted_rows(classified)
    current = oracle.current_as_of_date(accepted)
    day = as_of_date or current
    if day is None:
        raise ValueError("a case without accepted sales has no current date; give as_of_date")
    events = accepted_events(case.events)
    people = pd.DataFrame(
        {
            "customer_id": case.customers["customer_id"],
            "created_date": oracle._read_dates(case.customers["created_at"])[0],
        }
    )
    lines = behaviour_oracle.sale_lines(accepted)
    days = behaviour_oracle.order_days(lines)
    known = behaviour_oracle.known_customers(
        lines, day, events, people, is_current=as_of_date is None
    )
    groups = score_groups(case.customers.to_dict("records"))
    cycles = behaviour_oracle.purchase_cycles(days, day, known, groups)
    stages = behaviour_oracle.lifecycle_stages(cycles, LIFECYCLE_THRESHOLDS)
    within = float(BEHAVIOUR_THRESHOLDS["engaged_within_days"])
    prior = float(BEHAVIOUR_THRESHOLDS["affinity_prior_orders"])
    return OracleResult(
        as_of_date=day,
        cycles=cycles,
        summary=behaviour_oracle.cycle_summary(cycles, groups),
        stages=stages,
        by_family=behaviour_oracle.engagement_by_family(events, case.event_types, day),
        engagement=behaviour_oracle.engagement(
            events, case.event_types, day, known, stages, within
        ),
        behaviour=behaviour_oracle.behaviour(
            lines, days, day, known, BEHAVIOUR_THRESHOLDS, case.products
        ),
        affinity=behaviour_oracle.affinity(lines, days, day, case.products, prior),
    )
