"""Scores held against what customers did: derived again with the standard statistics libraries,
and on generated shops of which the truth is known."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import warnings
from decimal import Decimal
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.proportion import proportion_confint

from python_checks.dbt_project import FULL, TARGETS, Project, builds, object_frame, on
from python_checks.test_marts_agree import few_segments, load_part

FIRST = dt.date(2022, 1, 3)
SCORES = ("recency_score", "frequency_score", "monetary_score", "rfm_score")


def shop(
    customers: int, seed: int, *, alike: bool = False, days: int = 500, orders_a_year: float = 8
) -> pd.DataFrame:
    """Sales of a shop: customers join over the first half, order at rates of their own (gamma) and
    drop out after a time (exponential). `alike`: one rate for all and nobody drops out, so that
    nothing that a customer did says what he will do."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(customers):
        day = random.uniform(0, days / 2)
        rate = orders_a_year / 365 if alike else random.gamma(0.8, orders_a_year / 0.8 / 365)
        end = days if alike else min(days, day + random.exponential(400))
        basket = 40 if alike else random.lognormal(3.5, 0.6)
        while day < end:
            rows.append(
                (
                    f"c{number:05d}",
                    FIRST + dt.timedelta(int(day)),
                    Decimal(f"{basket * random.lognormal(0, 0.4):.2f}"),
                )
            )
            day += random.exponential(1 / rate)
    return object_frame(["customer_id", "sale_date", "revenue"], rows)


def with_behaviour(sales: pd.DataFrame, seed: int) -> dict[str, pd.DataFrame]:
    """The same shop in all its sources, {table: rows}: products of a favourite category, channels,
    discounts, some goods sent back, and events, which come before orders and from those who like
    mail, and to 10 people who never bought."""
    random = np.random.default_rng(seed)
    categories = ["garden", "kitchen", "light", None]
    products = [(f"p{number}", f"Thing {number}", categories[number % 4]) for number in range(12)]
    last = max(sales["sale_date"])
    rows, events = [], []

    def event(customer: str, day: dt.date, kind: str) -> None:
        if day <= last + dt.timedelta(5):
            events.append((f"e{len(events):06d}", customer, day, kind))

    for customer, orders in sales.groupby("customer_id", sort=True):
        favourite, channel = random.integers(4), random.integers(3)
        saves, returns, likes_mail = random.random(3) < (0.3, 0.3, 0.4)
        for day, revenue in zip(orders["sale_date"], orders["revenue"], strict=True):
            number = favourite + 4 * random.integers(3) if random.random() < 0.7 else random.integers(12)
            through = channel if random.random() < 0.8 else random.integers(3)
            less = revenue / 3 if saves and random.random() < 0.9 else Decimal(0)
            rows.append(
                (customer, day, revenue, f"p{number}", f"channel {through}", round(less, 2), False)
            )
            if returns and random.random() < 0.4 and day + dt.timedelta(9) <= last:
                back = (-round(revenue / 2, 2), f"p{number}", f"channel {through}", None, True)
                rows.append((customer, day + dt.timedelta(9), *back))
            if random.random() < 0.5:
                event(customer, day - dt.timedelta(int(random.integers(0, 40))), "site_visit")
        for _ in range(random.poisson(8 if likes_mail else 1)):
            day = FIRST + dt.timedelta(int(random.integers(0, (last - FIRST).days + 10)))
            event(customer, day, str(random.choice(["email_open", "email_click"])))
    for number in range(10):
        event(f"looks{number}", FIRST + dt.timedelta(40 * number), "product_view")
    names = [*SALES_TYPES]
    return {
        "fact_sales": object_frame(names, rows),
        "dim_products": object_frame(["product_id", "product_name", "category"], products),
        "fact_engagement_events": object_frame(
            ["event_id", "customer_id", "event_at", "event_type"], events
        ),
    }


SALES_TYPES = {
    "customer_id": "varchar",
    "sale_date": "date",
    "revenue": "decimal(18, 2)",
    "product_id": "varchar",
    "channel": "varchar",
    "discount_amount": "decimal(18, 2)",
    "is_return": "boolean",
}
# The vars to a shop that has all of these.
BEHAVIOUR = {"using_products": True, "using_engagement_events": True}


def land_sources(project: Project, sources: Mapping[str, pd.DataFrame]) -> None:
    for table, rows in sources.items():
        types = {name: SALES_TYPES.get(name, "varchar") for name in rows} | {"event_at": "date"}
        project.land(table, rows, {name: types[name] for name in rows})


def land_and_build(
    project: Project,
    sales: pd.DataFrame | Mapping[str, pd.DataFrame],
    command: str,
    select: str = "+validation_findings",
    parse: bool = False,
    **more: Any,
) -> Any:
    """`sales`: the rows of fact_sales, or {table: rows} of several sources."""
    land_sources(project, {"fact_sales": sales} if isinstance(sales, pd.DataFrame) else sales)
    # Another shop has another history.
    only = ["--full-refresh"]
    if command == "build":
        only += ["--exclude-resource-type", "unit_test", "--indirect-selection", "cautious"]
    return project.dbt(
        command,
        *("--select", select, *only),
        vars={"latest_plausible_date": "2030-01-01", "history_periods": 12, **more},
        parse=parse,
    )


@contextlib.contextmanager
def rewritten(project: Project, file: str, changes: Mapping[str, str]) -> Iterator[None]:
    """A file of the project's copy with other words for a while; dbt has to parse it anew."""
    path = project.folder / file
    before = text = path.read_text()
    for old, new in changes.items():
        assert text.count(old) == 1, (file, old)
        text = text.replace(old, new)
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(before)


