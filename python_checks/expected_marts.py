"""What every relation has to hold for a source, put together from the oracle's definitions.

`expected_marts` gives frames with the columns of the relations in their order;
`assert_same` compares such a frame with what a database holds, row by row and column by column,
and says in words what is identical, modified, added (only the database has it) and removed.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from python_checks import behaviour_oracle, expected_history, oracle
from python_checks.dbt_project import PROJECT_ROOT, default_vars, object_frame

RATIO_TOLERANCE = 1e-9

# What identifies a row; None: nothing does, rows are compared as a bag.
KEYS: dict[str, tuple[str, ...] | None] = {
    "rfm_staging.stg_sales": None,
    "rfm_staging.stg_sales_rejected": None,
    "rfm_intermediate.int_as_of_dates": ("as_of_date",),
    "rfm_intermediate.int_customer_metrics": ("as_of_date", "customer_id"),
    "rfm_intermediate.int_rfm_scores": ("as_of_date", "customer_id"),
    "rfm_marts.customer_rfm": ("customer_id",),
    "rfm_marts.customer_segments": ("customer_id",),
    "rfm_marts.customer_segment_history": ("as_of_date", "customer_id"),
    "rfm_marts.score_cut_points": ("as_of_date", "score_group", "dimension", "score"),
    "rfm_marts.segment_rule_coverage": ("segment_scheme", "match_order"),
    "rfm_marts.segment_score_cells": (
        "segment_scheme",
        "lifecycle_stage",
        "recency_score",
        "frequency_score",
        "monetary_score",
    ),
    "rfm_marts.segment_strategies": ("segment_key",),
    "rfm_marts.segment_summary": ("segment_key",),
}
# What test_budget.py derives.
FROM_UPSIDE = (
    "expected_lapse_count",
    "save_rate",
    "save_rate_source",
    "reachable_share",
    "upside",
    "treatment_cost",
    "expected_return",
    "return_rank",
)
RELATIONS = tuple(KEYS)
MARTS = tuple(name for name in RELATIONS if name.startswith("rfm_marts."))

# Stages of a scored customer, and the stages that can come after each.
NEXT_STAGES: dict[str, tuple[str, ...]] = {
    "new": ("active", "lapsing"),
    "active": ("lapsing",),
    "lapsing": ("active", "lapsed"),
    "lapsed": ("reactivated",),
    "reactivated": ("active", "lapsing"),
}
# What a message says where the customer has no value for a slot.
GENERAL_WORDS = {
    "top_category": "your favourites",
    "days_since_last_order": "some",
    "order_count": "your",
}


# ---------------------------------------------------------------------------------------------
# Policy
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Policy:
    """The CSV files of a seeds folder as text."""

    schemes: pd.DataFrame
    rules: pd.DataFrame
    segments: pd.DataFrame
    strategies: pd.DataFrame
    fixed_cut_points: pd.DataFrame
    event_types: pd.DataFrame
    excluded_categories: pd.DataFrame
    lifecycle_thresholds: Mapping[str, Decimal]
    behaviour_thresholds: Mapping[str, Decimal]

    def offered(self, products: pd.DataFrame) -> pd.DataFrame:
        """The products, without category where excluded_categories.csv names it."""
        excluded = {text.strip().lower() for text in self.excluded_categories["category"]}
        names = oracle._map_values(products["category"], oracle.id_text)
        kept = [None if name is None or name.lower() in excluded else name for name in names]
        return products.assign(category=oracle._text_series(kept, products.index))

    def score_tiles(self, scheme: str) -> int:
        declared = dict(zip(self.schemes["segment_scheme"], self.schemes["score_tiles"]))
        return int(declared.get(scheme, 5))

    def segments_of(self, scheme: str) -> list[dict[str, Any]]:
        """The scheme's segments with numbers as numbers, by value_rank."""
        rows = self.segments[self.segments["segment_scheme"] == scheme].to_dict("records")
        for row in rows:
            row["segment_key"] = f"{scheme}:{row['segment_code']}"
            for column in (
                "action_priority",
                "value_rank",
                "expected_retention_rank",
                "display_order",
            ):
                row[column] = int(row[column]) if row[column].strip() else None
        return sorted(rows, key=lambda row: row["value_rank"])


def read_policy(folder: Path = PROJECT_ROOT / "seeds") -> Policy:
    files = (
        *("segment_schemes", "segment_rules", "segments", "strategy_policy", "fixed_cut_points"),
        *("engagement_event_types", "excluded_categories"),
    )
    thresholds = ("lifecycle_thresholds", "behaviour_thresholds")
    schemes, rules, *frames = (oracle.read_rules(folder / f"{name}.csv") for name in files)
    # The rules of the scheme `discovered` count only while it is active, which test_discovery checks.
    rules = rules[rules["segment_scheme"] != "discovered"].reset_index(drop=True)
    return Policy(
        schemes,
        rules,
        *frames,
        *(behaviour_oracle.read_thresholds(folder / f"{name}.csv") for name in thresholds),
    )


# ---------------------------------------------------------------------------------------------
# Small helpers
# ---------------------------------------------------------------------------------------------


def cents(amount: Fraction | int) -> Decimal:
    """An exact amount in money, rounded half away from zero to the cent."""
    whole = (abs(Fraction(amount)) * 100 + Fraction(1, 2)).__floor__()
    return Decimal(whole if amount >= 0 else -whole).scaleb(-2)


