"""Purchase probabilities: derived again with the standard libraries, held against shops of which the
propensities are known, and what is said where there is too little to go by."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, special, stats
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from statsmodels.api import Logit, add_constant

from python_checks.dbt_project import FULL, TARGETS, Project, builds, object_frame, on
from python_checks.test_marts_agree import land_cdnow, needs_cdnow
from python_checks.test_validation import (
    BEHAVIOUR,
    FIRST,
    area_with_error,
    land_and_build,
    shop,
    with_behaviour,
)

# The build of the demo has them on both engines; here PostgreSQL is for the full run.
ENGINES = TARGETS if FULL else ("duckdb",)
SIGNALS = [
    "ln_days_since_last_order",
    "ln_net_revenue",
    "ln_order_days_90d",
    "ln_order_days_365d",
    "is_one_time_buyer",
    "ln_activity",
    "ln_order_rate",
    "ln_pause",
    "ln_due",
    "ln_overdue",
    "ln_overdue_by_orders",
]
FIGURES = [
    *("auc", "auc_standard_error", "auc_low", "auc_high", "auc_of_rfm_score", "mean_probability"),
    *("retention_rate", "calibration_intercept", "calibration_slope", "brier_score", "log_loss"),
    *("largest_decile_difference", "deciles_off", "deciles_out_of_order", "customer_count"),
    *("expected_orders", "order_count", "expected_revenue", "net_revenue"),
]
CUTOFFS = ("current", "judged", "earlier", "earliest")
MARTS = ["customer_propensity", "propensity_scorecard", "propensity_performance", "propensity_deciles"]
KINDS = ("dropping out", "staying")
INTERMEDIATE = [
    "int_orders",
    "int_order_dates",
    "int_rfm_scores",
    "int_lifecycle_stages",
    "int_customer_metrics",
    "int_validation_windows",
    "int_group_gaps",
]


def build_propensity(
    project: Project, sales: pd.DataFrame | Mapping[str, pd.DataFrame], **more: Any
) -> dict[str, pd.DataFrame]:
    """The marts of the propensity and what they are derived from; `sales`: the rows of fact_sales, or
    {table: rows} of several sources."""
    select = "+marts.propensity +marts.validation"
    run = land_and_build(project, sales, "run", select, **more)
    assert run.success, run.problems
    return {name: project.read(f"rfm_marts.{name}") for name in MARTS} | {
        name: project.read(f"rfm_intermediate.{name}") for name in INTERMEDIATE
    }


def build_shop(project: Project, kind: str) -> dict[str, pd.DataFrame]:
    """Customers who drop out, so that the level has to be set right; and customers who stay as they are,
    in a shop with all sources."""
    if kind == "dropping out":
        return build_propensity(project, shop(1500, 21, orders_a_year=5))
    sources = with_behaviour(planted(900, 4)[0], 3)
    found = build_propensity(project, sources, **BEHAVIOUR)
    return found | {"events": sources["fact_engagement_events"]}


# ---------------------------------------------------------------------------------------------
# Derived again
# ---------------------------------------------------------------------------------------------


def panel(found: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Signals and outcomes of the customers scored at the finished dates and the current one."""
    windows = found["int_validation_windows"]
    windows = windows[windows["horizon_code"] == "horizon"].set_index("as_of_date")["end_date"]
    scores = found["int_rfm_scores"]
    current = scores["as_of_date"].max()
    stages = found["int_lifecycle_stages"].set_index(["as_of_date", "customer_id"])
    metrics = found["int_customer_metrics"].set_index(["as_of_date", "customer_id"])
    dates = {
        customer: np.sort([day.toordinal() for day in rows])
        for customer, rows in found["int_order_dates"].groupby("customer_id")["order_date"]
    }
    orders = dict(iter(found["int_orders"].groupby("customer_id")))
    events: dict[str, np.ndarray] = {}
    if "events" in found:
        of_customers = found["events"].groupby("customer_id")["event_at"]
        events = {name: np.array([day.toordinal() for day in days]) for name, days in of_customers}
    rows = []
    for score in scores.itertuples():
        if score.as_of_date not in windows.index and score.as_of_date != current:
            continue
        key = (score.as_of_date, score.customer_id)
        day = score.as_of_date.toordinal()
        days = dates[score.customer_id]
        days = days[days < day]
        gap = float(stages.loc[key, "group_gap_days"])
        repeats = len(days) - 1
        age, last = (day - days[0]) / gap, (days[-1] - days[0]) / gap
        activity = (0.25 + repeats) / (1 + age)
        if repeats:
            odds = 0.8 / (1.5 + repeats) * ((1 + age) / (1 + last)) ** (0.25 + repeats)
            activity /= 1 + odds
        # The own gaps and one more.
        usual = (days[-1] - days[0] + (gap + 60) / 2) / len(days)
        pause = np.log((day - days[-1]) / max(1, usual))
        days_90, days_365 = (int((days >= day - back).sum()) for back in (90, 365))
        end = windows.get(score.as_of_date)
        after = orders[score.customer_id]
        after = after[(after["sale_date"] >= score.as_of_date)]
        after = after[after["sale_date"] < end] if end else after[:0]
        ages = day - events.get(score.customer_id, np.array([]))
        events_90 = int(((ages > 0) & (ages <= 90)).sum())
        rows.append(
            {
                "as_of_date": score.as_of_date,
                "customer_id": score.customer_id,
                "end_date": end,
                "frequency_score": score.frequency_score,
                "rfm_score": round(float(score.rfm_score), 3),
                "order_count": score.order_count,
                "net_revenue": float(score.net_revenue),
                "first_order_date": metrics.loc[key, "first_order_date"],
                # The first order is no habit.
                "days_since_last_order": day - days[-1],
                "order_date_count": len(days),
                "gap": (days[-1] - days[0]) / (len(days) - 1) if repeats else None,
                "pace": 45
                * (
                    (days_90 - (day - days[0] <= 90)) / np.clip(day - days[0], 30, 90)
                    + (days_365 - (day - days[0] <= 365)) / np.clip(day - days[0], 30, 365)
                ),
                "future_orders": int(after["order_count"].sum()),
                "future_revenue": float(after["net_revenue"].sum()),
                "ln_days_since_last_order": np.log1p(day - days[-1]),
                "ln_net_revenue": np.log1p(max(float(score.net_revenue), 0)),
                "ln_order_days_90d": np.log1p(days_90),
                "ln_order_days_365d": np.log1p(days_365),
                "is_one_time_buyer": float(len(days) == 1),
                "ln_activity": np.log(max(activity, 1e-9)),
                "ln_order_rate": np.log((0.25 + repeats) / (1 + (day - days[0]) / 60)),
                "ln_pause": pause,
                "ln_due": max(pause - np.log(0.75), 0.0),
                "ln_overdue": max(pause, 0.0),
                "ln_overdue_by_orders": max(pause, 0.0) * np.log(len(days)),
                "events_90": events_90,
                **({"ln_events_90d": np.log1p(events_90)} if events else {}),
            }
        )
    frame = pd.DataFrame(rows)
    frame["y"] = (frame["future_orders"] > 0).astype(float)
    return frame