# ---------------------------------------------------------------------------------------------
# Derived again
# ---------------------------------------------------------------------------------------------


# Other settings than the defaults; the shop has two channels, a third of it in the smaller one.
SETTINGS: dict[str, Mapping[str, Any]] = {
    "shop": {},
    "groups": {
        "score_group": "sales.channel",
        "tie_method": "split",
        "lookback_days": 200,
        "retention_horizon_days": 60,
    },
    "ten_tiles": {
        "score_tiles": 10,
        "segment_scheme": "scheme_of_10",
        "history_grain": "week",
        "history_periods": 26,
    },
    # Products, events, returns and discounts, and dates of which a year is over.
    "behaviour": {**BEHAVIOUR, "history_periods": 16},
}


def build_figures(project: Project, source: str) -> dict[str, pd.DataFrame]:
    """Marts of the validation and what they are derived from, of generated or demo sales."""
    settings, sources = SETTINGS.get(source, {}), {}
    tiles = settings.get("score_tiles", 5)
    if source == "demo":
        project.load(load_part)
        run = project.dbt(
            "run",
            "--select",
            "+marts.validation",
            vars={"latest_plausible_date": "2030-01-01", "history_periods": 12},
        )
    else:
        sales = shop(260, 4)
        if source == "behaviour":
            sources = with_behaviour(sales, 9)
        if source == "groups":
            number = sales["customer_id"].str[1:].astype(int)
            sales["channel"] = np.where(number % 3 == 0, "web", "shop")
            sales = sales.astype(object)
        if tiles != 5:
            for seed, rows in few_segments(tiles).items():
                with (project.seeds / f"{seed}.csv").open("a", encoding="utf-8") as file:
                    file.write(rows)
            run = project.dbt("seed", "--select", *few_segments(tiles))
            assert run.success, run.problems
        landed = sources if source == "behaviour" else sales
        run = land_and_build(project, landed, "run", "+marts.validation", **settings)
    assert run.success, run.problems
    return {
        name: project.read(f"{schema}.{name}")
        for schema, names in {
            "rfm_marts": [
                "score_retention_validation",
                "score_validation_summary",
                "signal_importance",
                "scheme_comparison",
                "scheme_inversions",
                "segment_separation",
            ],
            "rfm_intermediate": [
                "int_rfm_scores",
                "int_lifecycle_stages",
                "int_customer_metrics",
                "int_customer_behaviour",
                "int_customer_engagement",
                "int_customer_flags",
                "int_validation_windows",
                "int_validation_signals",
            ],
        }.items()
        for name in names
    } | {
        "orders": project.query(
            "select customer_id, sale_date, order_count, net_revenue from rfm_intermediate.int_orders"
        ),
        "segments": project.query(
            "select cells.segment_scheme, cells.segment_key, segments.value_rank, lifecycle_stage,"
            " recency_score, frequency_score, monetary_score"
            " from rfm_marts.segment_score_cells as cells"
            " inner join rfm_policy.policy_segments as segments"
            " on cells.segment_key = segments.segment_key"
            " inner join rfm_policy.policy_segment_schemes as schemes"
            " on cells.segment_scheme = schemes.segment_scheme"
            f" and schemes.score_tiles = {tiles}"
        ),
        "sources": sources,
    }


def panel(found: dict[str, pd.DataFrame], horizon: str) -> pd.DataFrame:
    """A row per finished date and scored customer, with what the customer did in the window."""
    scores = found["int_rfm_scores"].merge(
        found["int_lifecycle_stages"][["as_of_date", "customer_id", "lifecycle_stage"]],
        on=["as_of_date", "customer_id"],
    ).merge(
        found["int_customer_engagement"][["as_of_date", "customer_id", "engagement_score"]],
        on=["as_of_date", "customer_id"],
        how="left",
    )
    parts = []
    windows = found["int_validation_windows"]
    for window in windows[windows["horizon_code"] == horizon].itertuples():
        orders = found["orders"]
        inside = orders[
            (orders["sale_date"] >= window.as_of_date) & (orders["sale_date"] < window.end_date)
        ]
        did = inside.groupby("customer_id").agg({"order_count": "sum", "net_revenue": "sum"})
        part = scores[scores["as_of_date"] == window.as_of_date].set_index("customer_id")
        part = part.drop(columns=["order_count", "net_revenue"]).join(did)
        part["order_count"] = part["order_count"].fillna(0).astype(int)
        part["net_revenue"] = part["net_revenue"].map(lambda value: 0 if pd.isna(value) else value)
        parts.append(part.reset_index())
    rows = pd.concat(parts, ignore_index=True)
    rows["retained"] = (rows["order_count"] > 0).astype(float)
    rows["net_revenue"] = rows["net_revenue"].astype(float)
    for name in (*SCORES, "engagement_score"):
        rows[name] = rows[name].astype(float).round(3)
    return rows


def horizons(found: dict[str, pd.DataFrame]) -> list[str]:
    return sorted(set(found["int_validation_windows"]["horizon_code"]))


def clustered_error(values: np.ndarray, customers: pd.Series) -> float:
    """The error of a sum of influences, clustered by customer."""
    sums = pd.Series(values).groupby(customers.to_numpy()).sum()
    return float(np.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1)))


def area_with_error(score: pd.Series, retained: pd.Series, customers: pd.Series) -> tuple:
    """(AUC by scikit-learn, its error by the placements of each row)."""
    came, gone = np.sort(score[retained == 1]), np.sort(score[retained == 0])
    area = roc_auc_score(retained, score)
    below = np.searchsorted(gone, score) + np.searchsorted(gone, score, "right")
    above = 2 * len(came) - np.searchsorted(came, score) - np.searchsorted(came, score, "right")
    influence = np.where(
        retained == 1,
        (below / 2 / len(gone) - area) / len(came),
        (above / 2 / len(came) - area) / len(gone),
    )
    return area, clustered_error(influence, customers)


