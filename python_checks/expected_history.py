"""What history, movement, triggers and audiences must hold, derived again with plain Python.

Everything here starts from rows of which customer was in which state at which date, and never looks
at the SQL that it checks. Rows are dicts; dates are `datetime.date`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

Row = dict[str, Any]
SILENCE = {"lapsing": 1, "lapsed": 2}


def is_valid(rule: Mapping[str, Any], day: dt.date) -> bool:
    """Whether a policy row holds on a day; blank ends are open."""
    start, end = rule.get("valid_from"), rule.get("valid_to")
    return (not start or dt.date.fromisoformat(start) <= day) and (
        not end or day <= dt.date.fromisoformat(end)
    )


def histories(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """customer_id → rows by date."""
    result: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["as_of_date"]):
        result[row["customer_id"]].append(row)
    return result


def add_movement(rows: Iterable[Row], min_stay_days: int = 0) -> list[Row]:
    """The rows with previous_*, segment_since_date, days_in_segment, published_segment_key.

    Needs as_of_date, customer_id, segment_key, lifecycle_stage, is_overridden, last_order_date. A
    move is published when an order or an override made it or when it lasted `min_stay_days`.
    """
    result = []
    for visits in histories(rows).values():
        before: Row | None = None
        for row in visits:
            row = dict(row)
            previous = before or {}
            stays = bool(before) and previous["segment_key"] == row["segment_key"]
            since = previous["segment_since_date"] if stays else row["as_of_date"]
            ordered = row["last_order_date"]
            row |= {
                "previous_as_of_date": previous.get("as_of_date"),
                "previous_segment_key": previous.get("segment_key"),
                "previous_lifecycle_stage": previous.get("lifecycle_stage"),
                "segment_since_date": since,
                "days_in_segment": (row["as_of_date"] - since).days,
            }
            confirmed = (
                not before
                or row["is_overridden"]
                or previous["is_overridden"]
                or (ordered is not None and ordered >= previous["as_of_date"])
                or row["days_in_segment"] >= min_stay_days
            )
            published = row["segment_key"] if confirmed else previous["published_segment_key"]
            row["published_segment_key"] = published
            result.append(row)
            before = row
    return result


def transitions(rows: Iterable[Row], value_rank: Mapping[str, int]) -> list[Row]:
    """Who is in another segment at a grid date than at the one before, and why (sales only)."""
    result = []
    for visits in histories(row for row in rows if row["is_grid"]).values():
        for before, now in zip(visits, visits[1:]):
            if before["segment_key"] == now["segment_key"]:
                continue
            is_up = value_rank[now["segment_key"]] < value_rank[before["segment_key"]]
            result.append(
                {
                    "as_of_date": now["as_of_date"],
                    "customer_id": now["customer_id"],
                    "from_segment_key": before["segment_key"],
                    "to_segment_key": now["segment_key"],
                    "direction": "up" if is_up else "down",
                    "lifecycle_direction": _lifecycle_direction(before, now),
                    "change_reason": _reason(before, now, is_up),
                    "value_at_stake": now["net_revenue"],
                    "previous_as_of_date": before["as_of_date"],
                }
            )
    return result


def _lifecycle_direction(before: Row, now: Row) -> str:
    change = SILENCE.get(now["lifecycle_stage"], 0) - SILENCE.get(before["lifecycle_stage"], 0)
    return "down" if change > 0 else "up" if change < 0 else "same"


def _reason(before: Row, now: Row, is_up: bool) -> str:
    def fell(name: str) -> bool:
        return (now[name] or 0) < (before[name] or 0)

    stage, stage_before = now["lifecycle_stage"], before["lifecycle_stage"]
    silent_longer = SILENCE.get(stage, 0) > SILENCE.get(stage_before, 0)
    aged = silent_longer or fell("recency_score") or fell("order_count")
    ordered = now["last_order_date"]
    bought = (ordered is not None and ordered >= before["as_of_date"]) or (
        now["order_count"] == before["order_count"] and now["net_revenue"] != before["net_revenue"]
    )
    if before["is_overridden"] or now["is_overridden"]:
        return "override"
    if silent_longer or (not is_up and aged):
        return "ageing"
    if not is_up and stage == stage_before and (fell("frequency_score") or fell("monetary_score")):
        return "others"
    if bought:
        return "purchase"
    return "ageing" if aged or stage != stage_before else "others"


def migration(rows: Iterable[Row]) -> list[Row]:
    """From × to per grid date but the first; '(new)' for those who were not known."""
    grid = [row for row in rows if row["is_grid"]]
    dates = sorted({row["as_of_date"] for row in grid})
    segment = {(row["as_of_date"], row["customer_id"]): row["segment_key"] for row in grid}
    before = dict(zip(dates[1:], dates, strict=False))
    counts: Counter[tuple[dt.date, str, str]] = Counter()
    revenue: dict[tuple[dt.date, str, str], Decimal] = defaultdict(Decimal)
    for row in grid:
        day = row["as_of_date"]
        if day in before:
            came_from = segment.get((before[day], row["customer_id"]), "(new)")
            way = (day, came_from, row["segment_key"])
            counts[way] += 1
            revenue[way] += row["net_revenue"]
    left: Counter[tuple[dt.date, str]] = Counter()
    arrived: Counter[tuple[dt.date, str]] = Counter()
    for (day, came_from, went_to), count in counts.items():
        left[day, came_from] += count
        arrived[day, went_to] += count
    return [
        {
            "as_of_date": day,
            "from_segment_key": came_from,
            "to_segment_key": went_to,
            "customer_count": count,
            "net_revenue": revenue[day, came_from, went_to],
            "share_of_from": count / left[day, came_from],
            "share_of_to": count / arrived[day, went_to],
            "is_staying": came_from == went_to,
        }
        for (day, came_from, went_to), count in counts.items()
    ]


def _holds(rule: Row, side: str, state: Row | None) -> bool:
    """Whether a state is what one side of a trigger rule asks for; a blank fits everybody."""
    asked = [rule[f"{side}_{kind}"] for kind in ("segment", "stage", "flag")]
    if state is None:
        return not any(asked)
    segment, stage, flag = asked
    return (
        (not segment or state["segment_code"] == segment)
        and (not stage or state["lifecycle_stage"] == stage)
        and (not flag or flag in state["flags"])
    )


def triggers(rows: Iterable[Row], rules: Sequence[Row], scheme: str) -> list[Row]:
    """Which rule fires for whom at which grid date, walking through each customer's dates.

    Rows need segment_code and flags (a set). The state before a date is that of the grid date
    before; at the first grid date nothing fires.
    """
    rules = [rule for rule in rules if rule["segment_scheme"] in ("", scheme)]
    grid = [row for row in rows if row["is_grid"]]
    first = min((row["as_of_date"] for row in grid), default=None)
    result = []
    for customer, visits in histories(grid).items():
        fired: dict[str, dt.date] = {}
        for number, now in enumerate(visits):
            day = now["as_of_date"]
            before = visits[number - 1] if number else None
            if day == first:
                continue
            for rule in rules:
                names_to = any(rule[f"to_{kind}"] for kind in ("segment", "stage", "flag"))
                names_from = any(rule[f"from_{kind}"] for kind in ("segment", "stage", "flag"))
                moved = _holds(rule, "from", before) and _holds(rule, "to", now)
                if names_to:
                    moved = moved and not (before and _holds(rule, "to", before))
                else:
                    moved = moved and not _holds(rule, "from", now)
                if not moved or not is_valid(rule, day):
                    continue
                since = day
                for visit in reversed(visits[:number]):
                    was_in = (
                        _holds(rule, "from", visit) if names_from else not _holds(rule, "to", visit)
                    )
                    if not was_in:
                        break
                    since = visit["as_of_date"]
                if (day - since).days < int(rule["minimum_days_before"] or 0):
                    continue
                code, wait = rule["trigger_code"], int(rule["reentry_wait_days"])
                if code in fired and (day - fired[code]).days < wait:
                    continue
                fired[code] = day
                result.append(
                    {
                        "as_of_date": day,
                        "customer_id": customer,
                        "trigger_code": code,
                        "segment_key": now["segment_key"],
                        "previous_segment_key": before["segment_key"] if before else None,
                        "priority": int(rule["priority"]),
                        "value_at_stake": now["net_revenue"],
                    }
                )
    places: dict[tuple[dt.date, str], list[tuple[int, str]]] = defaultdict(list)
    for row in result:
        key = (row["as_of_date"], row["customer_id"])
        places[key].append((row["priority"], row["trigger_code"]))
    for row in result:
        place = sorted(places[row["as_of_date"], row["customer_id"]])
        row["trigger_rank"] = 1 + place.index((row["priority"], row["trigger_code"]))
    return result


def sha256(text: str | None) -> str | None:
    return None if text is None else hashlib.sha256(text.encode()).hexdigest()


def audience_rows(
    day: dt.date,
    customers: Sequence[Row],
    definitions: Sequence[Row],
    scheme: str,
    suppressed: set[str],
    fired: Sequence[Row],
    top_categories: Mapping[str, Mapping[str, float]],
    contacts: Mapping[str, Sequence[dt.date]],
    effects: Mapping[str, Sequence[tuple[dt.date, str]]],
    people: Mapping[str, Row],
    has_email: bool,
    has_phone: bool,
    held_out: frozenset[str] = frozenset(),
) -> list[Row]:
    """Every customer who fits an audience, with the first reason against contacting, or None.

    `customers`: customer_id, segment (published code), actual (code), lifecycle_stage, flags,
    last_order_date. `suppressed`: codes of suppressed segments. `top_categories`: customer →
    {category in small letters: affinity index}. `contacts`, `effects`: all of them. `people`: email,
    phone (usable ones), is_internal and the consents. `held_out`: customers whom an experiment keeps
    from contact.
    """
    result = []
    for rule in definitions:
        if rule["segment_scheme"] not in ("", scheme) or not is_valid(rule, day):
            continue
        for customer in customers:
            name = customer["customer_id"]
            index = top_categories.get(name, {}).get(rule["category"].lower())
            at_least = rule["affinity_index_min"]
            trigger_date = None
            if rule["trigger_code"]:
                dates = [
                    row["as_of_date"]
                    for row in fired
                    if row["customer_id"] == name and row["trigger_code"] == rule["trigger_code"]
                ]
                if not dates or (day - max(dates)).days >= int(rule["trigger_days"]):
                    continue
                trigger_date = max(dates)
            if (
                (rule["segment_code"] and rule["segment_code"] != customer["segment"])
                or (
                    rule["lifecycle_stage"]
                    and rule["lifecycle_stage"] != customer["lifecycle_stage"]
                )
                or (rule["flag"] and rule["flag"] not in customer["flags"])
                or (rule["category"] and index is None)
                or (at_least and index < float(at_least))
            ):
                continue
            person = people.get(name, {})
            channel = rule["channel"]
            consent = person.get(f"{channel}_consent")
            window = int(rule["contact_window_days"] or 0)
            recent = [d for d in contacts.get(name, ()) if (day - d).days <= window]
            email, phone = person.get("email"), person.get("phone")
            lacks = {
                "email": has_email and not email,
                "sms": has_phone and not phone,
                "phone": has_phone and not phone,
                "ads": (has_email or has_phone)
                and not (has_email and email or has_phone and phone),
            }
            ordered = customer["last_order_date"]
            needs_consent = rule["needs_consent"].lower() in ("true", "yes", "1")
            reasons = {
                "internal_customer": person.get("is_internal", False),
                "suppressed_segment": bool({customer["segment"], customer["actual"]} & suppressed),
                "opted_out": consent is False,
                "bounced_or_unsubscribed": _is_stopped(effects.get(name, ()), channel),
                "no_consent": needs_consent and consent is None,
                "no_address": lacks.get(channel, False),
                "bought_since_trigger": trigger_date is not None
                and ordered is not None
                and ordered >= trigger_date,
                "contacted_too_recently": bool(rule["max_contacts"])
                and len(recent) >= int(rule["max_contacts"]),
                "holdout": name in held_out,
            }
            result.append(
                {
                    "audience_code": rule["audience_code"],
                    "customer_id": name,
                    "channel": channel,
                    "suppression_reason": next((r for r, holds in reasons.items() if holds), None),
                    "_priority": int(rule["priority"]),
                }
            )
    taken: set[tuple[str, str]] = set()
    for row in sorted(result, key=lambda row: (row["_priority"], row["audience_code"])):
        place = (row["customer_id"], row["channel"])
        if row["suppression_reason"] is None:
            if place in taken:
                row["suppression_reason"] = "in_another_audience"
            taken.add(place)
        del row["_priority"]
    return result


def _is_stopped(effects: Sequence[tuple[dt.date, str]], channel: str) -> bool:
    stops = [day for day, effect in effects if effect in ("stop_all", f"stop_{channel}")]
    allows = [day for day, effect in effects if effect == f"allow_{channel}"]
    return bool(stops) and (not allows or max(allows) <= max(stops))
