"""Bad input gets a message that names the place, what was found and what is accepted; no mart
changes. And input that is only unusual builds.

Before every bad run the marts are emptied by hand: were one of them built, it would show.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from python_checks import hard_cases
from python_checks.dbt_project import (
    SOURCES_TO_MARTS,
    TARGETS,
    Project,
    Run,
    builds,
    default_vars,
    object_frame,
    on,
)
from python_checks.expected_marts import (
    MARTS,
    RELATIONS,
    Source,
    assert_same,
    differences,
    expected_marts,
    plain,
)
from python_checks.hard_cases import CUSTOMER_TYPES, LATEST_PLAUSIBLE_DATE

LATEST = {"latest_plausible_date": LATEST_PLAUSIBLE_DATE.isoformat()}
SALES = hard_cases.ties_everywhere()
ALL_MARTS = (*MARTS, "rfm_marts.build_warnings")
WITHOUT_UNIT_TESTS = ("--exclude-resource-type", "unit_test")


def empty_the_marts(project: Project) -> None:
    for mart in ALL_MARTS:
        project.execute(f"delete from {mart}")


def rows_in_marts(project: Project) -> dict[str, int]:
    counts = {mart: len(project.read(mart)) for mart in ALL_MARTS}
    return {mart: count for mart, count in counts.items() if count}


def messages(run: Run) -> list[str]:
    """The lines of a run's log without what surrounds them."""
    return [line.strip() for line in run.log.splitlines()]


# ---------------------------------------------------------------------------------------------
# Policy files
# ---------------------------------------------------------------------------------------------


class Csv:
    """A policy file, to be changed cell by cell."""

    def __init__(self, file: Path):
        self.file = file
        self.header, *self.rows = csv.reader(io.StringIO(file.read_text(encoding="utf-8")))

    def row(self, *key: str) -> int:
        """The number, as a spreadsheet counts, of the row that starts with these cells."""
        (place,) = (at for at, row in enumerate(self.rows) if row[: len(key)] == list(key))
        return place + 2

    def set(self, number: int, **cells: str) -> None:
        for column, value in cells.items():
            self.rows[number - 2][self.header.index(column)] = value

    def remove(self, number: int) -> None:
        del self.rows[number - 2]

    def write(self, delimiter: str = ",") -> None:
        with self.file.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter=delimiter).writerows([self.header, *self.rows])


@dataclass(frozen=True)
class BadFile:
    """An edit of a policy file and the line that the user gets for it."""

    file: str
    edit: Callable[[Csv], None]
    line: str


def _cells(*key: str, **cells: str) -> Callable[[Csv], None]:
    """Set cells of the row that starts with the key."""
    return lambda table: table.set(table.row(*key), **cells)


def _without(*key: str) -> Callable[[Csv], None]:
    return lambda table: table.remove(table.row(*key))


def _without_rows(table: Csv) -> None:
    table.rows.clear()


def _rename(column: str, name: str) -> Callable[[Csv], None]:
    def edit(table: Csv) -> None:
        table.header[table.header.index(column)] = name

    return edit


def _add(*rows: str) -> Callable[[Csv], None]:
    return lambda table: table.rows.extend(row.split(",") for row in rows)