def _close(found: Any, expected: float, what: Any) -> None:
    assert found is not None and abs(float(found) - expected) < 1e-9, (what, found, expected)


FIGURES = [on(target, build_figures, "shop") for target in TARGETS]
OTHER_SETTINGS = [
    on(target, build_figures, source)
    for target in (TARGETS if FULL else ("duckdb",))
    for source in ("groups", "ten_tiles", "behaviour")
]


@builds(*FIGURES, *OTHER_SETTINGS, on("duckdb", build_figures, "demo"))
def test_validation_equals_the_statistics_libraries(build, built):
    all_sources = build.arguments == ("behaviour",)
    assert horizons(built) == ["cycle", "horizon", *(["year"] if all_sources else [])]
    summary = built["score_validation_summary"].set_index(["scope", "horizon_code", "dimension"])
    levels = built["score_retention_validation"].set_index(
        ["scope", "horizon_code", "dimension", "level"]
    )
    compared = 0
    for horizon in horizons(built):
        rows = panel(built, horizon)
        assert rows["engagement_score"].notna().all() == all_sources
        if not all_sources:
            assert (horizon, "engagement_score") not in levels.droplevel(["scope", "level"]).index
        for name in (*SCORES, *(["engagement_score"] if all_sources else [])):
            areas, by_date = [], rows.groupby("as_of_date")
            for day, date_rows in by_date:
                found = summary.loc[(str(day), horizon, name)]
                retained = date_rows["retained"]
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", stats.ConstantInputWarning)
                    for column, other in (
                        ("spearman_retention", retained),
                        ("spearman_revenue", date_rows["net_revenue"]),
                    ):
                        value = stats.spearmanr(date_rows[name], other)[0]
                        if np.isnan(value):
                            assert found[column] is None
                        else:
                            _close(found[column], value, (day, horizon, name, column))
                        areas.append((column, value, len(date_rows)))
                if retained.nunique() < 2:
                    assert found["auc"] is None and found["note"]
                    continue
                _close(found["auc"], roc_auc_score(retained, date_rows[name]), (day, name))
                compared += 1
            found = summary.loc[("pooled", horizon, name)]
            area, error = area_with_error(rows[name], rows["retained"], rows["customer_id"])
            _close(found["auc"], area, (horizon, name, "auc"))
            _close(found["auc_standard_error"], error, (horizon, name, "error"))
            _close(found["auc_low"], max(area - 1.959963984540054 * error, 0), (horizon, name))
            for column in ("spearman_retention", "spearman_revenue"):
                of_dates = [(v, n) for c, v, n in areas if c == column and not np.isnan(v)]
                mean = np.average([v for v, _ in of_dates], weights=[n for _, n in of_dates])
                _close(found[column], mean, (horizon, name, column))
            _close(found["top_quintile_lift"], lift(rows, name), (horizon, name, "lift"))

            _check_levels(rows, levels, horizon, name)
    assert compared > 20


def lift(rows: pd.DataFrame, name: str) -> float:
    """Retention of the best fifth by that of all; a level at the boundary counts in part."""
    left, kept = 0.2 * len(rows), 0.0
    for _, level in sorted(rows.groupby(name), reverse=True):
        taken = min(left, len(level))
        kept += taken * level["retained"].mean()
        left -= taken
    return kept / (0.2 * len(rows)) / rows["retained"].mean()


def _check_levels(rows: pd.DataFrame, levels: pd.DataFrame, horizon: str, name: str) -> None:
    before = None
    for value, level in sorted(rows.groupby(name)):
        text = f"{value:.3f}" if name == "rfm_score" else str(int(value))
        found = levels.loc[("pooled", horizon, name, text)]
        kept, count = level["retained"], len(level)
        assert (found["customer_count"], found["retained_count"]) == (count, kept.sum())
        _close(found["orders_per_customer"], level["order_count"].mean(), (horizon, name, value))
        # The error of a rate is that of a regression on nothing, clustered; no row counts for more
        # than one customer.
        if 0 < kept.mean() < 1:
            codes = pd.factorize(level["customer_id"])[0]
            fit = OLS(kept.to_numpy(), np.ones(count)).fit(
                cov_type="cluster", cov_kwds={"groups": codes, "use_correction": False}
            )
            groups = rows["customer_id"].nunique()
            variance = float(fit.cov_params()[0, 0]) * groups / (groups - 1)
            effective = min(kept.mean() * (1 - kept.mean()) / variance, count)
            low, high = proportion_confint(kept.mean() * effective, effective, method="wilson")
            _close(found["retention_low"], low, (horizon, name, value, "low"))
            _close(found["retention_high"], high, (horizon, name, value, "high"))
        if before is not None and not set(level["as_of_date"]) & set(before["as_of_date"]):
            # Never there at the same date: nothing to hold it against.
            assert found["change_from_level_before"] is None and found["p_value_of_fall"] is None
        elif before is not None:
            difference, error = difference_within_dates(level, before, rows["customer_id"].nunique())
            _close(found["change_from_level_before"], difference, (horizon, name, value))
            if error > 1e-9:
                _close(found["change_standard_error"], error, (horizon, name, value))
                chance = stats.norm.cdf(difference / error)
                assert abs(found["p_value_of_fall"] - chance) < 1e-7
        before = level