def _quartile(amounts: Sequence[Decimal], number: int) -> Decimal:
    """percentile_cont of money: linear between the two values next to the position.

    In cents held as float, which is exact below 2^53 cents and all that is promised beyond.
    """
    ordered = sorted(float(100 * amount) for amount in amounts)
    whole, quarters = divmod((len(ordered) - 1) * number, 4)
    above = ordered[min(whole + 1, len(ordered) - 1)]
    return cents(Fraction(ordered[whole] + (above - ordered[whole]) * quarters / 4) / 100)


def _text(value: Any) -> str | None:
    return oracle.id_text(value)


def _rows(columns: str, records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Records as an object frame with exactly these columns (absent values are None)."""
    names = columns.split()
    return object_frame(names, [[record.get(name) for name in names] for record in records])


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return plain(frame).to_dict("records")


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Object columns of plain Python values: None for what is missing, dates without a time."""
    return object_frame(
        list(frame.columns),
        list(zip(*(_plain_column(frame[name]) for name in frame.columns), strict=True)),
    )


def _plain_column(column: pd.Series) -> list[Any]:
    values = column.tolist()
    if column.dtype == object or column.dtype.kind in "Mf" or column.hasnans:
        return [_plain_value(value) for value in values]
    return values


def _plain_value(value: Any) -> Any:
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return None
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dt.datetime) and value.time() == dt.time(0):
        return value.date()
    return value


# ---------------------------------------------------------------------------------------------
# Sources to scores
# ---------------------------------------------------------------------------------------------


class Source:
    """Raw sources in our column names, classified once; metrics are kept for reuse.

    `products`: rows of dim_products, each product once; they count when the var using_products
    is set. `events`: accepted engagement events (event_id, customer_id, event_date, event_type) of
    customers that the other sources know; they count with the var using_engagement_events.
    """

    def __init__(
        self,
        sales: pd.DataFrame,
        customers: pd.DataFrame | None = None,
        latest_plausible_date: oracle.DateLike = dt.date.max,
        products: pd.DataFrame | None = None,
        events: pd.DataFrame | None = None,
    ):
        self.customers = customers
        self.products = products
        self.events = events
        self.has_discounts = "discount_amount" in sales.columns
        self.classified = oracle.classify(sales, latest_plausible_date)
        self.accepted = oracle.accepted_rows(self.classified)
        self._metrics: dict[tuple[Any, ...], pd.DataFrame] = {}
        self._order_days: dict[bool, pd.DataFrame] = {}

    @cached_property
    def lines(self) -> pd.DataFrame:
        """`behaviour_oracle.sale_lines`."""
        return behaviour_oracle.sale_lines(self.accepted)

    def order_days(self, count_zero: bool) -> pd.DataFrame:
        """`behaviour_oracle.order_days`."""
        if count_zero not in self._order_days:
            self._order_days[count_zero] = behaviour_oracle.order_days(self.lines, count_zero)
        return self._order_days[count_zero]

    def metrics(
        self, day: dt.date, lookback_days: int | None, count_zero: bool, is_current: bool
    ) -> pd.DataFrame:
        """`oracle.metrics` with sales_amount and return_amount."""
        key = (day, lookback_days, count_zero, is_current)
        if key not in self._metrics:
            found = oracle.metrics(
                self.accepted, day, lookback_days, count_zero, self.customers, is_current
            )
            amounts = oracle.gross_amounts(self.accepted, day, lookback_days)
            found = found.merge(amounts, on="customer_id", how="left")
            for column in ("sales_amount", "return_amount"):
                found[column] = found[column].where(found[column].notna(), Decimal("0.00"))
            self._metrics[key] = found
        return self._metrics[key].copy()

    def group_column(self, settings: Mapping[str, Any]) -> tuple[str, str]:
        """('customers' or 'sales', column) of the var score_group; ('', '') when it is off."""
        setting = settings["score_group"]
        if setting is None:
            return "", ""
        entity, _, column = setting.rpartition(".")
        for name, frame in (("customers", self.customers), ("sales", self.accepted)):
            if entity in ("", name) and frame is not None and column in frame.columns:
                return name, column
        raise ValueError(f"score_group: no column {setting!r} in these sources")

    def groups(self, settings: Mapping[str, Any], day: dt.date) -> dict[str, Any]:
        """customer_id → score group at that date."""
        entity, column = self.group_column(settings)
        if entity == "customers":
            ids = map(_text, self.customers["customer_id"])
            return dict(zip(ids, self.customers[column], strict=True))
        if entity == "sales":
            count_zero = settings["count_zero_value_orders"]
            return oracle.groups_from_sales(self.accepted, day, column, count_zero)
        return {}


def as_of_dates(settings: Mapping[str, Any], current: dt.date | None) -> list[dt.date]:
    """The current date and the starts of the last `history_periods` periods up to it."""
    return sorted(grid_dates(settings, current) | ({current} if current else set()))


def grid_dates(settings: Mapping[str, Any], current: dt.date | None) -> set[dt.date]:
    if current is None:
        return set()
    length = {"day": "D", "week": "W-SUN", "month": "M", "quarter": "Q"}
    period = pd.Period(current, length[settings["history_grain"]])
    return {(period - n).start_time.date() for n in range(settings["history_periods"])}


@dataclass(frozen=True)
class _Scored:
    """Metrics and scores of all as-of dates, and the current one."""

    current: dt.date | None
    metrics: pd.DataFrame
    scores: pd.DataFrame
    cut_points: pd.DataFrame
    values: pd.DataFrame