OVERRIDES, TRIGGERS, LISTS = "segment_overrides", "trigger_rules", "audience_definitions"
RULES, SEGMENTS, STRATEGIES = "segment_rules", "segments", "strategy_policy"
SCHEMES, CUTS = "segment_schemes", "fixed_cut_points"
STAGES, HABITS, TYPES = "lifecycle_thresholds", "behaviour_thresholds", "engagement_event_types"
BAD_FILES = {
    "rule_min_above_max": BadFile(
        RULES,
        _cells("core_five", "20", recency_min="5", recency_max="2"),
        "segment_rules.csv, row 3, column recency_min: found 5 above recency_max 2; "
        "accepted: recency_min not above recency_max",
    ),
    "rule_beyond_the_tiles": BadFile(
        RULES,
        _cells("core_five", "10", frequency_min="6"),
        "segment_rules.csv, row 2, column frequency_min: found 6; "
        "accepted: 1 to 5 (the scheme is written for that many tiles)",
    ),
    "rule_out_of_range": BadFile(
        RULES,
        _cells("core_five", "10", monetary_max="50"),
        "segment_rules.csv, row 2, column monetary_max: found '50'; "
        "accepted: a whole number from 1 to 10",
    ),
    "rule_with_a_decimal": BadFile(
        RULES,
        _cells("core_five", "10", monetary_min="4.5"),
        "segment_rules.csv, row 2, column monetary_min: found '4.5'; "
        "accepted: a whole number from 1 to 10",
    ),
    "two_rules_at_one_place": BadFile(
        RULES,
        _cells("core_five", "30", match_order="20"),
        "segment_rules.csv, row 4, column match_order: found '20' a second time in the scheme "
        "core_five; accepted: each only once in a scheme",
    ),
    "scheme_with_a_hole": BadFile(
        RULES,
        _cells("core_five", "50", recency_min="2"),
        "segment_rules.csv: found 10 scores of the scheme core_five that no rule takes "
        "(recency-frequency-monetary 1-1-1 to 1-2-5); accepted: a rule for every score; "
        "a last rule with blank bounds takes all that is left",
    ),
    "mistyped_segment_in_a_rule": BadFile(
        RULES,
        _cells("core_five", "10", segment_code="chanpions"),
        "segment_rules.csv, row 2, column segment_code: found 'chanpions'; accepted: one of "
        "at_risk, champions, loyal_customers, others, potential_loyalists (segments.csv)",
    ),
    "segment_name_instead_of_code": BadFile(
        RULES,
        _cells("core_five", "10", segment_code="Loyal Customers"),
        "segment_rules.csv, row 2, column segment_code: found 'Loyal Customers'; accepted: "
        "a code of small letters, digits and underscores that starts with a letter",
    ),
    "rules_without_rows": BadFile(
        RULES,
        _without_rows,
        "segment_rules.csv: found no rows below the header; accepted: at least one row",
    ),
    "segments_without_rows": BadFile(
        SEGMENTS,
        _without_rows,
        "segments.csv: found no rows below the header; accepted: at least one row",
    ),
    "strategies_without_rows": BadFile(
        STRATEGIES,
        _without_rows,
        "strategy_policy.csv: found no rows below the header; accepted: at least one row",
    ),
    "segment_without_a_rule": BadFile(
        RULES,
        _cells("core_five", "40", segment_code="others"),
        "segments.csv, row 5, column segment_code: found 'at_risk' that no rule of the scheme "
        "leads to; accepted: a segment with at least one row in segment_rules.csv",
    ),
    "scheme_without_prospects": BadFile(
        SEGMENTS,
        _without("classic_eleven", "prospects"),
        "segments.csv, column segment_code: found no prospects in the scheme classic_eleven; "
        "accepted: a row prospects in every scheme, for customers who never ordered",
    ),
    "two_segments_at_one_priority": BadFile(
        SEGMENTS,
        _cells("core_five", "others", action_priority="1"),
        "segments.csv, row 6, column action_priority: found '1' a second time in the scheme "
        "core_five; accepted: each only once in a scheme",
    ),
    "segment_without_a_strategy": BadFile(
        STRATEGIES,
        _without("core_five", "at_risk"),
        "strategy_policy.csv, column segment_code: found no row for the segment "
        "core_five:at_risk; accepted: one row for every segment of segments.csv",
    ),
    "strategy_for_a_mistyped_segment": BadFile(
        STRATEGIES,
        _cells("core_five", "at_risk", segment_code="atrisk"),
        "strategy_policy.csv, row 5, column segment_code: found 'core_five:atrisk'; "
        "accepted: a segment of segments.csv",
    ),
    "two_strategies_for_a_segment": BadFile(
        STRATEGIES,
        _cells("core_five", "at_risk", segment_code="champions"),
        "strategy_policy.csv, row 5, column segment_code: found 'champions' a second time in "
        "the scheme core_five; accepted: each only once there",
    ),
    "depth_above_the_margin": BadFile(
        STRATEGIES,
        _cells("core_five", "champions", incentive_depth_pct="31"),
        "strategy_policy.csv, row 2, column incentive_depth_pct: found 31; accepted: at most "
        "30.0 (the var margin_rate): above it every order loses money",
    ),
    "deeper_for_less_value": BadFile(
        STRATEGIES,
        _cells("core_five", "at_risk", incentive_depth_pct="12.5"),
        "strategy_policy.csv, row 5, column incentive_depth_pct: found 12.5; accepted: at most "
        "10, the depth of a more valuable segment (value_rank in segments.csv)",
    ),
    "decimal_comma": BadFile(
        STRATEGIES,
        _cells("core_five", "at_risk", incentive_depth_pct="7,5"),
        "strategy_policy.csv, row 5, column incentive_depth_pct: found '7,5'; "
        "accepted: a number with a decimal point from 0 to 100",
    ),
    "per_cent_sign": BadFile(
        STRATEGIES,
        _cells("core_five", "at_risk", expected_save_rate="5%"),
        "strategy_policy.csv, row 5, column expected_save_rate: found '5%'; "
        "accepted: a number with a decimal point from 0 to 1",
    ),
    "unknown_incentive": BadFile(
        STRATEGIES,
        _cells("core_five", "at_risk", incentive_type="cash"),
        "strategy_policy.csv, row 5, column incentive_type: found 'cash'; accepted: one of none, "
        "gift, early_access, loyalty_points, free_shipping, percent_discount, voucher, content",
    ),
    "neither_true_nor_false": BadFile(
        STRATEGIES,
        _cells("core_five", "at_risk", is_suppressed="maybe"),
        "strategy_policy.csv, row 5, column is_suppressed: found 'maybe'; "
        "accepted: true or false",
    ),
    "blank_rationale": BadFile(
        STRATEGIES,
        _cells("core_five", "at_risk", rationale="  "),
        "strategy_policy.csv, row 5, column rationale: found a blank cell; accepted: a value",
    ),
    "mistyped_header": BadFile(
        RULES,
        _rename("recency_min", "recency_mim"),
        "segment_rules.csv, row 1, column the header: found no column recency_min; accepted: "
        "the header segment_scheme,match_order,segment_code,recency_min,recency_max,"
        "frequency_min,frequency_max,monetary_min,monetary_max,lifecycle_stage,rationale",
    ),
    "unknown_column": BadFile(
        SCHEMES,
        _rename("rationale", "Rationale"),
        "segment_schemes.csv, row 1, column the header: found a column Rationale that is not "
        "known; accepted: the header segment_scheme,score_tiles,rationale",
    ),
    "cut_points_for_some_scores": BadFile(
        CUTS,
        _add("recency,2,90,why", "recency,3,30,why"),
        "fixed_cut_points.csv, column score: found 2 scores for recency; accepted: "
        "one row for each score from 2 to 5 (the var score_tiles)",
    ),
    "cut_points_that_do_not_rise": BadFile(
        CUTS,
        _add(*(f"monetary,{s},{e},why" for s, e in ((2, 10), (3, 20), (4, 20), (5, 40)))),
        "fixed_cut_points.csv, row 4, column edge_value: found 20; "
        "accepted: more than for the score below",
    ),
    "recency_cut_points_that_rise": BadFile(
        CUTS,
        _add(*(f"recency,{s},{e},why" for s, e in ((2, 10), (3, 20), (4, 30), (5, 40)))),
        "fixed_cut_points.csv, row 3, column edge_value: found 20; "
        "accepted: fewer days than for the score below",
    ),
    "lapsing_before_active": BadFile(
        STAGES,
        _cells("lapsing_until", multiple="1.5"),
        "lifecycle_thresholds.csv, row 3, column multiple: found 1.5 for lapsing_until; "
        "accepted: more than 2, the multiple of active_until",
    ),
    "threshold_missing": BadFile(
        HABITS,
        _without("seasonal_share"),
        "behaviour_thresholds.csv, column threshold_code: found no row seasonal_share; "
        "accepted: one row for each threshold",
    ),
    "share_as_percentage": BadFile(
        HABITS,
        _cells("single_category_share", threshold_value="90"),
        "behaviour_thresholds.csv, row 14, column threshold_value: found 90 for "
        "single_category_share; accepted: a share from 0 to 1, such as 0.3",
    ),
    "negative_weight": BadFile(
        TYPES,
        _cells("email_click", weight="-1"),
        "engagement_event_types.csv, row 3, column weight: found '-1'; "
        "accepted: a number with a decimal point from 0 to 1000",
    ),
    "event_type_twice": BadFile(
        TYPES,
        _add("Email_Click,email,1,,why"),
        "engagement_event_types.csv, row 27, column event_type: found 'email_click' a second time "
        "in the file; accepted: each only once there",
    ),
    "mistyped_stage": BadFile(
        RULES,
        _cells("lifecycle", "60", lifecycle_stage="lapsin"),
        "segment_rules.csv, row 41, column lifecycle_stage: found 'lapsin'; "
        "accepted: one of new, active, lapsing, lapsed, reactivated",
    ),
    "stage_without_rule": BadFile(
        RULES,
        _without("lifecycle", "55"),
        "segment_rules.csv: found 105 scores of the scheme lifecycle in the stage reactivated that "
        "no rule takes (recency-frequency-monetary 1-1-1 to 5-5-3); accepted: a rule for every "
        "score; a last rule with blank bounds takes all that is left",
    ),
    "stage_in_core_five": BadFile(
        RULES,
        _cells("core_five", "10", lifecycle_stage="active"),
        "segment_rules.csv, row 2, column lifecycle_stage: found active; accepted: a blank cell: "
        "the mart customer_rfm is defined by the scores of core_five alone",
    ),
    "trigger_to_an_unknown_segment": BadFile(
        TRIGGERS,
        _cells("lifecycle", "high_value_slips", to_segment="high_value"),
        "trigger_rules.csv, row 2, column to_segment: found 'high_value'; "
        "accepted: a segment of the scheme lifecycle in segments.csv",
    ),
    "trigger_with_a_segment_of_no_scheme": BadFile(
        TRIGGERS,
        _cells("lifecycle", "high_value_slips", segment_scheme=""),
        "trigger_rules.csv, row 2, column segment_scheme: found a blank cell; "
        "accepted: the scheme of the segment high_value_at_risk",
    ),
    "trigger_with_an_unknown_stage": BadFile(
        TRIGGERS,
        _cells("", "came_back", to_stage="returned"),
        "trigger_rules.csv, row 6, column to_stage: found 'returned'; "
        "accepted: one of prospect, new, active, lapsing, lapsed, reactivated",
    ),
    "trigger_with_an_unknown_flag": BadFile(
        TRIGGERS,
        _cells("", "orders_come_slower", to_flag="is_slow"),
        "trigger_rules.csv, row 8, column to_flag: found 'is_slow'; accepted: one of "
        "has_high_return_rate_by_value, has_high_return_rate_by_orders, is_single_channel, "
        "is_discount_dependent, is_one_time_buyer, has_one_big_order, is_frequency_declining, "
        "is_single_category, is_seasonal_buyer, is_engaged_not_buying, is_buying_not_engaged",
    ),
    "trigger_with_a_negative_wait": BadFile(
        TRIGGERS,
        _cells("", "came_back", reentry_wait_days="-1"),
        "trigger_rules.csv, row 6, column reentry_wait_days: found '-1'; "
        "accepted: a whole number from 0 to 10000",
    ),
    "trigger_without_a_condition": BadFile(
        TRIGGERS,
        _cells("", "came_back", to_stage=""),
        "trigger_rules.csv, row 6, column to_segment: found no condition; "
        "accepted: a segment, stage or flag, before or now",
    ),
    "trigger_from_and_to_the_same": BadFile(
        TRIGGERS,
        _cells("", "came_back", from_stage="reactivated"),
        "trigger_rules.csv, row 6, column to_stage: found 'reactivated' on both sides; "
        "accepted: another stage than from_stage, or a blank",
    ),
    "triggers_that_overlap": BadFile(
        TRIGGERS,
        _add(",came_back,,,lapsed,reactivated,,,,180,50,2024-01-01,,why"),
        "trigger_rules.csv, row 10, column trigger_code: found 'came_back' on days that row 6 has "
        "too; accepted: periods (valid_from to valid_to) that do not overlap",
    ),
    "trigger_that_ends_before_it_begins": BadFile(
        TRIGGERS,
        _cells("", "came_back", valid_from="2024-02-01", valid_to="2024-01-31"),
        "trigger_rules.csv, row 6, column valid_to: found 2024-01-31; "
        "accepted: a day from 2024-02-01 (valid_from) on",
    ),
    "day_that_does_not_exist": BadFile(
        TRIGGERS,
        _cells("", "came_back", valid_from="2024-02-30"),
        "trigger_rules.csv, row 6, column valid_from: found '2024-02-30'; "
        "accepted: a day, written as 2026-01-31",
    ),
    "audience_of_an_unknown_segment": BadFile(
        LISTS,
        _cells("lifecycle", "loyal_rhythm", segment_code="loyal"),
        "audience_definitions.csv, row 5, column segment_code: found 'loyal'; "
        "accepted: a segment of the scheme lifecycle in segments.csv",
    ),
    "cost_below_nothing": BadFile(
        "channel_costs",
        _cells("email", cost_per_contact="-0.01"),
        "channel_costs.csv, row 2, column cost_per_contact: found '-0.01'; "
        "accepted: a number with a decimal point from 0 to 1000000",
    ),
    "share_above_one": BadFile(
        "channel_costs",
        _cells("sms", redemption_rate="15"),
        "channel_costs.csv, row 3, column redemption_rate: found '15'; "
        "accepted: a number with a decimal point from 0 to 1",
    ),
    "cost_of_an_unknown_channel": BadFile(
        "channel_costs",
        _cells("email", channel="mail"),
        "channel_costs.csv, row 2, column channel: found 'mail'; "
        "accepted: one of email, sms, direct_mail, push, phone, ads, onsite",
    ),
    "channel_without_a_cost": BadFile(
        "channel_costs",
        _without("phone"),
        "channel_costs.csv, column channel: found no row for the channel phone "
        "(strategy_policy.csv, row 2); accepted: a row for every channel that is used; "
        "leave cost_per_contact blank if it is not known",
    ),
    "two_costs_of_a_channel": BadFile(
        "channel_costs",
        lambda table: table.rows.append(table.rows[0]),
        "channel_costs.csv, row 9, column channel: found 'email' a second time; "
        "accepted: each only once",
    ),
    "allocation_to_an_unknown_segment": BadFile(
        "current_budget_allocation",
        lambda table: table.rows.append(["lifecycle", "vip", "100", "x"]),
        "current_budget_allocation.csv, row 2, column segment_code: found 'lifecycle:vip'; "
        "accepted: a segment of segments.csv",
    ),
    "two_allocations_to_a_segment": BadFile(
        "current_budget_allocation",
        lambda table: table.rows.extend([["lifecycle", "lost", "100", "x"]] * 2),
        "current_budget_allocation.csv, row 3, column segment_code: found 'lifecycle:lost' "
        "a second time; accepted: each only once",
    ),
    "what_if_nothing_were_different": BadFile(
        "what_if_policy",
        lambda table: table.rows.append(["lifecycle", "lost", "", "", "", "x"]),
        "what_if_policy.csv, row 2, column expected_save_rate: found a blank cell, as in "
        "incentive_depth_pct and primary_channel; accepted: at least one of the three, else nothing "
        "would differ",
    ),
    "what_if_every_order_lost_money": BadFile(
        "what_if_policy",
        lambda table: table.rows.append(["lifecycle", "lost", "", "40", "", "x"]),
        "what_if_policy.csv, row 2, column incentive_depth_pct: found 40; accepted: at most 30.0 "
        "(the var margin_rate): above it every order loses money",
    ),
    "audience_on_an_unknown_channel": BadFile(
        LISTS,
        _cells("lifecycle", "loyal_rhythm", channel="mail"),
        "audience_definitions.csv, row 5, column channel: found 'mail'; "
        "accepted: one of email, sms, push, phone, direct_mail, onsite, ads",
    ),
    "audience_of_an_unknown_trigger": BadFile(
        LISTS,
        _cells("", "welcome_second_order", trigger_code="high_value_slips"),
        "audience_definitions.csv, row 4, column trigger_code: found 'high_value_slips'; "
        "accepted: a trigger of trigger_rules.csv, of the same scheme or of none",
    ),
    "audience_with_half_a_trigger": BadFile(
        LISTS,
        _cells("", "welcome_second_order", trigger_days=""),
        "audience_definitions.csv, row 4, column trigger_days: found a blank cell; "
        "accepted: a value, since trigger_code has one",
    ),
    "audience_with_a_limit_and_no_window": BadFile(
        LISTS,
        _cells("lifecycle", "loyal_rhythm", contact_window_days=""),
        "audience_definitions.csv, row 5, column contact_window_days: found a blank cell; "
        "accepted: a value, since max_contacts has one",
    ),
    "audience_with_an_index_of_no_category": BadFile(
        LISTS,
        _cells("lifecycle", "loyal_rhythm", affinity_index_min="2"),
        "audience_definitions.csv, row 5, column category: found a blank cell; "
        "accepted: a category, since affinity_index_min has a value",
    ),
    "consent_that_nobody_can_give": BadFile(
        LISTS,
        _cells("lifecycle", "save_high_value", needs_consent="true"),
        "audience_definitions.csv, row 2, column needs_consent: found true for the channel phone; "
        "accepted: false (only email, sms and ads have a consent of their own)",
    ),
    "audiences_that_overlap": BadFile(
        LISTS,
        _add("lifecycle,welcome_second_order,Twice,,,,,,,,push,false,1,,,30,,2024-01-01,why"),
        "audience_definitions.csv, row 14, column audience_code: found 'welcome_second_order' on "
        "days that row 4 has too; accepted: periods (valid_from to valid_to) that do not overlap",
    ),
    "override_into_an_unknown_segment": BadFile(
        OVERRIDES,
        _add("c1,lifecycle,vip,why,Ann,,"),
        "segment_overrides.csv, row 2, column segment_code: found 'vip'; "
        "accepted: a segment of the scheme lifecycle in segments.csv",
    ),
    "override_without_a_reason": BadFile(
        OVERRIDES,
        _add("c1,lifecycle,lost,,Ann,,"),
        "segment_overrides.csv, row 2, column reason: found a blank cell; accepted: a value",
    ),
    "overrides_that_overlap": BadFile(
        OVERRIDES,
        _add(
            "c1,lifecycle,lost,why,Ann,,2024-01-31",
            "c1,lifecycle,champions,why,Ann,2024-01-31,",
        ),
        "segment_overrides.csv, row 3, column customer_id: found 'c1' on days that row 2 has too; "
        "accepted: periods (valid_from to valid_to) that do not overlap",
    ),
    "event_with_an_unknown_effect": BadFile(
        TYPES,
        _cells("sms_stop", channel_effect="stop"),
        "engagement_event_types.csv, row 9, column channel_effect: found 'stop'; accepted: one of "
        "stop_email, allow_email, stop_sms, allow_sms, stop_push, allow_push, stop_phone, "
        "allow_phone, stop_direct_mail, allow_direct_mail, stop_ads, allow_ads, stop_all",
    ),
    "unknown_slot": BadFile(
        STRATEGIES,
        _cells("lifecycle", "lost", core_message="Hello {name}"),
        "strategy_policy.csv, row 29, column core_message: found 'Hello {name}'; "
        "accepted: only the slots {first_name}, {incentive}, "
        "{top_category}, {days_since_last_order}, {order_count}, {brand}",
    ),
}
SEMICOLONS = {
    f"semicolons_in_{name}": BadFile(
        name,
        lambda table: None,
        f"{name}.csv, row 1, column the header: found {{header}}; accepted: the header {{names}}. "
        "The file is separated by semicolons or tabs: save it as CSV with commas "
        "(and numbers with a point)",
    )
    for name in (RULES, SEGMENTS, STRATEGIES, SCHEMES)
}
ON_POSTGRES = (
    "scheme_with_a_hole",
    "mistyped_segment_in_a_rule",
    "rules_without_rows",
    "decimal_comma",
    "mistyped_header",
    f"semicolons_in_{STRATEGIES}",
)