def signals_of(rows: pd.DataFrame) -> list[str]:
    return [*SIGNALS, *(["ln_events_90d"] if "ln_events_90d" in rows else [])]


def cutoffs(rows: pd.DataFrame) -> dict[str, dt.date]:
    """The date of each fit: the latest whose outcomes were complete at the date of the one before."""
    ends = rows.dropna(subset="end_date").groupby("as_of_date")["end_date"].first()
    dates = {"current": rows["as_of_date"].max()}
    for code, later in zip(CUTOFFS[1:], CUTOFFS, strict=False):
        if later in dates and len(ends[ends <= dates[later]]):
            dates[code] = ends[ends <= dates[later]].index.max()
    return dates


def fitted(rows: pd.DataFrame, cutoff: dt.date) -> tuple[np.ndarray, pd.Series, pd.Series] | None:
    """(intercept and slopes of standardised signals, means, deviations) by scikit-learn."""
    seen = rows[rows["end_date"].notna()]
    seen = seen[seen["end_date"] <= cutoff]
    if min(seen.loc[seen["y"] == y, "customer_id"].nunique() for y in (0, 1)) < 100:
        return None
    signals = signals_of(rows)
    means, deviations = seen[signals].mean(), seen[signals].std(ddof=0).replace(0, 1)
    # Of the days in 365 the ridge is 100, of all others 3. Here it is one by C for all of them, so a
    # signal is made smaller by the root of what its ridge is more, and its slope as much larger.
    smaller = np.array([np.sqrt(100 / 3) if name == "ln_order_days_365d" else 1 for name in signals])
    model = LogisticRegression(C=1 / 3, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    model.fit((seen[signals] - means) / deviations / smaller, seen["y"])
    return np.array([model.intercept_[0], *(model.coef_[0] / smaller)]), means, deviations


@builds(*[on(target, build_shop, kind) for target in ENGINES for kind in KINDS])
def test_models_and_their_honest_test_equal_the_standard_libraries(build, built):
    rows = panel(built)
    signals, (kind,) = signals_of(rows), build.arguments
    assert ("ln_events_90d" in signals) == (kind == "staying")
    dates = cutoffs(rows)
    assert set(dates) == set(CUTOFFS)
    card = built["propensity_scorecard"].set_index(["fit_code", "signal"]).sort_index()
    performance = built["propensity_performance"].set_index(["fit_code", "variant"]).sort_index()
    deciles = built["propensity_deciles"].set_index(["fit_code", "variant", "decile"]).sort_index()
    assert len(performance) == 9

    odds, lines, helped = {}, {}, {}
    used_now = set(performance[performance["is_used_now"].astype(bool)].index)
    for code in reversed(CUTOFFS):
        fit = fitted(rows, dates[code])
        if fit is None:
            assert code not in card.index.get_level_values("fit_code")
            continue
        slopes, means, deviations = fit
        for place, signal in enumerate(signals, 1):
            found = card.loc[(code, signal)]
            assert abs(found["standardised_coefficient"] - slopes[place]) < 1e-6, (code, signal)
            assert abs(found["coefficient"] - slopes[place] / deviations[signal]) < 1e-5
            points = slopes[place] * 20 / np.log(2)
            assert abs(found["points"] - points) < 0.0501
            assert found["is_converged"]
        at = rows[rows["as_of_date"] == dates[code]].sort_values("customer_id")
        odds[code] = slopes[0] + ((at[signals] - means) / deviations).to_numpy() @ slopes[1:]
        if code == "current":
            continue

        before = {"judged": "earlier", "earlier": "earliest"}.get(code)
        y = at["y"].to_numpy()
        lines[code] = Logit(y, add_constant(odds[code])).fit(disp=0, tol=1e-12).params
        variants = {"model": odds[code], "in_sample": lines[code][0] + lines[code][1] * odds[code]}
        if before in lines:
            variants["recalibrated"] = lines[before][0] + lines[before][1] * odds[code]
            gains = _losses(y, odds[code]) - _losses(y, variants["recalibrated"])
            helped[code] = gains.mean() > gains.std() / np.sqrt(len(gains))
            chance = _chance(variants["recalibrated"])
            off, still_off = abs(_chance(odds[code]).mean() - y.mean()), abs(chance.mean() - y.mean())
            by_chance = np.sqrt((chance * (1 - chance)).sum()) / len(chance)
            helped[code] &= still_off <= max(off / 2, 3 * by_chance)
        used = "recalibrated" if helped.get(before) else "model"
        in_order = at.reset_index(drop=True)
        area, error = area_with_error(
            pd.Series(odds[code]).round(9), in_order["y"], in_order["customer_id"]
        )
        for variant in ("model", "recalibrated", "in_sample"):
            found = performance.loc[(code, variant)]
            if variant not in variants:
                assert "No recalibration was known" in found["what_is_promised"]
                assert found[FIGURES].isna().all()
                continue
            chance = _chance(variants[variant])
            assert bool(found["is_used"]) == (variant == used), (code, variant)
            for name, value in {
                "auc": area,
                "auc_of_rfm_score": roc_auc_score(y, at["rfm_score"]),
                "mean_probability": chance.mean(),
                "retention_rate": y.mean(),
                "brier_score": brier_score_loss(y, chance),
                "log_loss": log_loss(y, chance),
            }.items():
                assert abs(found[name] - value) < 1e-6, (code, variant, name)
            _check_amounts(found, at, chance, order_values(rows, dates[code]))
            # Rows of one date are customers, so the error by customer is DeLong's to n / (n - 1).
            assert abs(found["auc_standard_error"] / error - 1) < 0.01
            line = Logit(y, add_constant(variants[variant])).fit(disp=0, tol=1e-12).params
            assert abs(found["calibration_intercept"] - line[0]) < 1e-5, (code, variant)
            assert abs(found["calibration_slope"] - line[1]) < 1e-5, (code, variant)
            _check_deciles(deciles.loc[(code, variant)], at["customer_id"], chance, y)
    assert len(odds) >= 3
    now = "recalibrated" if helped.get("judged") else "model"
    assert used_now == {(code, now) for code in CUTOFFS[1:]}
    # Between the two shops both are seen.
    assert bool(helped["judged"]) == (kind == "dropping out"), helped

    _check_customers(built, rows, dates["current"], fitted(rows, dates["current"]), lines, helped)


def _chance(odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-odds))