def difference_within_dates(
    level: pd.DataFrame, other: pd.DataFrame, customers: int
) -> tuple[float, float]:
    """(the difference of two rates after Mantel and Haenszel with the dates as strata, its error
    under the rate of both, clustered by customer and not below that of independent rows)."""
    weights, differences, parts, independent = [], [], [], 0.0
    for day, rows in level.groupby("as_of_date"):
        others = other[other["as_of_date"] == day]
        if others.empty:
            continue
        weight = len(rows) * len(others) / (len(rows) + len(others))
        rate = pd.concat([rows, others])["retained"].mean()
        weights.append(weight)
        differences.append(rows["retained"].mean() - others["retained"].mean())
        independent += weight * rate * (1 - rate)
        for side, sign in ((rows, 1), (others, -1)):
            residuals = sign * weight * (side["retained"] - rate) / len(side)
            parts.append(pd.Series(residuals.to_numpy(), index=side["customer_id"].to_numpy()))
    sums = pd.concat(parts).groupby(level=0).sum()
    clustered = float((sums**2).sum()) * customers / (customers - 1)
    error = np.sqrt(max(clustered, independent)) / sum(weights)
    return float(np.average(differences, weights=weights)), float(error)


CELL = ["lifecycle_stage", "recency_score", "frequency_score", "monetary_score"]


@builds(*FIGURES, *OTHER_SETTINGS)
def test_segments_and_schemes_equal_the_statistics_libraries(built):
    levels = built["score_retention_validation"].set_index(
        ["scope", "horizon_code", "dimension", "level"]
    )
    comparison = built["scheme_comparison"].set_index(["scope", "horizon_code", "segment_scheme"])
    for horizon in horizons(built):
        rows = panel(built, horizon)
        for scheme, cells in built["segments"].groupby("segment_scheme"):
            placed = rows.merge(cells, on=CELL)
            assert len(placed) == len(rows), scheme
            of_dates = []
            for day, part in placed.groupby("as_of_date"):
                found = comparison.loc[(str(day), horizon, scheme)]
                expected = separation(part)
                for column, value in expected.items():
                    if np.isnan(value):
                        assert found[column] is None and found["note"], (day, scheme, column)
                    else:
                        _close(found[column], value, (day, horizon, scheme, column))
                of_dates.append(expected | {"count": len(part)})
            for column in ("epsilon_squared_retention", "information_value"):
                known = [date for date in of_dates if not np.isnan(date[column])]
                mean = np.average(
                    [date[column] for date in known], weights=[date["count"] for date in known]
                )
                _close(comparison.loc[("pooled", horizon, scheme), column], mean, (scheme, column))

            pairs = built["segment_separation"]
            pairs = pairs[(pairs["horizon_code"] == horizon) & (pairs["segment_scheme"] == scheme)]
            by_segment = dict(iter(placed.groupby("segment_key")))
            for key, part in by_segment.items():
                found = levels.loc[("pooled", horizon, "segment", key)]
                assert (found["customer_count"], found["retained_count"]) == (
                    len(part),
                    part["retained"].sum(),
                )
                mean = part["net_revenue"].sum() / len(part)
                assert abs(float(found["revenue_per_customer"]) - mean) <= 0.00501
            compared = pairs.dropna(subset="p_value")
            for pair in compared.itertuples():
                segment, other = by_segment[pair.segment_key], by_segment[pair.other_segment_key]
                assert segment["value_rank"].iloc[0] < other["value_rank"].iloc[0]
                difference, error = difference_within_dates(
                    segment, other, rows["customer_id"].nunique()
                )
                _close(pair.rate_difference, difference, pair)
                _close(pair.standard_error, error, pair)
                chance = 2 * stats.norm.sf(abs(difference / error)) * len(pairs)
                assert abs(pair.p_value - min(chance, 1)) < 1e-6
                assert pair.is_told_apart == (chance < 0.05)
            assert len(compared) > (5 if len(by_segment) > 2 else 0), scheme
    ranks = comparison.xs("pooled").xs("horizon")
    others = ranks[~ranks.index.isin(built["segments"]["segment_scheme"])]
    assert others["retention_rank"].isna().all() and others["note"].str.contains("tiles").all()
    ranks = ranks.drop(others.index)
    order = ranks["epsilon_squared_retention"].astype(float).rank(ascending=False)
    assert (ranks["retention_rank"].astype(float) == order).all()
    assert len(ranks) == built["segments"]["segment_scheme"].nunique()


def separation(rows: pd.DataFrame) -> dict[str, float]:
    """How well the segments of one date keep customers apart, by their definitions."""
    groups = rows.groupby("segment_key")
    segments, count = groups.ngroups, len(rows)
    figures = {}
    for name, values in (
        ("epsilon_squared_retention", rows["retained"]),
        ("epsilon_squared_revenue", pd.Series(stats.rankdata(rows["net_revenue"]), rows.index)),
    ):
        total = ((values - values.mean()) ** 2).sum()
        model = OLS(values, pd.get_dummies(rows["segment_key"]).astype(float)).fit()
        # Of an analysis of variance: the adjusted R² is epsilon squared.
        figures[name] = 1 - model.ssr / total * (count - 1) / (count - segments) if total else np.nan
    came, gone = groups["retained"].sum(), (1 - rows["retained"]).groupby(rows["segment_key"]).sum()
    figures["information_value"] = information_value(came, gone)
    return figures


def information_value(came: pd.Series, gone: pd.Series) -> float:
    """Sum of (share of those who came − share of the others) × the log of their ratio, half a
    customer in every group more, less what as many random groups would have."""
    if not came.sum() or not gone.sum():
        return np.nan
    came_share, gone_share = ((part + 0.5) / (part + 0.5).sum() for part in (came, gone))
    value = ((came_share - gone_share) * np.log(came_share / gone_share)).sum()
    return float(value - (len(came) - 1) * (1 / came.sum() + 1 / gone.sum()))