def build_with_bad_file(project: Project, name: str) -> tuple[str, list[Run], dict[str, int]]:
    """(the line to expect, [dbt seed, a partial run, the gate], marts with rows afterwards)."""
    bad = (BAD_FILES | SEMICOLONS)[name]
    table = Csv(project.seeds / f"{bad.file}.csv")
    names = ",".join(table.header)
    # PostgreSQL cuts the one long column name that it reads.
    single = names.replace(",", ";")[: 63 if project.target == "postgres" else None]
    line = bad.line.replace("{header}", single).replace("{names}", names)
    bad.edit(table)
    table.write(";" if name in SEMICOLONS else ",")
    empty_the_marts(project)
    runs = [
        project.dbt("seed", "--select", bad.file),
        project.dbt("run", "--select", "customer_segments"),
    ]
    if project.target == "postgres":
        runs.append(project.dbt("run", "--select", "+policy_gate"))
    return line, runs, rows_in_marts(project)


@builds(
    *(on("duckdb", build_with_bad_file, name) for name in (*BAD_FILES, *SEMICOLONS)),
    *(on("postgres", build_with_bad_file, name) for name in ON_POSTGRES),
)
def test_a_bad_cell_is_named_and_stops_even_a_partial_run(built):
    line, (seed, partial, *gate), changed = built
    assert seed.success, seed.problems
    assert not partial.success
    if gate:
        # PostgreSQL drops the views on a table that is loaded anew, so the gate is gone with it.
        assert "Build it first: dbt build -s +policy_gate --indirect-selection cautious" in partial.log
        assert not gate[0].success
    named = messages([partial, *gate][-1])
    assert line in named, "\n".join(named[-12:])
    assert changed == {}