def _losses(y: np.ndarray, odds: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, odds) - y * odds


def _check_deciles(found: pd.DataFrame, customers: pd.Series, chance: np.ndarray, y: np.ndarray):
    frame = pd.DataFrame({"customer": customers.to_numpy(), "p": chance.round(8), "y": y})
    frame = frame.sort_values(["p", "customer"]).reset_index(drop=True)
    # NTILE: the first deciles take the remainder.
    size, more = divmod(len(frame), 10)
    bounds = np.repeat(np.arange(1, 11), [size + (decile < more) for decile in range(10)])
    for decile, part in frame.groupby(bounds):
        row = found.loc[decile]
        assert row["customer_count"] == len(part)
        assert abs(row["mean_probability"] - part["p"].mean()) < 1e-6
        assert abs(row["retention_rate"] - part["y"].mean()) < 1e-9
        off = abs(part["y"].mean() - part["p"].mean())
        error = np.sqrt((part["p"] * (1 - part["p"])).sum()) / len(part)
        assert bool(row["is_off"]) == (off > max(0.03, 3 * error))


def order_values(rows: pd.DataFrame, cutoff: dt.date) -> dict[str, float]:
    """What turns a probability into orders and money, of the outcomes that were complete by then."""
    past = rows[rows["end_date"].notna()]
    past = past[past["end_date"] <= cutoff]
    buyers = past[past["future_orders"] > 0]
    value = buyers["future_revenue"].sum() / buyers["future_orders"].sum()
    own = (buyers["net_revenue"] + 2 * value) / (buyers["order_count"] + 2)
    return {
        "value": value,
        "extra": (buyers["future_orders"] - 1).sum() / buyers["pace"].sum(),
        "factor": past["future_revenue"].sum() / (buyers["future_orders"] * own.clip(0)).sum(),
    }


def expected(
    at: pd.DataFrame, chance: np.ndarray | pd.Series, values: dict[str, float]
) -> tuple[pd.Series, pd.Series]:
    """(orders, money) to be expected of each customer in the horizon."""
    orders = chance * (1 + values["extra"] * at["pace"])
    own = (at["net_revenue"] + 2 * values["value"]) / (at["order_count"] + 2)
    return orders, orders * values["factor"] * own.clip(0)


def _check_amounts(found, at: pd.DataFrame, chance: np.ndarray, values: dict[str, float]) -> None:
    orders, money = expected(at, chance, values)
    assert abs(float(found["expected_orders"]) - orders.sum()) < 0.01
    assert abs(float(found["expected_revenue"]) - money.sum()) < 1
    assert found["order_count"] == at["future_orders"].sum()
    assert abs(float(found["net_revenue"]) - at["future_revenue"].sum()) < 0.005