@builds(*FIGURES)
def test_inverted_rules_are_found(built):
    scores = CELL[1:]
    for (scheme, stage), cells in built["segments"].groupby(["segment_scheme", "lifecycle_stage"]):
        pairs: dict[tuple[str, str], int] = {}
        records = cells.to_dict("records")
        for better in records:
            for other in records:
                at_least = all(better[score] >= other[score] for score in scores)
                above = sum(better[score] - other[score] for score in scores) > 0
                if at_least and above and better["value_rank"] > other["value_rank"]:
                    key = (better["segment_key"], other["segment_key"])
                    pairs[key] = pairs.get(key, 0) + 1
        found = built["scheme_inversions"]
        found = found[(found["segment_scheme"] == scheme) & (found["lifecycle_stage"] == stage)]
        counts = found.set_index(["segment_key", "other_segment_key"])["cell_pair_count"]
        assert counts.to_dict() == pairs, (scheme, stage)


@builds(*FIGURES, *OTHER_SETTINGS)
def test_signals_equal_scipy(build, built):
    signals, importance = built["int_validation_signals"], built["signal_importance"]
    assert set(importance["signal"]) == set(signals["signal"])
    told = 0
    for found in importance.itertuples():
        rows = signals[signals["signal"] == found.signal]
        assert found.customer_count == len(rows)
        known = rows.dropna(subset="signal_value")
        assert abs(found.known_share - len(known) / len(rows)) < 1e-9
        if known["signal_value"].nunique() < 2:
            assert found.auc is None and found.information_value is None
            assert found.what_it_tells in (
                "All customers have the same value",
                "Not known for any customer",
            )
            continue
        told += 1
        value = known["signal_value"].astype(float)
        came = known["is_retained"].astype(int)
        _close(found.auc, roc_auc_score(came, value), found)
        won, pairs, variance = rank_sums(value, came, known["segment_key"])
        _close(found.auc_within_segments, won / pairs, found)
        everybody = rows["is_retained"].astype(int)
        all_pairs = everybody.sum() * (1 - everybody).sum()
        _close(found.added_auc, (won - pairs / 2) / all_pairs, found)
        won, pairs, variance = rank_sums(value, came, known["rfm_code"])
        if variance:
            z = (won - pairs / 2) / np.sqrt(variance)
            chance = min(2 * stats.norm.sf(abs(z)) * len(importance), 1)
            assert abs(found.added_p_value - chance) < 1e-6, found
            words = found.what_it_tells
            if found.signal_kind == "rfm":
                assert words == "Is recency, frequency or monetary value itself"
            elif chance >= 0.05:
                assert words == "Adds nothing beyond RFM"
            else:
                assert said_of(found.signal_kind, z) in words
                right = max(won / pairs, 1 - won / pairs)
                assert words.startswith("Adds a little to RFM: " if right < 0.55 else "Adds to RFM: ")
                assert f"true of {100 * right:.1f} % of pairs" in words
        # Bins of equal size, equal values together; a bin more for whom it is not known.
        bins = np.floor(10 * (stats.rankdata(value, "min") - 1) / len(value))
        bins = pd.Series(bins, known.index).reindex(rows.index).fillna(-1)
        counts = [side.groupby(bins).sum() for side in (everybody, 1 - everybody)]
        _close(found.information_value, information_value(*counts), found)
    assert told > (30 if build.arguments == ("behaviour",) else 10)


@builds(*[each for each in OTHER_SETTINGS if each.arguments == ("behaviour",)])
def test_signals_are_what_is_known_of_the_customers(built):
    """Each signal against the figure of the same name at that date; those of events and products, and
    those that nothing else has, from the rows that were landed."""
    signals = built["int_validation_signals"]
    signals = signals.pivot(index="customer_id", columns="signal", values="signal_value")
    windows = built["int_validation_windows"]
    day = windows.loc[windows["horizon_code"] == "horizon", "as_of_date"].max()
    known = pd.DataFrame(index=signals.index)
    for name in ("metrics", "behaviour", "engagement", "flags"):
        rows = built[f"int_customer_{name}"]
        rows = rows[rows["as_of_date"] == day].set_index("customer_id").reindex(signals.index)
        known = known.join(rows[[column for column in rows if column not in known]])
    stages = built["int_lifecycle_stages"]
    stages = stages[stages["as_of_date"] == day].set_index("customer_id")
    known = known.join(stages[["own_gap_days", "expected_gap_days", "silence_ratio"]])
    known = known.drop(columns=["order_date_count"], errors="ignore")

    sales, events = built["sources"]["fact_sales"], built["sources"]["fact_engagement_events"]
    sales, events = (rows[rows.iloc[:, at] < day] for rows, at in ((sales, 1), (events, 2)))
    orders = sales[~sales["is_return"].astype(bool)].groupby("customer_id")
    known["order_date_count"] = orders["sale_date"].nunique()
    known["days_since_first_order"] = orders["sale_date"].min().map(lambda first: (day - first).days)
    money = sales.groupby("customer_id")["revenue"].sum()
    known["average_order_value"] = (money / orders.size()).astype(float)
    known["largest_order_amount"] = orders["revenue"].max()
    known["discount_amount"] = orders["discount_amount"].sum()
    by_category = sales.merge(built["sources"]["dim_products"], on="product_id")
    spent = by_category.groupby(["customer_id", "category"])["revenue"].sum()
    known["category_count"] = spent[spent > 0].groupby("customer_id").size()
    events = events.assign(age=events["event_at"].map(lambda date: (day - date).days))
    weights = {"site_visit": 0.5, "email_click": 1, "email_open": 0}
    events["weight"] = events["event_type"].map(weights)
    by_customer = events.groupby("customer_id")
    known["days_since_last_event"] = by_customer["age"].min()
    engaged = events[events["weight"] > 0].groupby("customer_id")
    known["days_since_last_engagement"] = engaged["age"].min()
    late = events[events["age"] <= 90].groupby("customer_id")
    for name, figure in {
        "event_count": by_customer.size(),
        "event_count_30d": events[events["age"] <= 30].groupby("customer_id").size(),
        "event_count_90d": late.size(),
        "engagement_value": late["weight"].sum(),
    }.items():
        known[name] = figure.reindex(signals.index).fillna(0)

    assert set(signals) <= set(known) and len(signals) > 150 and len(signals.columns) == 43
    for name in signals:
        found, expected = signals[name].astype(float), known[name].astype(float)
        assert (found.isna() == expected.isna()).all(), name
        assert np.allclose(found, expected, atol=1e-6, rtol=0, equal_nan=True), name
    # There is something to tell customers by in each, but for the flags of years.
    alike = {name for name in signals if signals[name].nunique() < 2}
    assert alike <= {"is_seasonal_buyer", "season_year_count"}, alike