def build_everything_with_bad_files(project: Project) -> tuple[Run, dict[str, int]]:
    """Two bad cells in two files, then a whole build."""
    project.land("fact_sales", SALES.sales, SALES.column_types)
    for file, key, cells in (
        (STRATEGIES, ("core_five", "at_risk"), {"is_high_touch": "perhaps"}),
        (RULES, ("core_five", "10"), {"recency_min": "high"}),
    ):
        table = Csv(project.seeds / f"{file}.csv")
        table.set(table.row(*key), **cells)
        table.write()
    empty_the_marts(project)
    run = project.dbt("build", *WITHOUT_UNIT_TESTS, vars=LATEST)
    return run, rows_in_marts(project)


@builds(*(on(target, build_everything_with_bad_files) for target in TARGETS))
def test_a_whole_build_names_all_bad_cells_and_changes_no_mart(built):
    run, changed = built
    assert not run.success
    text = messages(run)
    assert "segment_rules.csv, row 2, column recency_min: found 'high'; accepted: " \
        "a whole number from 1 to 10" in text
    assert "strategy_policy.csv, row 5, column is_high_touch: found 'perhaps'; accepted: " \
        "true or false" in text
    assert changed == {}


# Files that dbt itself cannot read: it names the file, and a line of its own counting.
UNREADABLE = {
    "decimal_commas_between_semicolons": (
        lambda text: text.replace(",10,email", ",12§5,email").replace(",", ";").replace("§", ","),
        "Row 2 has 2 values, but Table only has 1 columns.",
    ),
    "comma_in_a_text_without_quotes": (
        lambda text: text.replace("No campaign. A", "No campaign, a"),
        "Row 4 has 18 values, but Table only has 17 columns.",
    ),
    "another_encoding": (
        lambda text: text.replace("No campaign", "Kein Geschäft").encode("cp1252"),
        "'utf-8' codec can't decode byte",
    ),
    "no_header": (lambda text: "", "value was undefined"),
}