def year_ratios(built, rows: pd.DataFrame, current: dt.date) -> dict[int, float]:
    """Orders of a year by order of the horizon, by frequency score: what the customers of about a
    year ago placed, at the level that was expected of them (`orders`)."""
    first = built["int_orders"]["sale_date"].min()
    past = rows[rows["end_date"].notna()]
    ages = {day: (current - day).days for day in past["as_of_date"].unique()}
    start = min(
        (day for day, age in ages.items() if age >= 180 and (day - first).days >= 90),
        key=lambda day: (not 365 <= ages[day] <= 410, abs(ages[day] - 365), day),
    )
    # Else the season of the horizon could be another one, and what came in it would count.
    assert ages[start] >= 320
    known = min(ages[start], 365)
    then = rows[rows["as_of_date"] == start].set_index("customer_id")
    after = built["int_orders"]
    after = after[after["sale_date"].map(lambda date: 0 <= (date - start).days < known)]
    then["year"] = after.groupby("customer_id")["order_count"].sum().reindex(then.index).fillna(0)
    sums = then.groupby("frequency_score")[["year", "future_orders"]].sum()
    base, scores = then["year"].sum() / then["future_orders"].sum(), range(1, 6)
    sums = sums.reindex(scores, fill_value=0)
    shrunk = (sums["year"] + 100 * base) / (sums["future_orders"] + 100)
    level = then["future_orders"].sum() / then["orders"].sum()
    return {score: max(1.0, shrunk[score] * level * 365 / known) for score in scores}


def _check_words(found: pd.DataFrame, at: pd.DataFrame) -> None:
    """The reason of the last order says when it was, and how often before."""
    said = found[["reason_1", "reason_2", "reason_3"]].stack().dropna()
    said = said[said.str.contains("last order")].str.replace("(More|Less) likely: ", "", regex=True)
    assert len(said) > 100
    seen = set()

    def in_days(number: int) -> str:
        return "1 day" if number == 1 else f"{number} days"

    for (customer, _), words in said.items():
        row = at.loc[customer]
        days = in_days(row.days_since_last_order)
        gap = int(np.floor(row.gap + 0.5)) if row.order_date_count > 1 else 0
        gaps = in_days(gap)
        before = {
            1: "",
            2: f", the one before it {gaps} earlier",
            3: f", before that one every {'day' if gap == 1 else gaps}",
        }[min(row.order_date_count, 3)]
        assert words == f"last order {days} ago{before}"
        seen.add(min(row.order_date_count, 3))
    assert seen == {1, 2, 3}


def _check_customers(built, rows, current, fit, lines, helped) -> None:
    slopes, means, deviations = fit
    signals = signals_of(rows)
    odds = slopes[0] + ((rows[signals] - means) / deviations).to_numpy() @ slopes[1:]
    if helped.get("judged"):
        odds = lines["judged"][0] + lines["judged"][1] * odds
    rows = rows.assign(p=_chance(odds))

    values = order_values(rows, current)
    rows["orders"], rows["revenue"] = expected(rows, rows["p"], values)
    at = rows[rows["as_of_date"] == current].sort_values("customer_id").set_index("customer_id")
    at["year"] = at["orders"] * at["frequency_score"].map(year_ratios(built, rows, current))

    found = built["customer_propensity"].set_index("customer_id")
    assert set(found.index) == set(at.index)
    found = found.loc[at.index]
    assert (found["method"] == "model").all()
    assert (found["is_recalibrated"] == bool(helped.get("judged"))).all()
    for column, value, tolerance in (
        ("purchase_probability", at["p"], 1e-6),
        ("expected_orders", at["orders"], 1e-4),
        ("expected_orders_12m", at["year"], 1e-3),
    ):
        assert (found[column].astype(float) - value).abs().max() < tolerance, column
    at["year_revenue"] = at["revenue"] * at["year"] / at["orders"]
    for column, value in (("expected_revenue", "revenue"), ("expected_revenue_12m", "year_revenue")):
        off = (found[column].astype(float) - at[value]).abs() / (1 + at[value])
        assert off.max() < 0.01, column
    assert found["reason_1"].str.match("(More|Less) likely: ").all()
    assert found["reason_3"].notna().mean() > 0.95
    _check_words(found, at)
    said = found[["reason_1", "reason_2", "reason_3"]].stack().dropna()
    said = said[said.str.contains("engagement event")]
    assert (len(said) > 100) == ("ln_events_90d" in signals)
    for (customer, _), words in said.items():
        count = at.loc[customer, "events_90"]
        noun = "engagement event" if count == 1 else "engagement events"
        assert words.endswith(f"likely: {count} {noun} in the last 90 days"), words
    # The likeliest are not there for a reason against them, nor the least likely for one in favour.
    best, least = (found[found["probability_decile"] == decile] for decile in (10, 1))
    assert best["reason_1"].str.startswith("More").mean() > 0.95
    assert least["reason_1"].str.startswith("Less").mean() > 0.95


# ---------------------------------------------------------------------------------------------
# Shops of which the truth is known
# ---------------------------------------------------------------------------------------------

HORIZON = 90
DAYS = 720