def _score(source: Source, settings: Mapping[str, Any], policy: Policy) -> _Scored:
    given = settings["as_of_date"]
    current = (
        dt.date.fromisoformat(str(given))
        if given is not None
        else oracle.current_as_of_date(source.accepted)
    )
    tiles, tie_method = settings["score_tiles"], settings["tie_method"]
    fixed = policy.fixed_cut_points
    metric_parts, score_parts, cut_parts, value_parts = [], [], [], []
    for day in as_of_dates(settings, current):
        found = source.metrics(
            day,
            settings["lookback_days"],
            settings["count_zero_value_orders"],
            is_current=day == current,
        )
        # rfm_basis sales; without events activity is the same.
        found["scored_recency_days"] = found["days_since_last_order"]
        found["scored_frequency"] = found["order_count"]
        found["scored_value"] = found["net_revenue"]
        groups = source.groups(settings, day)
        dated = found["customer_id"]
        if day == current:
            arguments = (settings["lookback_days"], settings["count_zero_value_orders"])
            dated = source.metrics(day, *arguments, is_current=False)["customer_id"]
        found["is_known_by_date"] = found["customer_id"].isin(set(dated))
        found["score_group"] = [
            _text(groups.get(customer)) or oracle.WHOLE_BASE for customer in found["customer_id"]
        ]
        arguments = (groups, settings["min_group_customers"])
        scored = oracle.scores(found, tiles, tie_method, *arguments, fixed)
        # The fixed contract: five tiles, and cut points only where they are made for five.
        of_five = oracle.scores(found, 5, tie_method, *arguments, fixed if tiles == 5 else None)
        for dimension in oracle.DIMENSIONS:
            scored[f"{dimension}_score_of_five"] = of_five[f"{dimension}_score"]
        weights = (settings[f"{dimension}_weight"] for dimension in oracle.DIMENSIONS)
        scored["rfm_score"] = oracle.rfm_score(scored, *weights)
        metric_parts.append(found)
        score_parts.append(scored)
        cut_parts.append(oracle.score_cut_points(found, tiles, *arguments, fixed, tie_method))
        value_parts.append(oracle.score_values(found, tiles, *arguments, fixed, tie_method))
    frames = (
        pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
        for parts in (metric_parts, score_parts, cut_parts, value_parts)
    )
    return _Scored(current, *frames)


# ---------------------------------------------------------------------------------------------
# Segments
# ---------------------------------------------------------------------------------------------


_SCORE_COLUMNS = [
    *("as_of_date", "customer_id", "score_group", "scored_within"),
    *(column for column, _ in oracle.DIMENSIONS.values()),
    *(f"{dimension}_score" for dimension in oracle.DIMENSIONS),
    "rfm_code",
]


def score_cells(policy: Policy) -> list[dict[str, Any]]:
    """Every stage and score of every scheme: its segment by first match, the nearest other one."""
    result = []
    for scheme in sorted(set(policy.rules["segment_scheme"])):
        tiles = policy.score_tiles(scheme)
        names = {row["segment_code"]: row for row in policy.segments_of(scheme)}
        rules = policy.rules[policy.rules["segment_scheme"] == scheme]
        rationale = dict(zip(rules["match_order"].astype(int), rules["rationale"], strict=True))
        every_cell = oracle.score_cells(tiles, NEXT_STAGES)
        cells = _records(oracle.segments(every_cell, policy.rules, scheme))
        for cell in cells:
            cell |= {
                "segment_scheme": scheme,
                "segment_key": f"{scheme}:{cell['segment_code']}",
                "rule_rationale": rationale[cell["match_order"]],
                "value_rank": names[cell["segment_code"]]["value_rank"],
                "segment_name": names[cell["segment_code"]]["segment_name"],
            }
        _add_nearest(cells)
        result += cells
    return result


_SCORES = tuple(f"{dimension}_score" for dimension in oracle.DIMENSIONS)