def build_with_unreadable_file(project: Project, name: str) -> tuple[Run, dict[str, int]]:
    edit, _ = UNREADABLE[name]
    file = project.seeds / "strategy_policy.csv"
    text = edit(file.read_text(encoding="utf-8"))
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    empty_the_marts(project)
    types = ("--resource-type", "seed", "--resource-type", "model")
    run = project.dbt("build", "--select", "+customer_segments", "segment_strategies", *types)
    return run, rows_in_marts(project)


@builds(*(on("duckdb", build_with_unreadable_file, name) for name in UNREADABLE))
def test_a_file_that_is_no_csv_is_named_and_changes_no_mart(build, built):
    (name,), (run, changed) = build.arguments, built
    assert not run.success
    assert "Failure in seed strategy_policy (seeds/strategy_policy.csv)" in messages(run)
    assert UNREADABLE[name][1] in run.log
    assert changed == {}


def test_the_command_line_shows_the_message_and_fails(tmp_path):
    project = Project(tmp_path / "command_line", "duckdb")
    project.ship_seeds()
    table = Csv(project.seeds / "segments.csv")
    table.set(table.row("core_five", "others"), value_rank="last")
    table.write()
    command = [str(Path(sys.executable).parent / "dbt"), "build", "--target", "duckdb"]
    result = subprocess.run(
        [*command, "--select", "+policy_gate", "--project-dir", project.folder],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1, result.stdout
    assert "segments.csv, row 6, column value_rank: found 'last'; accepted: a whole number" in (
        result.stdout
    )


# ---------------------------------------------------------------------------------------------
# What a spreadsheet or an editor does to a good file
# ---------------------------------------------------------------------------------------------


def build_with_other_spelling(project: Project) -> tuple[list[Run], list[dict[str, Any]]]:
    """The marts of the shipped files, and of the same ones as a spreadsheet would save them."""
    project.land("fact_sales", SALES.sales, SALES.column_types)
    runs, builds = [], []
    for respell in (False, True):
        if respell:
            for file in project.seeds.glob("*.csv"):
                table = Csv(file)
                table.rows = [[f" {cell} " if cell else " " for cell in row] for row in table.rows]
                table.write()
                text = file.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
                file.write_bytes(b"\xef\xbb\xbf" + text)
        runs += [project.dbt("seed"), project.dbt("run", vars=LATEST)]
        builds.append({mart: plain(project.read(mart)) for mart in MARTS})
    return runs, builds


@builds(on("duckdb", build_with_other_spelling))
def test_byte_order_mark_line_ends_and_blanks_around_cells_do_not_matter(built):
    runs, (shipped, respelt) = built
    assert [run.success for run in runs] == [True] * 4, runs[-1].problems
    assert {mart: differences(shipped[mart], respelt[mart]) for mart in MARTS} == dict.fromkeys(
        MARTS, ""
    )


# ---------------------------------------------------------------------------------------------
# Vars and sources
# ---------------------------------------------------------------------------------------------

# Several at once: every bad var is named, not only the first.
BAD_VARS: list[tuple[dict[str, Any], list[str]]] = [
    (
        {
            "score_tiles": 11,
            "tie_method": "average",
            "lookback_days": 0,
            "recency_weight": -1,
            "history_grain": "year",
            "history_periods": -1,
            "as_of_date": "2023-02-30",
            "latest_plausible_date": "tomorrow",
            "retention_budget": -1,
            "high_touch_capacity": 2.5,
            "retention_value_window": "decade",
            "margin_rate": 30,
            "min_group_customers": 0,
            "count_zero_value_orders": "sometimes",
            "using_products": "yes",
            "segment_scheme": "",
            "sales_columns": {"customer": "Cust No", "revenue": None},
            "customers_columns": ["customer_id"],
        },
        [
            "var score_tiles: found 11; accepted: a whole number from 3 to 10",
            "var retention_budget: found -1; accepted: a number from 0 to 999999999999 "
            "(or null for no limit)",
            "var high_touch_capacity: found 2.5; accepted: a whole number from 0 to 1000000000 "
            "(customers, or null for no limit)",
            "var retention_value_window: found decade; accepted: year, horizon",
            "var tie_method: found average; accepted: shared, split",
            "var lookback_days: found 0; accepted: a whole number from 1 to 100000 "
            "(or null for all history)",
            "var recency_weight: found -1; accepted: a number of at least 0",
            "var history_grain: found year; accepted: day, week, month, quarter",
            "var history_periods: found -1; accepted: a whole number from 0 to 1000",
            "var as_of_date: found 2023-02-30; accepted: a date such as 2024-01-31, or null",
            "var latest_plausible_date: found tomorrow; accepted: a date such as 2024-01-31, "
            "or null",
            "var margin_rate: found 30; accepted: a number from 0 to 1",
            "var min_group_customers: found 0; accepted: a whole number of at least 1",
            "var count_zero_value_orders: found sometimes; accepted: true, false",
            "var using_products: found yes; accepted: true, false",
            "var segment_scheme: found ; accepted: a name",
            "var sales_columns: found the column customer; accepted: customer_id, sale_date, "
            "revenue, sale_id, order_id, product_id, channel, quantity, is_return, "
            "discount_amount, loaded_at",
            "var sales_columns: found revenue: null; accepted: a column of yours, since revenue "
            "is required",
        ],
    ),
    (
        {
            "score_tiles": "five",
            "lookback_days": "90",
            "recency_weight": 0,
            "frequency_weight": 0,
            "monetary_weight": 0,
            "history_periods": "12",
            "as_of_date": 20230101,
            "min_segment_share": "1%",
        },
        [
            "var score_tiles: found five; accepted: a whole number from 3 to 10",
            "var lookback_days: found 90; accepted: a whole number from 1 to 100000 "
            "(or null for all history)",
            "vars recency_weight, frequency_weight, monetary_weight: found all 0; "
            "accepted: at least one above 0",
            "var history_periods: found 12; accepted: a whole number from 0 to 1000",
            "var as_of_date: found 20230101; accepted: a date such as 2024-01-31, or null",
            "var min_segment_share: found 1%; accepted: a number from 0 to 1",
        ],
    ),
    (
        {"score_tiles": 2.5, "sales_table": None, "lookback_days": 1.5},
        [
            "var score_tiles: found 2.5; accepted: a whole number from 3 to 10",
            "var sales_table: found None; accepted: a name",
            "var lookback_days: found 1.5; accepted: a whole number from 1 to 100000 "
            "(or null for all history)",
        ],
    ),
    (
        {"segment_scheme": "core_six"},
        [
            "var segment_scheme: found core_six; accepted: one of classic_eleven, core_five, "
            "discovered, lifecycle",
        ],
    ),
    (
        {"rfm_basis": "activity", "engagement_weight": 1, "gap_prior_strength": -1},
        [
            "var rfm_basis: found activity without engagement events; accepted: sales, or "
            "using_engagement_events: true",
            "var engagement_weight: found 1 without engagement events; accepted: 0, or "
            "using_engagement_events: true",
            "var gap_prior_strength: found -1; accepted: a number of at least 0",
        ],
    ),
    (
        {"score_tiles": 4},
        [
            "var score_tiles: found 4; "
            "accepted: 5 (the scheme lifecycle is written for that many)",
        ],
    ),
    (
        {"sales_columns": {"customer_id": "Cust No", "order_id": "Bon"}},
        [
            "var sales_columns: found customer_id: Cust No; accepted: a column of "
            "raw.fact_sales, which has customer_id, sale_date, revenue, order_id",
            "var sales_columns: found order_id: Bon; accepted: a column of "
            "raw.fact_sales, which has customer_id, sale_date, revenue, order_id",
        ],
    ),
    (
        {"sales_table": "sales", "using_customers": True},
        [
            "vars source_schema, sales_table: found no table raw.sales; "
            "accepted: the schema and name of the table that holds your sales",
            "vars source_schema, customers_table: found no table raw.dim_customers; "
            "accepted: the schema and name of the table that holds your customers",
        ],
    ),
    (
        {"score_group": "region"},
        [
            "var score_group: found region; accepted: null, or a column of the customers "
            "(not in use: var using_customers is false) or the sales table",
        ],
    ),
]


def run_with_vars(
    project: Project, number: int | str, *select: str
) -> tuple[Run, dict[str, int]]:
    """A run with the bad vars of that number, or with a var written 'name=value'."""
    if isinstance(number, int):
        vars = BAD_VARS[number][0]
    else:
        name, _, value = number.partition("=")
        vars = {name: float(value)}
    project.land("fact_sales", SALES.sales, SALES.column_types)
    empty_the_marts(project)
    run = project.dbt("run", *select, vars=vars, parse=True)
    return run, rows_in_marts(project)


@builds(*(on("duckdb", run_with_vars, number) for number in range(len(BAD_VARS))))
def test_bad_vars_are_all_named_and_nothing_is_built(build, built):
    (number,), (run, changed) = build.arguments, built
    assert not run.success
    missing = [line for line in BAD_VARS[number][1] if line not in messages(run)]
    assert missing == [], run.problems
    assert changed == {}


@builds(*(on("duckdb", run_with_vars, number, "-s", "customer_segments") for number in (3, 5)))
def test_a_scheme_that_does_not_fit_stops_even_a_partial_run(build, built):
    run, changed = built
    assert not run.success, "a partial run took a scheme that it cannot use"
    (line,) = BAD_VARS[build.arguments[0]][1]
    assert line in messages(run), run.problems
    assert changed == {}


@builds(on("duckdb", run_with_vars, "margin_rate=0.1", "-s", "segment_strategies"))
def test_a_partial_run_with_a_var_that_the_policy_was_not_checked_with_is_refused(built):
    run, changed = built
    assert not run.success
    assert "margin_rate 0.3" in run.log and "now they are margin_rate 0.1" in run.log
    assert changed == {}


def run_with_every_var(project: Project) -> Run:
    return project.dbt("run", "-s", "policy_gate", vars=default_vars() | {"margin_rat": 0.2})


@builds(on("duckdb", run_with_every_var))
def test_every_var_is_known_and_a_mistyped_one_is_told(built):
    told = [line for line in built.warnings if "no such var" in line]
    assert len(told) == 1 and "var margin_rat:" in told[0], told


def run_without_required_column(project: Project) -> Run:
    sales = SALES.sales.rename(columns={"revenue": "amount"})
    types = {name.replace("revenue", "amount"): t for name, t in SALES.column_types.items()}
    project.land("fact_sales", sales, types)
    return project.dbt("run")


@builds(*(on(target, run_without_required_column) for target in TARGETS))
def test_a_required_column_that_is_not_there_is_named(built):
    run = built
    assert not run.success
    line = (
        "var sales_columns: found no revenue; accepted: an entry revenue: <your column>, since "
        "raw.fact_sales has only customer_id, sale_date, amount, order_id"
    )
    assert line in messages(run), run.problems


def run_with_columns_in_two_cases(project: Project) -> Run:
    sales = SALES.sales.rename(columns={"revenue": "Revenue"})
    sales["REVENUE"] = sales["Revenue"] * 2
    types = {name.replace("revenue", "Revenue"): t for name, t in SALES.column_types.items()}
    project.land("fact_sales", sales, types | {"REVENUE": types["Revenue"]})
    return project.dbt("run")


@builds(on("postgres", run_with_columns_in_two_cases))
def test_columns_that_differ_by_case_only_are_not_guessed_between(built):
    run = built
    assert not run.success
    line = (
        "var sales_columns: found more than one revenue that differ by case; accepted: an entry "
        "revenue: <your column>, one of customer_id, sale_date, Revenue, order_id, REVENUE"
    )
    assert line in messages(run), run.problems


# ---------------------------------------------------------------------------------------------
# Unusual sources that build
# ---------------------------------------------------------------------------------------------


def columns_of_marts(project: Project) -> dict[str, list[str]]:
    """Relation → 'name type' of its columns."""
    rows = project.query(
        "select table_schema, table_name, column_name, data_type, ordinal_position"
        " from information_schema.columns where table_schema in ('rfm_marts', 'rfm_staging')"
        " order by table_schema, table_name, ordinal_position"
    )
    result: dict[str, list[str]] = {}
    for schema, table, column, data_type, _ in rows.itertuples(index=False):
        result.setdefault(f"{schema}.{table}", []).append(f"{column} {data_type}")
    return result


def build_without_usable_sales(
    project: Project, name: str
) -> tuple[Run, dict[str, pd.DataFrame], bool]:
    """A whole build, tests included; its marts; are their columns those of filled marts?"""
    project.land("fact_sales", SALES.sales, SALES.column_types)
    project.dbt(*SOURCES_TO_MARTS, vars=LATEST)
    filled = columns_of_marts(project)
    case = getattr(hard_cases, name)()
    project.land("fact_sales", case.sales, case.column_types)
    run = project.dbt("build", *WITHOUT_UNIT_TESTS, vars=LATEST)
    marts = {mart: project.read(mart) for mart in ALL_MARTS}
    return run, marts, columns_of_marts(project) == filled


@builds(*(on(target, build_without_usable_sales, "empty_sales") for target in TARGETS))
def test_empty_sales_build_empty_marts_of_the_right_shape_with_a_warning(built):
    run, marts, same_columns = built
    assert run.success, run.problems
    assert set(run.statuses.values()) <= {"success", "pass", "warn"}
    assert "The sales source is empty" in "\n".join(run.warnings)
    assert same_columns
    filled = {mart for mart, rows in marts.items() if len(rows)}
    assert filled == {
        "rfm_marts.build_warnings",
        "rfm_marts.segment_rule_coverage",
        "rfm_marts.segment_score_cells",
        "rfm_marts.segment_strategies",
        "rfm_marts.segment_summary",
    }
    summary = marts["rfm_marts.segment_summary"]
    assert summary["segment_code"].nunique() == len(summary) == 10
    assert summary["customer_count"].eq(0).all() and summary["net_revenue"].eq(0).all()
    assert summary["customer_share"].isna().all() and summary["as_of_date"].isna().all()
    assert marts["rfm_marts.build_warnings"]["warning_code"].tolist() == ["no_sales"]


@builds(on("duckdb", build_without_usable_sales, "all_rejected"))
def test_sales_of_which_none_can_be_used_build_with_warnings(built):
    run, marts, _ = built
    assert run.success, run.problems
    assert "No row of the sales source can be used" in "\n".join(run.warnings)
    assert sorted(marts["rfm_marts.build_warnings"]["warning_code"]) == [
        "no_sales",
        *["rejected_sales"] * 3,
    ]
    assert len(marts["rfm_marts.customer_segments"]) == 0


GAPS = {
    # A shop that sells every day but Sundays, and three days that were never loaded.
    "middle": ({(2, 7), (2, 8), (2, 9)}, {}, ["No sales from 2023-02-07 to 2023-02-09"]),
    "one_day": ({(2, 14)}, {}, ["No sales on 2023-02-14"]),
    "end": (set(), {"as_of_date": "2023-04-04"}, ["No sales from 2023-04-01 to 2023-04-03"]),
    "none": (set(), {}, []),
}


def build_with_gap(project: Project, name: str) -> tuple[Run, pd.DataFrame]:
    missing, vars, _ = GAPS[name]
    days = [dt.date(2023, 1, 2) + dt.timedelta(days=n) for n in range(89)]
    rows = [
        (f"c{day.day}", day, Decimal(day.day))
        for day in days
        if day.isoweekday() < 7 and (day.month, day.day) not in missing
    ]
    sales = object_frame(["customer_id", "sale_date", "revenue"], rows)
    types = {"customer_id": "varchar", "sale_date": "date", "revenue": "integer"}
    project.land("fact_sales", sales, types)
    run = project.dbt("run", "--select", "policy_gate", "base_sales+", vars=vars)
    return run, project.read("rfm_marts.build_warnings")


@builds(
    *(on("duckdb", build_with_gap, name) for name in GAPS), on("postgres", build_with_gap, "end")
)
def test_a_missed_load_is_a_warning_with_its_dates(build, built):
    (name,), (run, warnings) = build.arguments, built
    assert run.success, run.problems
    found = warnings.loc[warnings["warning_code"] == "missing_days", "message"].tolist()
    assert found == [f"{text}: was a load missed?" for text in GAPS[name][2]]
    assert [text for text in found if not any(text in line for line in run.warnings)] == []


# ---------------------------------------------------------------------------------------------
# Mapped columns, optional sources, shapes
# ---------------------------------------------------------------------------------------------

MAPPED = {
    "customer_id": "Cust No",
    "sale_date": "Datum",
    "revenue": "Umsatz €",
    "order_id": 'Bon "Nr"',
    "is_return": "Retoure?",
}


def build_mapped(project: Project) -> tuple[Run, dict[str, pd.DataFrame]]:
    """Sales under somebody's own names, in mixed case, in a schema and table of their own."""
    case = hard_cases.flagged_returns()
    sales = case.sales.rename(columns=MAPPED)
    sales["Sale_ID"] = [None, "again", "again", *[None] * (len(sales) - 3)]
    types = {MAPPED[name]: sql_type for name, sql_type in case.column_types.items()}
    project.land("Sales Lines", sales, {**types, "Sale_ID": "varchar"}, schema="ERP")
    vars = {
        **LATEST,
        "source_schema": "ERP",
        "sales_table": "Sales Lines",
        "sales_columns": {**MAPPED, "sale_id": None},
        "customer_rfm_schema": "Reports",
        "customer_rfm_name": "RFM 2023",
    }
    run = project.dbt("run", vars=vars)
    found = {name: project.read(_contract(name)) for name in RELATIONS} if run.success else {}
    return run, found


def _contract(relation: str) -> str:
    return relation.replace("rfm_marts.customer_rfm", '"Reports"."RFM 2023"')


@builds(*(on(target, build_mapped) for target in TARGETS))
def test_a_table_with_other_names_is_mapped_by_vars(built):
    run, found = built
    assert run.success, run.problems
    assert_same(expected_marts(Source(hard_cases.flagged_returns().sales), LATEST), found)


def build_shapes(project: Project) -> list[tuple[Run, dict[str, list[str]]]]:
    """The columns of all marts with little and with everything."""
    groups = hard_cases.two_score_groups()
    assert groups.customers is not None
    builds = []
    project.land("fact_sales", groups.sales, groups.column_types)
    builds.append((project.dbt("run", vars=LATEST), columns_of_marts(project)))
    people = groups.customers.assign(country="NZ", email=None)
    project.land("dim_customers", people, {**CUSTOMER_TYPES, "country": "text", "email": "text"})
    products = object_frame(["product_id", "category", "margin_rate"], [["p1", "tea", 0.5]])
    types = {"product_id": "text", "category": "text", "margin_rate": "double precision"}
    project.land("dim_products", products, types)
    vars = {
        **LATEST,
        "using_customers": True,
        "using_products": True,
        "score_group": "score_group",
        "history_periods": 2,
        "tie_method": "split",
        "lookback_days": 100,
        "segment_scheme": "classic_eleven",
        "recency_weight": 0.5,
    }
    builds.append((project.dbt("run", "--full-refresh", vars=vars), columns_of_marts(project)))
    return builds


@builds(*(on(target, build_shapes) for target in TARGETS))
def test_columns_do_not_depend_on_optional_sources_or_vars(built):
    little, everything = built
    assert little[0].success and everything[0].success, everything[0].problems
    assert "rfm_marts.customer_segments" in little[1]
    assert little[1] == everything[1]