def planted(
    customers: int, seed: int, season: float = 1.0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(sales, truth by customer): customers order at rates of their own (gamma) for ever, all of them
    from the first weeks on, in the last quarter of the year `season` times as often. `rate`: orders
    per day out of season; `probability`: of an order in any horizon without seasons; `best_guess`:
    the rate that somebody expects who knows how rates are spread and has seen all orders."""
    random = np.random.default_rng(seed)
    rates = random.gamma(1.2, 1 / 200, customers)
    rows, guesses = [], []
    for number, rate in enumerate(rates):
        day = random.uniform(0, 60)
        seen, before = DAYS - day, len(rows)
        while day < DAYS:
            date = FIRST + dt.timedelta(int(day))
            if len(rows) == before or random.uniform(0, season) < (season if date.month > 9 else 1):
                rows.append((f"c{number:05d}", date, Decimal(f"{random.lognormal(3, 0.5):.2f}")))
            day += random.exponential(1 / rate / season)
        guesses.append((1.2 + len(rows) - before - 1) / (200 + seen))
    names = [f"c{number:05d}" for number in range(customers)]
    truth = pd.DataFrame(
        {"rate": rates, "probability": 1 - np.exp(-rates * HORIZON), "best_guess": guesses},
        index=names,
    )
    return object_frame(["customer_id", "sale_date", "revenue"], rows), truth


def build_planted(project: Project) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    sales, truth = planted(3000, 5)
    return build_propensity(project, sales), truth


@builds(on("duckdb", build_planted))
def test_planted_propensities_are_recovered(built):
    found, truth = built
    customers = found["customer_propensity"].set_index("customer_id")
    probability = customers["purchase_probability"].astype(float)
    best = stats.spearmanr(truth["best_guess"], truth["probability"])[0]
    planted_truth = truth["probability"]
    truth = planted_truth[probability.index]
    assert stats.spearmanr(probability, truth)[0] > best - 0.03, best
    assert abs(probability.mean() - truth.mean()) < 0.02
    for decile, part in customers.groupby("probability_decile"):
        off = probability[part.index].mean() - truth[part.index].mean()
        assert abs(off) < 0.05, (decile, off)

    judged = found["propensity_performance"].set_index(["fit_code", "variant"]).loc[("judged", "model")]
    orders = found["int_orders"]
    day = judged["as_of_date"]
    inside = orders[(orders["sale_date"] >= day) & (orders["sale_date"] < day + dt.timedelta(HORIZON))]
    scored = found["int_rfm_scores"]
    scored = scored[scored["as_of_date"] == day]["customer_id"]
    came = scored.isin(set(inside["customer_id"]))
    # The best that anybody could do who knew how rates are spread.
    before = orders[orders["sale_date"] < day].groupby("customer_id")
    ages = before["sale_date"].min().map(lambda first: (day - first).days)
    best = roc_auc_score(came, ((0.2 + before["order_count"].sum()) / (200 + ages))[scored])
    assert judged["auc"] > best - 0.01, (judged["auc"], best)
    assert abs(judged["calibration_slope"] - 1) < 0.15
    # What came is the truth and chance (1.3 points above it here): the level is held against the truth.
    assert abs(judged["mean_probability"] - planted_truth[scored].mean()) < 0.02
    assert (found["propensity_deciles"]["is_out_of_order"] == False).all()  # noqa: E712

    expected = customers["expected_orders"].astype(float).sum()
    true_orders = (-np.log(1 - truth)).sum()
    assert abs(expected / true_orders - 1) < 0.1, (expected, true_orders)
    year = customers["expected_orders_12m"].astype(float).sum()
    assert abs(year / (true_orders * 365 / HORIZON) - 1) < 0.1, (year, true_orders)


def build_seasonal(project: Project) -> list[tuple[dict[str, pd.DataFrame], pd.DataFrame]]:
    found = []
    for seed in (8, 9):
        sales, truth = planted(2500, seed, season=5)
        found.append((build_propensity(project, sales), truth))
    return found


@builds(on("duckdb", build_seasonal))
def test_a_year_is_not_the_season_drawn_out(built):
    # Of single shops one in four is a little beyond 0.2: the model has seen the season once.
    ratios = []
    for found, truth in built:
        customers = found["customer_propensity"].set_index("customer_id")
        rates = truth.loc[customers.index, "rate"].sum()
        in_season = 92
        year = rates * (365 - in_season + 5 * in_season)
        ratios.append(customers["expected_orders_12m"].astype(float).sum() / year)
    assert abs(np.mean(ratios) - 1) < 0.2 and max(abs(np.array(ratios) - 1)) < 0.25, ratios


# ---------------------------------------------------------------------------------------------
# Too little to go by
# ---------------------------------------------------------------------------------------------


def build_little(project: Project) -> dict[str, dict[str, pd.DataFrame]]:
    """Shops with few customers, with a month of sales, where nobody came back, and where all did, who
    are alike in everything, so that there is one segment."""
    few = shop(20, 3, orders_a_year=4)
    month = shop(300, 3, days=30, orders_a_year=20)
    once = few.drop_duplicates("customer_id")
    days = [FIRST + dt.timedelta(day) for day in range(0, 500, 7)]
    always = object_frame(
        ["customer_id", "sale_date", "revenue"],
        [(f"c{number}", day, Decimal(20)) for number in range(150) for day in days],
    )
    found = {}
    for name, sales in {"few": few, "month": month, "once": once, "always": always}.items():
        found[name] = build_propensity(project, sales)
        found[name]["segments"] = project.query(
            "select level, customer_count, retained_count"
            " from rfm_marts.score_retention_validation where scope = 'pooled'"
            " and horizon_code = 'horizon' and segment_scheme = 'lifecycle'"
        )
        for mart in ("score_validation_summary", "signal_importance", "scheme_comparison"):
            found[name][mart] = project.read(f"rfm_marts.{mart}")
    return found


@builds(*[on(target, build_little) for target in ENGINES])
def test_too_little_is_said_and_not_made_up(built):
    for name, found in built.items():
        customers, performance = found["customer_propensity"], found["propensity_performance"]
        assert len(customers) and len(performance) == 9, name
        assert len(found["propensity_scorecard"]) == len(found["propensity_deciles"]) == 0, name
        assert performance[FIGURES].isna().all().all()
        assert performance["what_is_promised"].notna().all()
        # Nothing can be told apart where nobody, everybody or no date is finished; a reason says so.
        if name != "few":
            summary, signals = found["score_validation_summary"], found["signal_importance"]
            comparison = found["scheme_comparison"]
            figures = ["auc", "auc_low", "auc_high", "auc_standard_error", "spearman_retention"]
            assert len(summary) and summary[figures].isna().all().all()
            assert summary["note"].notna().all()
            figures = ["information_value", "auc", "added_auc", "added_p_value"]
            assert len(signals) > 10 and signals[figures].isna().all().all()
            assert not signals["what_it_tells"].str.contains("RFM").any()
            assert len(comparison) and comparison["information_value"].isna().all()
            assert comparison["note"].notna().all() and comparison["retention_rank"].isna().all()
        why = {
            "few": r"Too few customers came back \(\d+\) or did not \(\d+\): a model needs 100 of each",
            "month": "Too few finished dates: at the date of this model none was complete",
            "once": "Nobody came back on the finished dates",
            "always": "Everybody came back on the finished dates",
        }
        of_latest = performance[performance["fit_code"] == "judged"]
        assert of_latest["what_is_promised"].str.fullmatch(why[name]).all(), name
        assert not performance["is_used_now"].any()
        assert customers[["reason_1", "reason_2", "reason_3"]].isna().all().all()
        assert (customers["segment_key"].nunique() == 1) == (name == "always"), name
        if name == "month":
            assert set(customers["method"]) == {"none"}
            figures = ["purchase_probability", "probability_decile", "expected_orders"]
            figures += ["expected_revenue", "expected_orders_12m", "expected_revenue_12m"]
            assert customers[figures].isna().all().all()
            assert customers["note"].str.startswith("Nobody was scored at a date so long ago").all()
            continue
        assert set(customers["method"]) == {"segment_rate"}, name
        words = "; without a model the probability is the rate of the segment"
        assert customers["note"].str.match(why[name] + words).all(), name
        segments = found["segments"].set_index("level").astype({"customer_count": float})
        base = (segments["retained_count"].sum() + 0.5) / (segments["customer_count"].sum() + 1)
        for row in customers.itertuples():
            count, retained = 0.0, 0.0
            if row.segment_key in segments.index:
                count, retained = segments.loc[row.segment_key, ["customer_count", "retained_count"]]
            expected = (retained + 20 * base) / (count + 20)
            assert abs(row.purchase_probability - expected) < 1e-8, (name, row)
            assert 0 < row.purchase_probability < 1
        if name == "once":
            assert customers["expected_revenue"].isna().all()


def build_constant(project: Project) -> dict[str, pd.DataFrame]:
    """A shop where everybody is worth 100 and nobody bought on one day only: whatever is bought after
    the first day is sent back. Two signals say nothing."""
    sales, _ = planted(700, 4)
    first = sales.groupby("customer_id", as_index=False)["sale_date"].min()
    next_day = first.assign(sale_date=first["sale_date"] + dt.timedelta(1))
    later = pd.concat([sales[["customer_id", "sale_date"]], next_day]).drop_duplicates()
    later = later.merge(first.assign(is_first=True), how="left").query("is_first.isna()")
    rows = [(row.customer_id, row.sale_date, Decimal(100)) for row in first.itertuples()]
    rows += [
        (row.customer_id, row.sale_date, Decimal(amount))
        for row in later.itertuples()
        for amount in (10, -10)
    ]
    return build_propensity(project, object_frame(["customer_id", "sale_date", "revenue"], rows))


@builds(*[on(target, build_constant) for target in ENGINES])
def test_a_constant_signal_weighs_nothing_and_is_no_reason(built):
    card = built["propensity_scorecard"].set_index(["fit_code", "signal"]).sort_index()
    for signal in ("ln_net_revenue", "is_one_time_buyer"):
        found = card.loc[("current", signal)]
        assert found["coefficient"] == 0 and found["signal_deviation"] == 1, signal
    customers = built["customer_propensity"]
    assert set(customers["method"]) == {"model"} and customers["purchase_probability"].notna().all()
    reasons = customers[["reason_1", "reason_2", "reason_3"]].stack().dropna()
    assert len(reasons) > len(customers) and not reasons.str.contains("net revenue").any()
    # Nothing remains of what they buy.
    assert (customers["expected_revenue"] == 0).all() and (customers["expected_orders"] > 0).all()
    judged = built["propensity_performance"].set_index(["fit_code", "variant"]).loc[("judged", "model")]
    assert judged["expected_revenue"] == judged["net_revenue"] == 0
    assert 0.8 < judged["expected_orders"] / judged["order_count"] < 1.25


# ---------------------------------------------------------------------------------------------
# Beside what others would have done
# ---------------------------------------------------------------------------------------------


def build_cdnow(project: Project) -> dict[str, pd.DataFrame]:
    """The honest test on CDNOW: judged on 1997-10-01, with what was known on that day."""
    land_cdnow(project)
    run = project.dbt(
        "run",
        *("--select", "+propensity_performance"),
        vars={"as_of_date": "1998-01-01", "history_periods": 12},
    )
    assert run.success, run.problems
    return read_judged(project)


def read_judged(project: Project) -> dict[str, pd.DataFrame]:
    names = ("int_propensity_features", "int_propensity_judged", "int_rfm_scores", "int_order_dates")
    names += ("int_orders",)
    found = {name: project.read(f"rfm_intermediate.{name}") for name in names}
    return found | {"performance": project.read("rfm_marts.propensity_performance")}


def rhythms(customers: int, seed: int) -> pd.DataFrame:
    """Sales of another kind of shop: a third buy once; a third use things up and buy again in a rhythm
    of their own (gaps of a gamma distribution, some stop); a third buy when they feel like it, most
    before Christmas. One order in eight is sent back."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(customers):
        customer, kind = f"c{number:05d}", random.integers(3)
        day, basket = random.uniform(0, 650), random.lognormal(3.5, 0.6)
        gap = random.lognormal(3.8, 0.5) if kind == 1 else random.lognormal(4.8, 0.7)
        stops = 0.06 if kind == 1 else 0.12
        while day < 760:
            date = FIRST + dt.timedelta(int(day))
            amount = round(basket * random.lognormal(0, 0.4), 2)
            rows.append((customer, date, Decimal(f"{amount:.2f}")))
            if random.random() < 0.125 and day + 9 < 760:
                rows.append((customer, date + dt.timedelta(9), Decimal(f"{-amount:.2f}")))
            if kind == 0 or random.random() < stops:
                break
            season = 2.5 if kind == 2 and date.month >= 10 else 1
            day += (random.gamma(9, gap / 9) if kind == 1 else random.exponential(gap)) / season
    return object_frame(["customer_id", "sale_date", "revenue"], rows)


def build_rhythms(project: Project) -> dict[str, pd.DataFrame]:
    run = land_and_build(project, rhythms(5000, 31), "run", "+propensity_performance")
    assert run.success, run.problems
    return read_judged(project)


def placements(score: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """(AUC, for each who came the share of the gone below, for each gone that of the came above)."""
    ranks, came = stats.rankdata(score), y == 1
    below = (ranks[came] - stats.rankdata(score[came])) / (~came).sum()
    above = 1 - (ranks[~came] - stats.rankdata(score[~came])) / came.sum()
    return float(below.mean()), below, above


def paired_error(score: np.ndarray, other: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """(difference of two AUC on the same customers, its standard error after DeLong)."""
    (area, below, above), (other_area, other_below, other_above) = (
        placements(values, y) for values in (score, other)
    )
    variance = np.var(below - other_below, ddof=1) / len(below)
    variance += np.var(above - other_above, ddof=1) / len(above)
    return area - other_area, float(np.sqrt(variance))


# Of BG/NBD, published for CDNOW (Fader, Hardie and Lee 2005).
CDNOW_PARAMETERS = (0.243, 4.414, 0.793, 2.426)


def repeats_and_ages(history: pd.DataFrame, day: dt.date) -> pd.DataFrame:
    """Days with orders after the first (x), weeks from the first to the last (t_x) and to the date."""
    known = history[history["order_date"] < day].groupby("customer_id")["order_date"]
    first, last, count = known.min(), known.max(), known.count()
    return pd.DataFrame(
        {
            "x": (count - 1).astype(float),
            "t_x": (last - first).map(lambda gap: gap.days / 7),
            "age": first.map(lambda date: (day - date).days / 7),
        }
    )


def bg_nbd_parameters(history: pd.DataFrame, day: dt.date) -> tuple[float, ...]:
    """The estimates of the greatest likelihood (Fader, Hardie and Lee 2005, equation 6)."""
    known = repeats_and_ages(history, day)
    x, t_x, age = (known[name].to_numpy() for name in ("x", "t_x", "age"))
    ln = special.gammaln

    def loss(logarithms: np.ndarray) -> float:
        r, alpha, a, b = np.exp(logarithms)
        common = ln(r + x) - ln(r) + r * np.log(alpha)
        common += ln(a + b) + ln(b + x) - ln(b) - ln(a + b + x)
        alive = -(r + x) * np.log(alpha + age)
        gone = np.log(a) - np.log(np.maximum(b + x - 1, 1e-9)) - (r + x) * np.log(alpha + t_x)
        return -(common + np.where(x > 0, np.logaddexp(alive, gone), alive)).mean()

    found = optimize.minimize(loss, np.zeros(4), method="L-BFGS-B", bounds=[(-6, 6)] * 4)
    assert found.success, found
    return tuple(np.exp(found.x))


def orders_expected_by_bg_nbd(
    history: pd.DataFrame, day: dt.date, parameters: tuple[float, ...]
) -> pd.Series:
    """Orders within 13 weeks by BG/NBD (Fader, Hardie and Lee 2005, equation 10)."""
    r, alpha, a, b = parameters
    known = repeats_and_ages(history, day)
    x, t_x, age = known["x"], known["t_x"], known["age"]
    weeks = 13
    z = weeks / (alpha + age + weeks)
    expected = (a + b + x - 1) / (a - 1) * (
        1
        - ((alpha + age) / (alpha + age + weeks)) ** (r + x)
        * special.hyp2f1(r + x, b + x, a + b + x - 1, z)
    )
    alive = 1 + (x > 0) * a / (b + x - 1) * ((alpha + age) / (alpha + t_x)) ** (r + x)
    return expected / alive


def plain_features(orders: pd.DataFrame, day: dt.date) -> pd.DataFrame:
    """What an analyst would make of the orders before a date, by customer with an order."""
    before = orders[orders["sale_date"] < day]
    before = before.assign(age=before["sale_date"].map(lambda date: (day - date).days))
    bought = before[before["order_count"] > 0]
    ages = bought.groupby("customer_id")["age"]
    days = bought.drop_duplicates(["customer_id", "age"])
    found = pd.DataFrame(
        {
            "recency": ages.min(),
            "tenure": ages.max(),
            "frequency": bought.groupby("customer_id")["order_count"].sum(),
            "monetary": before.groupby("customer_id")["net_revenue"].sum(),
        }
    ).dropna()
    for back in (30, 90, 180, 365):
        recent = days[days["age"] <= back].groupby("customer_id").size()
        found[f"days_{back}"] = recent.reindex(found.index, fill_value=0)
    count = days.groupby("customer_id").size()
    found["gap"] = ((found["tenure"] - found["recency"]) / (count - 1).replace(0, np.nan)).fillna(-1)
    return found.astype(float)


def rivals(
    found: dict[str, pd.DataFrame], day: dt.date, customers: pd.Index
) -> dict[str, np.ndarray]:
    """What others say of the customers, who have seen no outcome later than that day."""
    orders = found["int_orders"].assign(net_revenue=found["int_orders"]["net_revenue"].astype(float))
    orders = orders.sort_values(["customer_id", "sale_date", "net_revenue"])
    # In one order: which rows boosting holds back to know when to stop goes by their places.
    features = found["int_propensity_features"].sort_values(["as_of_date", "customer_id"])
    known = features[features["end_date"].notna()]
    known = known[known["end_date"] <= day]
    seen, outcomes = [], []
    for start, end in known[["as_of_date", "end_date"]].drop_duplicates().itertuples(index=False):
        plain = plain_features(orders, start)
        inside = orders[(orders["sale_date"] >= start) & (orders["sale_date"] < end)]
        came = set(inside.loc[inside["order_count"] > 0, "customer_id"])
        seen.append(plain)
        outcomes.append(plain.index.isin(came))
    train, y = pd.concat(seen), np.concatenate(outcomes).astype(int)
    at = plain_features(orders, day).loc[customers]

    def logs(rows: pd.DataFrame) -> pd.DataFrame:
        return np.log1p(rows.clip(lower=0)).assign(once=rows["gap"] < 0)

    logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    logistic.fit(logs(train), y)
    trees = HistGradientBoostingClassifier(
        max_iter=150, learning_rate=0.05, max_leaf_nodes=8, random_state=0
    )
    trees.fit(train, y)
    ours = HistGradientBoostingClassifier(
        max_iter=150, learning_rate=0.05, max_leaf_nodes=8, random_state=0
    )
    ours.fit(known[SIGNALS].astype(float), known["y"].astype(int))
    judged = features[(features["as_of_date"] == day) & ~features["is_current"].astype(bool)]
    judged = judged.set_index("customer_id").loc[customers]
    scores = found["int_rfm_scores"]
    scores = scores[scores["as_of_date"] == day].set_index("customer_id").loc[customers]
    sums = sum(scores[f"{name}_score"].astype(int) for name in ("recency", "frequency", "monetary"))
    return {
        "summed scores": sums.to_numpy(),
        "logistic regression on plain features": logistic.predict_proba(logs(at))[:, 1],
        "gradient boosting on plain features": trees.predict_proba(at)[:, 1],
        "gradient boosting on our signals": ours.predict_proba(judged[SIGNALS].astype(float))[:, 1],
    }


def judged_customers(found: dict[str, pd.DataFrame]) -> pd.DataFrame:
    judged = found["int_propensity_judged"]
    judged = judged[(judged["fit_code"] == "judged") & (judged["variant"] == "model")]
    return judged.set_index("customer_id").sort_index()


@needs_cdnow
@builds(on("duckdb", build_cdnow))
def test_cdnow_is_predicted_as_well_as_by_the_best(built):
    judged = judged_customers(built)
    day, y = judged["as_of_date"].iloc[0], judged["y"].to_numpy().astype(int)
    assert day == dt.date(1997, 10, 1) and len(judged) > 23_000
    amounts = built["performance"].set_index(["fit_code", "variant"]).loc[("judged", "model")]
    came = (amounts["order_count"], amounts["net_revenue"])
    assert came == (7707, Decimal("296984.30"))
    # Nine in ten of what came: the months before Christmas are better than those before.
    assert abs(amounts["expected_orders"] - 6840.1) < 1, amounts["expected_orders"]
    assert abs(float(amounts["expected_revenue"]) - 260759) < 50, amounts["expected_revenue"]
    ours = judged["log_odds"].astype(float).to_numpy()
    bg_nbd = orders_expected_by_bg_nbd(built["int_order_dates"], day, CDNOW_PARAMETERS)
    others = rivals(built, day, judged.index) | {"BG/NBD": bg_nbd[judged.index].to_numpy()}
    assert roc_auc_score(y, others["BG/NBD"]) > 0.765 and roc_auc_score(y, ours) > 0.775
    for name, other in others.items():
        difference, error = paired_error(ours, other, y)
        assert difference > -error, (name, difference, error)


@builds(on("duckdb", build_rhythms))
def test_a_shop_with_rhythms_is_predicted_as_well_as_by_the_best(built):
    judged = judged_customers(built)
    day, y = judged["as_of_date"].iloc[0], judged["y"].to_numpy().astype(int)
    assert len(judged) > 3000 and 0.1 < y.mean() < 0.6
    ours = judged["log_odds"].astype(float).to_numpy()
    parameters = bg_nbd_parameters(built["int_order_dates"], day)
    bg_nbd = orders_expected_by_bg_nbd(built["int_order_dates"], day, parameters)
    others = rivals(built, day, judged.index) | {"BG/NBD": bg_nbd[judged.index].to_numpy()}
    for name, other in others.items():
        difference, error = paired_error(ours, other, y)
        print(f"{name}: {roc_auc_score(y, other):.4f}, ours {difference:+.4f} ± {error:.4f}")
        assert difference > -error, (name, difference, error)