def said_of(kind: str, z: float) -> str:
    if kind == "flag":
        return f", those who have it come back {'more' if z > 0 else 'less'} often ("
    return f", those with {'more' if z > 0 else 'less'} of it come back more often ("


def rank_sums(value: pd.Series, came: pd.Series, strata: pd.Series) -> tuple[float, float, float]:
    """(pairs won by those who came, pairs, variance of the pairs won) over the strata, from scipy's
    rank-sum test with ties."""
    won, pairs, variance = 0.0, 0.0, 0.0
    for _, rows in pd.DataFrame({"v": value, "y": came}).groupby(strata.to_numpy()):
        first, second = rows.loc[rows["y"] == 1, "v"], rows.loc[rows["y"] == 0, "v"]
        if first.empty or second.empty:
            continue
        won += stats.mannwhitneyu(first, second).statistic
        pairs += len(first) * len(second)
        if rows["v"].nunique() > 1:
            test = stats.mannwhitneyu(
                first, second, alternative="greater", method="asymptotic", use_continuity=False
            )
            z = stats.norm.isf(test.pvalue)
            off = test.statistic - len(first) * len(second) / 2
            ties = rows["v"].value_counts()
            count = len(rows)
            spread = count + 1 - (ties**3 - ties).sum() / (count * (count - 1))
            of_stratum = len(first) * len(second) / 12 * spread
            assert abs(off / np.sqrt(of_stratum) - z) < 1e-6
            variance += of_stratum
    return won, pairs, variance


# ---------------------------------------------------------------------------------------------
# Large bases
# ---------------------------------------------------------------------------------------------

# Limits that a shop of 260 customers is beyond.
LOW_LIMITS = {
    "most_single_clusters() %}{{ return(20000) }}": "most_single_clusters() %}{{ return(100) }}",
    "cluster_hash_digits() %}{{ return(3) }}": "cluster_hash_digits() %}{{ return(2) }}",
    "most_judged_customers() %}{{ return(200000) }}": "most_judged_customers() %}{{ return(120) }}",
    "most_customers_of_a_fit() %}{{ return(1000000) }}": "most_customers_of_a_fit() %}{{ return(400) }}",
}
UNRELATED = 200
NO_SIGNAL = f"""{{%- for number in range({UNRELATED}) -%}}
        {{%- set half -%}}
        case when {{{{ dbt.hash(dbt.concat(["cluster_id", "':" ~ number ~ "'"])) }}}} < '8'
            then {{}} else {{}} end
        {{%- endset -%}}
        {{%- do scores.update({{
            'unrelated_' ~ number: [half.format("'1'", "'2'"), half.format('1', '2')],
        }}) -%}}
    {{%- endfor -%}}
    {{{{ return(scores) }}}}"""


def build_limited(project: Project) -> dict[str, pd.DataFrame]:
    """The shop with its rows in another order, in groups and parts as a large one; then, as it is, with
    attributes that have nothing to do with anything: half of the customers by hash."""
    sales = shop(260, 4).sample(frac=1, random_state=3)
    select = "+marts.validation +int_propensity_features"
    with rewritten(project, "macros/validation/limits.sql", LOW_LIMITS):
        run = land_and_build(project, sales, "run", select, parse=True)
    assert run.success, run.problems
    found = {
        name: project.read(f"{schema}.{name}")
        for schema, names in {
            "rfm_marts": ["score_validation_summary", "signal_importance"],
            "rfm_intermediate": [
                "int_rfm_scores",
                "int_validation_cells",
                "int_validation_signals",
                "int_propensity_features",
            ],
        }.items()
        for name in names
    }
    changes = {"{{ return(scores) }}": NO_SIGNAL}
    models = [f"int_validation_{name}" for name in ("cells", "clusters", "cluster_counts", "levels")]
    models += ["int_validation_pairs", "int_validation_differences", "score_retention_validation"]
    with rewritten(project, "macros/validation/dimensions.sql", changes):
        run = land_and_build(project, sales, "run", " ".join(models), parse=True)
    assert run.success, run.problems
    levels = project.read("rfm_marts.score_retention_validation")
    return found | {"unrelated": levels[levels["dimension"].str.startswith("unrelated")]}


def md5(customer: str) -> str:
    return hashlib.md5(customer.encode()).hexdigest()