def _scores_of(cell: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(cell[column] for column in _SCORES)


def _add_nearest(cells: Sequence[dict[str, Any]]) -> None:
    """To each cell the nearest other segment, and the way there in words.

    Within reach are all scores in the same stage, and the next stages with the same scores. The
    nearest is the fewest score steps away (a stage is one step); ties: fewest scores or stages to
    change, a more valuable segment, of less valuable ones that of another stage, then the more
    valuable segment, higher scores (R, F, M), the same stage, the stage's name.
    """
    in_stage: dict[str, list[dict[str, Any]]] = {stage: [] for stage in NEXT_STAGES}
    for cell in cells:
        in_stage[cell["lifecycle_stage"]].append(cell)
    # Stages whose cells all have the same segments: the way within the stage is the same too.
    within: dict[tuple[Any, ...], dict[tuple[int, ...], dict[str, Any]]] = {}
    for stage, own in in_stage.items():
        pattern = tuple((_scores_of(cell), cell["segment_code"]) for cell in own)
        if pattern not in within:
            within[pattern] = {_scores_of(cell): _nearest_by_score(cell, own) for cell in own}
        followers = [
            {_scores_of(cell): cell for cell in in_stage[follower]}
            for follower in NEXT_STAGES[stage]
        ]
        for cell in own:
            scores = _scores_of(cell)
            found = within[pattern][scores]
            reachable = [] if found is None else [found | {"lifecycle_stage": stage}]
            reachable += [
                follower[scores]
                for follower in followers
                if follower[scores]["segment_code"] != cell["segment_code"]
            ]
            nearest = min(reachable, key=lambda other: _distance(cell, other), default=None)
            cell["nearest_segment_key"] = nearest and nearest["segment_key"]
            cell["nearest_change"] = nearest and _change(cell, nearest)


def _distance(cell: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[Any, ...]:
    steps = [abs(a - b) for a, b in zip(_scores_of(other), _scores_of(cell), strict=True)]
    is_other_stage = other["lifecycle_stage"] != cell["lifecycle_stage"]
    return (
        sum(steps) + is_other_stage,
        sum(step > 0 for step in steps) + is_other_stage,
        0 if other["value_rank"] < cell["value_rank"] else 1 if is_other_stage else 2,
        other["value_rank"],
        *(-score for score in _scores_of(other)),
        is_other_stage,
        other["lifecycle_stage"],
    )


def _nearest_by_score(
    cell: Mapping[str, Any], of_stage: Sequence[dict[str, Any]]
) -> dict[str, Any] | None:
    others = [other for other in of_stage if other["segment_code"] != cell["segment_code"]]
    return min(others, key=lambda other: _distance(cell, other), default=None)


def _change(cell: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    text = ""
    if other["lifecycle_stage"] != cell["lifecycle_stage"]:
        text = f"stage {cell['lifecycle_stage']} to {other['lifecycle_stage']}, "
    for column in _SCORES:
        if other[column] != cell[column]:
            text += f"{column.replace('_', ' ')} {cell[column]} to {other[column]}, "
    return f"{text}then {other['segment_name']}"


def rule_coverage(policy: Policy, cells: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """What each rule asks for and which cells the earlier rules leave it."""
    records = []
    for rule in policy.rules.to_dict("records"):
        scheme, order = rule["segment_scheme"], int(rule["match_order"])
        tiles = policy.score_tiles(scheme)
        won = [c for c in cells if (c["segment_scheme"], c["match_order"]) == (scheme, order)]
        record: dict[str, Any] = {
            "segment_scheme": scheme,
            "match_order": order,
            "segment_key": f"{scheme}:{rule['segment_code']}",
            "asked_stage": _text(rule["lifecycle_stage"]),
            "won_stage_count": len({cell["lifecycle_stage"] for cell in won}),
            "asked_cell_count": 1,
            "won_cell_count": len({_scores_of(cell) for cell in won}),
            "is_reachable": bool(won),
        }
        for dimension in oracle.DIMENSIONS:
            low = int(rule[f"{dimension}_min"] or 1)
            high = int(rule[f"{dimension}_max"] or tiles)
            scores = [cell[f"{dimension}_score"] for cell in won]
            record[f"{dimension}_asked_min"], record[f"{dimension}_asked_max"] = low, high
            record[f"{dimension}_won_min"] = min(scores, default=None)
            record[f"{dimension}_won_max"] = max(scores, default=None)
            record["asked_cell_count"] *= high - low + 1
        records.append(record)
    ranges = " ".join(
        f"{d}_asked_min {d}_asked_max {d}_won_min {d}_won_max" for d in oracle.DIMENSIONS
    )
    return _rows(
        f"segment_scheme match_order segment_key {ranges}"
        " asked_stage won_stage_count asked_cell_count won_cell_count is_reachable",
        records,
    )


def _customer_attributes(customers: pd.DataFrame | None) -> dict[str, dict[str, Any]]:
    """customer_id → country and created_date; of repeated ids the earliest created."""
    result: dict[str, dict[str, Any]] = {}
    if customers is None:
        return result
    for row in customers.to_dict("records"):
        key = _text(row["customer_id"])
        _, created = oracle.calendar_date(row.get("created_at"))
        found = {"country": _text(row.get("country")), "created_date": created}
        if key is None:
            continue
        known = result.get(key)
        if known is None or (created or dt.date.max) < (known["created_date"] or dt.date.max):
            result[key] = found
    return result


def _customer_segments(
    source: Source,
    settings: Mapping[str, Any],
    scored: _Scored,
    policy: Policy,
    cells: Sequence[Mapping[str, Any]],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(the oracle's assignment of the current date, the mart customer_segments)."""
    columns = (
        "customer_id as_of_date segment_key segment_scheme segment_code segment_name strategy_code"
        " action_priority display_order lifecycle_stage rule_segment_key previous_segment_key"
        " published_segment_key override_reason score_group scored_within country"
        " top_category core_message rfm_code recency_score frequency_score monetary_score rfm_score"
        " engagement_score matched_rule rule_rationale nearest_segment_key nearest_change"
        " days_in_segment days_since_last_order order_count sales_amount return_amount net_revenue"
        " average_order_value expected_gap_days silence_ratio days_since_last_event"
        " days_since_last_engagement event_count_30d event_count_90d event_trend category_count"
        " is_scored is_overridden"
        f" {' '.join(behaviour_oracle.FLAGS)} is_engaged_not_buying is_buying_not_engaged"
        " created_date first_order_date last_order_date"
    )
    scheme = settings["segment_scheme"]
    if scored.current is None:
        return pd.DataFrame(), _rows(columns, [])
    today = pd.Timestamp(scored.current)
    found = scored.metrics[scored.metrics["as_of_date"] == today].reset_index(drop=True)
    of_day = scored.scores[scored.scores["as_of_date"] == today].reset_index(drop=True)
    rfm_scores = dict(zip(of_day["customer_id"], of_day["rfm_score"], strict=True))
    behaviour = _behaviour(source, settings, policy, scored.current, found["customer_id"].tolist())
    with_stage = of_day[_SCORE_COLUMNS].copy()
    for frame in (found, with_stage):
        frame["lifecycle_stage"] = pd.Series(
            [behaviour[customer]["lifecycle_stage"] for customer in frame["customer_id"]],
            dtype=object,
        )
    assigned = oracle.segments(with_stage, policy.rules, scheme, found)

    in_cell = {
        (cell["lifecycle_stage"], *_scores_of(cell)): cell
        for cell in cells
        if cell["segment_scheme"] == scheme
    }
    segments = {row["segment_code"]: row for row in policy.segments_of(scheme)}
    of_scheme = policy.strategies[policy.strategies["segment_scheme"] == scheme]
    strategies = {row["segment_code"]: row for row in of_scheme.to_dict("records")}
    unscored = {
        oracle.PROSPECTS: ("Known but never ordered", "a first order, then scored"),
        oracle.DORMANT: (
            "Ordered before the look-back window and not since",
            "a new order, then scored",
        ),
    }
    attributes = _customer_attributes(source.customers)
    by_customer = {row["customer_id"]: row for row in _records(found)}
    records = []
    for row in _records(assigned):
        measured, segment = by_customer[row["customer_id"]], segments[row["segment_code"]]
        count, amount = measured["order_count"], Fraction(measured["net_revenue"])
        strategy, habits = strategies[row["segment_code"]], behaviour[row["customer_id"]]
        if row["is_scored"]:
            cell = in_cell[(row["lifecycle_stage"], *_scores_of(row))]
            explained = {
                name: cell[name]
                for name in ("rule_rationale", "nearest_segment_key", "nearest_change")
            }
        else:
            why, change = unscored[row["segment_code"]]
            explained = {"rule_rationale": why, "nearest_change": change}
        records.append(
            row
            | measured
            | habits
            | explained
            | attributes.get(row["customer_id"], {})
            | {
                "segment_key": segment["segment_key"],
                "rule_segment_key": segment["segment_key"],
                "is_overridden": False,
                "segment_scheme": scheme,
                "segment_name": segment["segment_name"],
                "strategy_code": strategy["strategy_code"],
                "core_message": _message(strategy["core_message"], measured | habits),
                "action_priority": segment["action_priority"],
                "display_order": segment["display_order"],
                "rfm_score": rfm_scores.get(row["customer_id"]),
                "matched_rule": row["match_order"],
                "average_order_value": cents(amount / count) if count else None,
            }
        )
    return assigned, _rows(columns, records)


def _message(text: str, values: Mapping[str, Any]) -> str | None:
    """The message with the slots filled that the marts know; others stay as they are."""

    def value(slot: re.Match[str]) -> str:
        known = values[slot[1]]
        return GENERAL_WORDS[slot[1]] if known is None else str(known)

    message = _text(text)
    return message and re.sub(f"{{({'|'.join(GENERAL_WORDS)})}}", value, message)


def _behaviour(
    source: Source,
    settings: Mapping[str, Any],
    policy: Policy,
    day: dt.date,
    known: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """customer_id → stage, expected gap, categories and flags of the mart customer_segments.

    Over all history before the date, whatever the look-back.
    """
    events = source.events if settings["using_engagement_events"] else None
    if settings["using_engagement_events"]:
        assert events is not None, "this source was given no events"
        assert set(events["customer_id"]) <= set(known), "an event makes nobody known here"
    lines, days = source.lines, source.order_days(settings["count_zero_value_orders"])
    cycles = behaviour_oracle.purchase_cycles(
        days,
        day,
        known,
        source.groups(settings, day),
        settings["gap_prior_strength"],
        settings["default_purchase_gap_days"],
        settings["min_group_customers"],
    )
    stages = behaviour_oracle.lifecycle_stages(cycles, policy.lifecycle_thresholds)
    products = policy.offered(source.products) if settings["using_products"] else None
    judged = behaviour_oracle.behaviour(
        lines, days, day, known, policy.behaviour_thresholds, products, source.has_discounts
    )
    engaged = behaviour_oracle.engagement(
        events,
        policy.event_types,
        day,
        known,
        stages,
        float(policy.behaviour_thresholds["engaged_within_days"]),
        settings["score_tiles"],
        settings["tie_method"],
    )
    of_engagement = [
        *("engagement_score", "days_since_last_event", "days_since_last_engagement"),
        *("event_count_30d", "event_count_90d", "event_trend"),
        *("is_engaged_not_buying", "is_buying_not_engaged"),
    ]
    of_behaviour = ["top_category", "category_count", *behaviour_oracle.FLAGS]
    result: dict[str, dict[str, Any]] = {customer: {} for customer in known}
    for frame, columns in (
        (cycles, ["expected_gap_days"]),
        (stages, ["lifecycle_stage", "silence_ratio"]),
        (judged, of_behaviour),
        (engaged, of_engagement),
    ):
        for customer, row in zip(frame["customer_id"], _records(frame[columns]), strict=True):
            result[customer] |= row
    return result


def _segment_history(
    settings: Mapping[str, Any],
    current: dt.date | None,
    rows: Iterable[Mapping[str, Any]],
    undated: Container[str],
) -> pd.DataFrame:
    """`undated`: customers known at the current date only, who are on no date of the grid."""
    columns = (
        "as_of_date customer_id segment_key segment_scheme segment_code lifecycle_stage rfm_code"
        " recency_score frequency_score monetary_score rfm_score matched_rule previous_segment_key"
        " previous_lifecycle_stage published_segment_key rule_segment_key order_count net_revenue"
        " days_in_segment is_scored is_overridden is_current is_grid previous_as_of_date"
        " segment_since_date last_order_date"
    )
    grid = grid_dates(settings, current)
    return _rows(
        columns,
        (
            {
                **row,
                "is_current": row["as_of_date"] == current,
                "is_grid": row["as_of_date"] in grid
                and not (row["as_of_date"] == current and row["customer_id"] in undated),
            }
            for row in rows
        ),
    )


def _segment_summary(
    assigned: pd.DataFrame, current: dt.date | None, policy: Policy, scheme: str
) -> pd.DataFrame:
    """Counts, shares and spread by the oracle; money exact to the cent."""
    statistics = ("min", "q1", "median", "mean", "q3", "max")
    columns = (
        "segment_key as_of_date segment_scheme segment_code segment_name action_priority value_rank"
        " display_order customer_count customer_share order_count net_revenue net_revenue_share"
        " average_order_value "
    ) + " ".join(f"{c}_{name}" for c, _ in oracle.DIMENSIONS.values() for name in statistics)
    segments = policy.segments_of(scheme)
    codes = [row["segment_code"] for row in segments]
    if assigned.empty:
        nothing = {"customer_count": 0, "order_count": 0, "net_revenue": Decimal("0.00")}
        return _rows(columns, [row | {"as_of_date": current} | nothing for row in segments])
    summary = {
        row["segment_code"]: row for row in _records(oracle.segment_summary(assigned, codes))
    }
    records = []
    for segment in segments:
        row = summary[segment["segment_code"]]
        members = assigned[assigned["segment_code"] == segment["segment_code"]]
        amounts = members.loc[members["is_scored"].astype(bool), "net_revenue"].tolist()
        if row["order_count"]:
            row["average_order_value"] = cents(Fraction(row["net_revenue"]) / row["order_count"])
        if amounts:
            for name, number in (("q1", 1), ("median", 2), ("q3", 3)):
                row[f"net_revenue_{name}"] = _quartile(amounts, number)
            row["net_revenue_min"], row["net_revenue_max"] = min(amounts), max(amounts)
            row["net_revenue_mean"] = cents(sum(map(Fraction, amounts)) / len(amounts))
        records.append(segment | row | {"as_of_date": current})
    return _rows(columns, records)


def _segment_strategies(policy: Policy, active_scheme: str) -> pd.DataFrame:
    columns = (
        "segment_key strategy_code segment_scheme segment_code segment_name action_priority"
        " value_rank expected_retention_rank display_order description needs motivations"
        " churn_drivers objective core_message incentive_type primary_channel secondary_channel kpi"
        " rationale suppression_reason incentive_depth_pct expected_save_rate contact_cadence_days"
        " review_cadence_days is_high_touch is_suppressed is_active_scheme"
    )
    strategies = {
        (row["segment_scheme"], row["segment_code"]): row
        for row in policy.strategies.to_dict("records")
    }
    records = []
    for scheme in sorted(set(policy.segments["segment_scheme"])):
        for segment in policy.segments_of(scheme):
            row = strategies[scheme, segment["segment_code"]]
            strategy = {name: _text(cell) for name, cell in row.items()}
            cadence = strategy["contact_cadence_days"]
            records.append(
                strategy
                | segment
                | {
                    "incentive_depth_pct": Decimal(row["incentive_depth_pct"]),
                    "expected_save_rate": float(row["expected_save_rate"]),
                    "contact_cadence_days": None if cadence is None else int(cadence),
                    "review_cadence_days": int(row["review_cadence_days"]),
                    "is_high_touch": oracle.truth(row["is_high_touch"]),
                    "is_suppressed": oracle.truth(row["is_suppressed"]),
                    "is_active_scheme": scheme == active_scheme,
                }
            )
    return _rows(columns, records)


# ---------------------------------------------------------------------------------------------
# Everything
# ---------------------------------------------------------------------------------------------


def expected_marts(
    source: Source, vars: Mapping[str, Any] | None = None, policy: Policy | None = None
) -> dict[str, pd.DataFrame]:
    """Relation → its rows. `vars`: what differs from dbt_project.yml."""
    settings = default_vars() | dict(vars or {})
    policy = policy or read_policy()
    scheme = settings["segment_scheme"]
    scored = _score(source, settings, policy)
    cells = score_cells(policy)
    assigned, customer_segments, history = pd.DataFrame(), pd.DataFrame(), []
    # Each date is derived as if it were the current one; the last one is.
    for day in as_of_dates(settings, scored.current) or [None]:
        assigned, customer_segments = _customer_segments(
            source, settings, replace(scored, current=day), policy, cells
        )
        history += _records(customer_segments)
    history = expected_history.add_movement(history, settings["min_stay_days"])
    moved = {row["customer_id"]: row for row in history if row["as_of_date"] == scored.current}
    for column in ("previous_segment_key", "published_segment_key", "days_in_segment"):
        customer_segments[column] = oracle._text_series(
            moved[customer][column] for customer in customer_segments["customer_id"]
        )

    scores = [f"{dimension}_score" for dimension in oracle.DIMENSIONS]
    measures = [column for column, _ in oracle.DIMENSIONS.values()]
    dates = as_of_dates(settings, scored.current)
    complete = oracle.current_as_of_date(source.accepted)
    undated = {
        row["customer_id"] for row in _records(scored.metrics) if not row["is_known_by_date"]
    }
    return {
        "rfm_intermediate.int_as_of_dates": _rows(
            "as_of_date is_current is_grid is_reopened is_complete",
            (
                {
                    "as_of_date": day,
                    "is_current": day == scored.current,
                    "is_grid": day in grid_dates(settings, scored.current),
                    "is_reopened": False,
                    "is_complete": complete is not None and day <= complete,
                }
                for day in dates
            ),
        ),
        "rfm_intermediate.int_customer_metrics": _rows(
            "as_of_date customer_id score_group days_since_last_order order_count sales_amount"
            " return_amount net_revenue scored_recency_days scored_frequency scored_value"
            " is_scored is_known_by_date first_order_date last_order_date",
            _records(scored.metrics),
        ),
        "rfm_intermediate.int_rfm_scores": _rows(
            " ".join(
                ["as_of_date customer_id score_group scored_within", *measures, *scores]
                + ["rfm_code rfm_score", *(f"{score}_of_five" for score in scores)]
            ),
            _records(scored.scores),
        ),
        "rfm_marts.customer_rfm": _customer_rfm(scored),
        "rfm_marts.customer_segments": customer_segments,
        "rfm_marts.customer_segment_history": _segment_history(
            settings, scored.current, history, undated
        ),
        "rfm_marts.score_cut_points": _cut_points(scored, policy, settings),
        "rfm_marts.segment_rule_coverage": rule_coverage(policy, cells),
        "rfm_marts.segment_score_cells": _rows(
            " ".join(
                ["segment_scheme lifecycle_stage", *scores, "segment_key segment_code match_order rule_rationale"]
                + ["nearest_segment_key nearest_change"]
            ),
            cells,
        ),
        "rfm_marts.segment_strategies": _segment_strategies(policy, scheme),
        "rfm_marts.segment_summary": _segment_summary(assigned, scored.current, policy, scheme),
    }


def expected_staging(
    source: Source, vars: Mapping[str, Any] | None = None
) -> dict[str, pd.DataFrame]:
    """The accepted and the rejected sales (without the source's own text)."""
    entity, column = source.group_column(default_vars() | dict(vars or {}))
    rows = source.accepted
    rows = rows.assign(
        net_revenue=oracle.net_amounts(rows),
        score_group=rows[column].map(_text) if entity == "sales" else None,
        quantity=[
            None if value is None else value.quantize(Decimal("0.0001"), "ROUND_HALF_UP")
            for value in rows["quantity"]
        ],
        is_return=rows["is_return"].astype(bool) | rows["revenue"].map(lambda amount: amount < 0),
    )
    rejected = source.classified[source.classified["rejection_reason"].notna()]
    return {
        "rfm_staging.stg_sales": _rows(
            "sale_id order_id customer_id product_id channel score_group quantity revenue"
            " net_revenue discount_amount is_return sale_date loaded_at",
            _records(rows),
        ),
        "rfm_staging.stg_sales_rejected": _rows(
            "sale_id order_id customer_id product_id revenue sale_date rejection_reason",
            _records(rejected),
        ),
    }


def _customer_rfm(scored: _Scored) -> pd.DataFrame:
    """By the published definition of core_five, not by the seed."""
    columns = "customer_id recency frequency monetary R_score F_score M_score segment"
    if scored.current is None:
        return _rows(columns, [])
    rows = scored.scores[scored.scores["as_of_date"] == pd.Timestamp(scored.current)]
    records = []
    for row in _records(rows):
        triple = [row[f"{dimension}_score_of_five"] for dimension in oracle.DIMENSIONS]
        records.append(
            {
                "customer_id": row["customer_id"],
                "recency": row["days_since_last_order"],
                "frequency": row["order_count"],
                "monetary": row["net_revenue"],
                **dict(zip(("R_score", "F_score", "M_score"), triple, strict=True)),
                "segment": oracle.core_five_segment(*triple),
            }
        )
    return _rows(columns, records)


_MEASURES = {
    "sales": {
        "recency": "Recency (days since the last order)",
        "frequency": "Frequency (orders)",
        "monetary": "Monetary value (net revenue)",
    },
    "activity": {
        "recency": "Recency (days since the last activity)",
        "frequency": "Frequency (orders and weighted events)",
        "monetary": "Monetary value (value of orders and events)",
    },
}


def _cut_points(scored: _Scored, policy: Policy, settings: Mapping[str, Any]) -> pd.DataFrame:
    fixed = set(policy.fixed_cut_points["dimension"].str.strip())
    drift = _drift(scored, settings["retention_horizon_days"])
    limit = float(settings["max_stability_index"])
    records = []
    for row in _records(scored.cut_points):
        base = pd.Timestamp(row["as_of_date"]), row["score_group"], row["dimension"]
        index, by_chance, first = drift.get(base, (None, None, None))
        row |= {"is_fixed": row["dimension"] in fixed, "max_stability_index": limit}
        row |= {"population_stability_index": index, "reference_date": None if first is None else first.date()}
        if first is None:
            note = "Nothing to compare with: no date of the history lies retention_horizon_days after the first order"
        elif first == pd.Timestamp(row["as_of_date"]):
            note = "The date that others are compared with"
        elif index - by_chance <= limit:
            note = "The boundaries hold"
        else:
            what = _MEASURES[settings["rfm_basis"]][row["dimension"]]
            shown = Decimal(repr(index)).quantize(Decimal("0.001"), "ROUND_HALF_UP")
            note = (
                f"{what} has moved since {first.date()} (population stability index {shown}; the var"
                f" max_stability_index allows {settings['max_stability_index']} beyond chance)"
            )
            if settings["lookback_days"] is None and row["dimension"] != "recency":
                note += (
                    ": without lookback_days orders and revenue only pile up. Set lookback_days to"
                    " compare like with like"
                )
            elif row["is_fixed"]:
                note += (
                    ". More or fewer customers reach the fixed cut points than on that date: set them"
                    " anew in fixed_cut_points.csv"
                )
            else:
                note += (
                    ". The cut points have moved along: the same score stands for other values than on"
                    " that date. Do not compare scores of the two dates, or hold the cut points in"
                    " fixed_cut_points.csv"
                )
        records.append(row | {"stability_note": note})
    return _rows(
        "as_of_date score_group dimension score lowest_value highest_value customer_count is_fixed"
        " population_stability_index reference_date max_stability_index stability_note",
        records,
    )


def _drift(scored: _Scored, horizon_days: int) -> dict[tuple, tuple[float, float, dt.date]]:
    """{(date, base, dimension): (stability index, index by chance, reference date)}."""
    if not len(scored.values):
        return {}
    earliest = pd.Timestamp(scored.metrics["first_order_date"].dropna().min()) + pd.Timedelta(days=horizon_days)
    drift = {}
    for base, values in scored.values.groupby(["score_group", "dimension"]):
        dates = pd.to_datetime(values["as_of_date"])
        settled = dates[dates >= earliest]
        if settled.empty:
            continue
        first = settled.min()
        reference = values[dates == first]
        for day, at_date in values.groupby("as_of_date"):
            counts = [frame["customer_count"].sum() for frame in (at_date, reference)]
            by_chance = (reference["lowest_score"].nunique() - 1) * sum(1 / n for n in counts)
            index = oracle.stability_index(at_date, reference)
            drift[pd.Timestamp(day), *base] = (index, by_chance, first)
    return drift


# ---------------------------------------------------------------------------------------------
# Comparing
# ---------------------------------------------------------------------------------------------


def _is_same(expected: Any, found: Any) -> bool:
    if expected is None or found is None:
        return expected is found
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    if isinstance(expected, float) or isinstance(found, float):
        difference = abs(float(expected) - float(found))
        return difference <= RATIO_TOLERANCE * max(1.0, abs(float(expected)))
    return type(expected) is type(found) and expected == found or _equal_numbers(expected, found)


def _equal_numbers(expected: Any, found: Any) -> bool:
    """An integer and a decimal of the same value are the same."""
    numbers = (int, Decimal)
    return isinstance(expected, numbers) and isinstance(found, numbers) and expected == found


def _by_key(frame: pd.DataFrame, key: Sequence[str]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Rows by their key; a key that is there again gets a number."""
    result: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    positions = [list(frame.columns).index(name) for name in key]
    for row in zip(*(frame[name].tolist() for name in frame.columns), strict=True):
        identity = tuple(row[position] for position in positions)
        number = 2
        while identity in result:
            identity = (*identity[: len(key)], f"repetition {number}")
            number += 1
        result[identity] = row
    return result


def _exactly(value: Any) -> Any:
    """A value as part of a key: 1, True and Decimal(1) are different keys, 1.10 and 1.1 one."""
    if isinstance(value, Decimal):
        return str(value.normalize() + 0)
    return (type(value).__name__, value)


def differences(
    expected: pd.DataFrame,
    found: pd.DataFrame,
    key: Sequence[str] | None = None,
    examples: int = 5,
) -> str:
    """'' when both hold the same rows, else how many are identical, modified, added, removed.

    Added rows are only in `found`, removed ones only in `expected`. Without a key rows are compared
    as a bag, and nothing is modified. Ratios may differ by 1e-9, everything else not at all.
    """
    if list(expected.columns) != list(found.columns):
        return f"columns expected {list(expected.columns)}\n   columns found {list(found.columns)}"
    if key is None:
        tags = [
            pd.Series(list(zip(*(map(_exactly, f[c]) for c in f.columns), strict=True)), f.index)
            for f in (expected, found)
        ]
        before, after = (
            _by_key(f.assign(_tag=tag), ["_tag"])
            for f, tag in zip((expected, found), tags, strict=True)
        )
    else:
        before, after = _by_key(expected, key), _by_key(found, key)
    columns = list(expected.columns)
    removed = [row for identity, row in before.items() if identity not in after]
    added = [row for identity, row in after.items() if identity not in before]
    modified = []
    for identity, row in before.items():
        other = after.get(identity)
        if key is not None and other is not None:
            changes = [
                f"{name} expected {a!r} found {b!r}"
                for name, a, b in zip(columns, row, other, strict=True)
                if not _is_same(a, b)
            ]
            if changes:
                modified.append(f"{_named(key, identity)}: {'; '.join(changes)}")
    if not (removed or added or modified):
        return ""
    identical = len(before) - len(removed) - len(modified)
    counts = (
        f"{identical} identical, {len(modified)} modified, {len(added)} added, "
        f"{len(removed)} removed"
    )
    lines = [counts, *(f"  modified {line}" for line in modified[:examples])]
    for word, rows in (("added", added), ("removed", removed)):
        lines += [f"  {word} {_named(columns, row)}" for row in rows[:examples]]
    return "\n".join(lines)


def _named(names: Sequence[str], values: Sequence[Any]) -> str:
    repetition = [str(value) for value in values[len(names) :] if isinstance(value, str)]
    return ", ".join([f"{n}={v!r}" for n, v in zip(names, values)] + repetition)


def assert_same(
    expected: Mapping[str, pd.DataFrame], found: Mapping[str, pd.DataFrame]
) -> None:
    """Compare the expected relations by their keys; one AssertionError for all of them."""
    problems = []
    for relation, rows in expected.items():
        there = found[relation]
        if relation == "rfm_marts.segment_summary":
            there = there.drop(columns=list(FROM_UPSIDE))
        difference = differences(rows, plain(there), KEYS[relation])
        if difference:
            problems.append(f"{relation}: {difference}")
    assert not problems, "the database differs from the oracle\n" + "\n".join(problems)