LIMITED = on("duckdb", build_limited)


@builds(LIMITED)
def test_clusters_by_hash_give_the_errors_of_single_customers(under_way, built):
    single = under_way(on("duckdb", build_figures, "shop")).result()
    groups = set(map(md5_start, single["int_rfm_scores"]["customer_id"]))
    assert set(built["int_validation_cells"]["cluster_id"]) == groups and 150 < len(groups) < 190
    key = ["scope", "horizon_code", "dimension"]
    by_customer, by_group = (
        frame["score_validation_summary"].set_index(key) for frame in (single, built)
    )
    ratios = []
    for horizon in ("horizon", "cycle"):
        rows = panel(single, horizon)
        for name in SCORES:
            found = by_group.loc[("pooled", horizon, name)]
            retained, clusters = rows["retained"], rows["customer_id"].map(md5_start)
            area, error = area_with_error(rows[name], retained, clusters)
            _close(found["auc"], area, (horizon, name, "auc"))
            _close(found["auc_standard_error"], error, (horizon, name, "error"))
            one_each = by_customer.loc[("pooled", horizon, name), "auc_standard_error"]
            ratios.append(error / one_each)
    assert max(abs(ratio - 1) for ratio in ratios) < 0.1, ratios


def md5_start(customer: str) -> str:
    return md5(customer)[:2]


@builds(LIMITED)
def test_who_is_left_out_of_a_large_base_goes_by_hash(built):
    scores = built["int_rfm_scores"].groupby("as_of_date")["customer_id"]
    by_hash = {day: sorted(customers, key=md5) for day, customers in scores}

    importance = built["signal_importance"]
    day = importance["as_of_date"].iloc[0]
    assert len(by_hash[day]) > 200 and (importance["customer_count"] == 120).all()
    for _, customers in built["int_validation_signals"].groupby("signal")["customer_id"]:
        assert sorted(customers, key=md5) == by_hash[day][:120]

    features = built["int_propensity_features"]
    past = features[~features["is_current"].astype(bool)]
    dates = past["as_of_date"].nunique()
    assert dates > 5
    for day, customers in past.groupby("as_of_date")["customer_id"]:
        assert sorted(customers, key=md5) == by_hash[day][: 400 // dates]
    assert len(past) < sum(len(by_hash[day]) for day in set(past["as_of_date"])) / 2
    current = features.loc[features["is_current"].astype(bool), "customer_id"]
    assert sorted(current, key=md5) == by_hash[max(by_hash)]


@builds(LIMITED)
def test_what_has_nothing_to_do_with_retention_is_rarely_called_different(built):
    """Of attributes by hash one in twenty is beyond the errors by chance; errors of independent rows
    are beyond far more often, since the same customers stand in every window."""
    rows = built["unrelated"]
    rows = rows[(rows["scope"] == "pooled") & (rows["horizon_code"] == "horizon")]
    second = rows[rows["level"] == "2"].set_index("dimension")
    first = rows[rows["level"] == "1"].set_index("dimension").loc[second.index]
    assert len(second) == UNRELATED
    columns = ["change_from_level_before", "change_standard_error", "p_value_of_fall"]
    change, error, chance = (second[column].astype(float) for column in columns)
    assert np.allclose(chance, stats.norm.cdf(change / error), atol=1e-6)
    found = (2 * np.minimum(chance, 1 - chance) < 0.05).mean()
    assert 0.02 < found < 0.1, found
    counts = [frame["customer_count"].astype(float) for frame in (first, second)]
    rate = sum(frame["retained_count"].astype(float) for frame in (first, second)) / sum(counts)
    independent = np.sqrt(rate * (1 - rate) * (1 / counts[0] + 1 / counts[1]))
    assert (abs(change / independent) > 1.96).mean() > 0.2


# ---------------------------------------------------------------------------------------------
# Shops of which the truth is known
# ---------------------------------------------------------------------------------------------


def build_shops(project: Project) -> list[Any]:
    """[(small honest shops: did the build with its tests succeed), a shop in which nothing says
    who comes back, the same with warnings only]."""
    honest = []
    for seed in (1, 2, 3):
        run = land_and_build(project, shop(120, seed, orders_a_year=3), "build")
        honest.append((run.success, run.problems))
    alike = shop(900, 7, alike=True)
    failing = land_and_build(project, alike, "build")
    warning = land_and_build(project, alike, "build", validation_severity="warn")
    return [honest, failing, warning]


@builds(on("duckdb", build_shops))
def test_scores_that_tell_nothing_fail_and_small_shops_do_not(built):
    honest, failing, warning = built
    for success, problems in honest:
        assert success, problems
    assert not failing.success
    assert failing.statuses["assert_scores_keep_their_promise"] == "fail"
    told = [text for text in failing.warnings if "does not tell who comes back" in text]
    assert any(text.startswith("Recency does not tell who comes back within 90 days") for text in told)
    assert any("min_auc asks for 0.55" in text for text in told)
    assert warning.success, warning.problems
    assert warning.statuses["assert_scores_keep_their_promise"] == "warn"


def rhythm(customers: int, seed: int, *, days: int = 500) -> pd.DataFrame:
    """Sales of a shop whose customers come about every 30 days (Erlang gaps of shape 8), until they
    drop out: whoever has just bought comes back last."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(customers):
        day = random.uniform(0, days / 2)
        end = min(days, day + random.exponential(1000))
        while day < end:
            rows.append((f"c{number:05d}", FIRST + dt.timedelta(int(day)), Decimal("30.00")))
            day += random.gamma(8, 30 / 8)
    return object_frame(["customer_id", "sale_date", "revenue"], rows)


def build_rhythm(project: Project) -> Any:
    return land_and_build(project, rhythm(900, 3), "build", validation_severity="warn")


@builds(on("duckdb", build_rhythm))
def test_in_a_rhythm_who_has_just_bought_is_not_due_and_that_is_no_error(built):
    assert built.success, built.problems
    told = [text for text in built.warnings if text.startswith("Recency: customers with a score")]
    assert any("with a score of 5 came back within 30 days less often" in text for text in told)
    assert all("The window is one purchase cycle" in text for text in told)


def pet_food(customers: int, seed: int, *, days: int = 640) -> pd.DataFrame:
    """Sales of an honest shop that grows: customers use things up in a time of their own, one order in
    four is a double pack that lasts twice as long, and after each order some are gone for good."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(customers):
        day, gap = random.uniform(0, days), random.lognormal(3.6, 0.4)
        gone, price = random.beta(1, 12), random.lognormal(3.3, 0.4)
        while day < days:
            packs = 2 if random.random() < 0.25 else 1
            date = FIRST + dt.timedelta(int(day))
            rows.append((f"c{number:05d}", date, Decimal(f"{price * packs:.2f}")))
            if random.random() < gone:
                break
            day += packs * random.gamma(12, gap / 12)
    return object_frame(["customer_id", "sale_date", "revenue"], rows)


def build_pet_food(project: Project) -> Any:
    return land_and_build(project, pet_food(1500, 6), "build")


@builds(on("duckdb", build_pet_food))
def test_what_the_included_schemes_claim_does_not_stop_a_shop_with_rhythms(built):
    # Long silent is gone there, however valuable: no scheme claims a place for such segments.
    assert built.success, built.problems
    assert built.statuses["assert_scores_keep_their_promise"] == "pass"
    assert not any("claims by expected_retention_rank" in text for text in built.warnings)


# ---------------------------------------------------------------------------------------------
# Too little to judge by
# ---------------------------------------------------------------------------------------------

DAYS = [FIRST + dt.timedelta(day) for day in range(0, 500, 7)]
ALWAYS = object_frame(
    ["customer_id", "sale_date", "revenue"],
    [(f"c{number}", day, Decimal(20 + number)) for number in range(60) for day in DAYS],
)
FEW = shop(20, 3, orders_a_year=4)
# {name: (sales, vars, what is said)}
TOO_LITTLE: dict[str, tuple[pd.DataFrame, dict[str, Any], str]] = {
    "few": (FEW, {}, "Fewer than 20 customers came back, or fewer than 20 did not"),
    "no_history": (shop(300, 3), {"history_periods": 0}, "There is no history to look back at"),
    # The history begins before the first order, so there are dates that are over: nobody was there.
    "month": (shop(300, 3, days=30, orders_a_year=20), {}, "Nobody was scored at a date so long ago"),
    "new_history": (
        shop(300, 3, days=80, orders_a_year=20),
        {"history_periods": 1},
        "No date of the history is so long ago",
    ),
    "once": (FEW.drop_duplicates("customer_id"), {}, "Nobody came back"),
    "always": (ALWAYS, {}, "Everybody came back"),
}


def build_too_little(project: Project) -> dict[str, Any]:
    """{name: (the run with its tests, validation_findings, score_validation_summary, …)}"""
    found = {}
    for name, (sales, settings, _) in TOO_LITTLE.items():
        run = land_and_build(project, sales, "build", "+marts.validation", **settings)
        marts = ("validation_findings", "score_validation_summary", "signal_importance")
        marts += ("scheme_comparison", "segment_separation")
        found[name] = run, {mart: project.read(f"rfm_marts.{mart}") for mart in marts}
    return found


@builds(*[on(target, build_too_little) for target in (TARGETS if FULL else ("duckdb",))])
def test_that_the_scores_are_not_judged_is_said_and_stops_nothing(built):
    for name, (_, _, reason) in TOO_LITTLE.items():
        run, marts = built[name]
        assert run.success, (name, run.problems)
        assert run.statuses["assert_scores_keep_their_promise"] == "pass"
        assert run.statuses["assert_levels_and_boundaries_hold"] == "warn"
        findings = marts["validation_findings"]
        (row,) = findings[findings["finding_code"] == "not_judged"].itertuples()
        assert row.severity == "warning" and row.message in run.warnings
        assert row.message.startswith("The scores have NOT been judged: ")
        assert f"Reason: {reason}" in row.message and ". What to do: " in row.message
        assert not (findings["severity"] == "error").any()
        # Nothing is made up in the other marts; a purchase cycle can be short enough to be judged.
        summary, separation, comparison = (
            marts[mart][marts[mart]["horizon_code"] == "horizon"]
            for mart in ("score_validation_summary", "segment_separation", "scheme_comparison")
        )
        pooled = summary[(summary["scope"] == "pooled") & (summary["dimension"] == "rfm_score")]
        assert len(pooled) == 1 and pooled["note"].notna().all()
        figures = ["auc_low", "auc_high", "auc_standard_error"]
        assert pooled[figures].isna().all().all(), name
        if name == "few":
            continue
        figures += ["auc", "spearman_retention"]
        if name in ("no_history", "month", "new_history"):
            figures += ["spearman_revenue", "retention_rate", "top_quintile_lift", "is_monotone"]
            figures += ["fall_p_value"]
            assert len(separation) == 0
        assert len(summary) and summary[figures].isna().all().all(), name
        signals = marts["signal_importance"][["information_value", "auc", "added_p_value"]]
        assert len(signals) > 10 and signals.isna().all().all()
        assert len(comparison) and comparison["note"].notna().all()
        assert comparison["information_value"].isna().all()
