"""Purchase probabilities: derived again with the standard libraries, held against shops of which the
propensities are known, and what is said where there is too little to go by."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from statsmodels.api import Logit, add_constant

from python_checks.dbt_project import TARGETS, Project, builds, object_frame, on
from python_checks.test_validation import FIRST, area_with_error, shop

SIGNALS = [
    "ln_days_since_last_order",
    "ln_net_revenue",
    "ln_order_days_90d",
    "ln_order_days_365d",
    "is_one_time_buyer",
    "ln_activity",
]
CUTOFFS = ("current", "judged", "earlier", "earliest")
MARTS = ["customer_propensity", "propensity_scorecard", "propensity_performance", "propensity_deciles"]
INTERMEDIATE = [
    "int_orders",
    "int_order_dates",
    "int_rfm_scores",
    "int_lifecycle_stages",
    "int_customer_metrics",
    "int_validation_windows",
    "int_group_gaps",
]


def build_propensity(project: Project, sales: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The marts of the propensity and what they are derived from."""
    types = {"customer_id": "varchar", "sale_date": "date", "revenue": "decimal(18, 2)"}
    project.land("fact_sales", sales, types)
    run = project.dbt(
        "run",
        *("--select", "+marts.propensity", "+score_retention_validation"),
        vars={"latest_plausible_date": "2030-01-01", "history_periods": 12},
    )
    assert run.success, run.problems
    return {name: project.read(f"rfm_marts.{name}") for name in MARTS} | {
        name: project.read(f"rfm_intermediate.{name}") for name in INTERMEDIATE
    }


def build_shop(project: Project) -> dict[str, pd.DataFrame]:
    return build_propensity(project, shop(1500, 21, orders_a_year=5))


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
        days_90, days_365 = (int((days >= day - back).sum()) for back in (90, 365))
        end = windows.get(score.as_of_date)
        after = orders[score.customer_id]
        after = after[(after["sale_date"] >= score.as_of_date)]
        after = after[after["sale_date"] < end] if end else after[:0]
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
                "pace": 45
                * (
                    days_90 / np.clip(day - days[0], 30, 90)
                    + days_365 / np.clip(day - days[0], 30, 365)
                ),
                "future_orders": int(after["order_count"].sum()),
                "future_revenue": float(after["net_revenue"].sum()),
                "ln_days_since_last_order": np.log1p(day - days[-1]),
                "ln_net_revenue": np.log1p(max(float(score.net_revenue), 0)),
                "ln_order_days_90d": np.log1p(days_90),
                "ln_order_days_365d": np.log1p(days_365),
                "is_one_time_buyer": float(len(days) == 1),
                "ln_activity": np.log(max(activity, 1e-9)),
            }
        )
    frame = pd.DataFrame(rows)
    frame["y"] = (frame["future_orders"] > 0).astype(float)
    return frame


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
    if min(seen["y"].sum(), (1 - seen["y"]).sum()) < 100:
        return None
    means, deviations = seen[SIGNALS].mean(), seen[SIGNALS].std(ddof=0).replace(0, 1)
    model = LogisticRegression(C=1.0, tol=1e-12, max_iter=10_000)
    model.fit((seen[SIGNALS] - means) / deviations, seen["y"])
    return np.array([model.intercept_[0], *model.coef_[0]]), means, deviations


@builds(*[on(target, build_shop) for target in TARGETS])
def test_models_and_their_honest_test_equal_the_standard_libraries(built):
    rows = panel(built)
    dates = cutoffs(rows)
    assert set(dates) == set(CUTOFFS)
    card = built["propensity_scorecard"].set_index(["fit_code", "signal"]).sort_index()
    performance = built["propensity_performance"].set_index(["fit_code", "variant"]).sort_index()
    deciles = built["propensity_deciles"].set_index(["fit_code", "variant", "decile"]).sort_index()
    assert len(performance) == 9

    odds, lines, helped = {}, {}, {}
    for code in reversed(CUTOFFS):
        fit = fitted(rows, dates[code])
        if fit is None:
            assert code not in card.index.get_level_values("fit_code")
            continue
        slopes, means, deviations = fit
        for place, signal in enumerate(SIGNALS, 1):
            found = card.loc[(code, signal)]
            assert abs(found["standardised_coefficient"] - slopes[place]) < 1e-6, (code, signal)
            assert abs(found["coefficient"] - slopes[place] / deviations[signal]) < 1e-5
            points = slopes[place] * 20 / np.log(2)
            assert abs(found["points"] - points) < 0.0501
            assert found["is_converged"]
        at = rows[rows["as_of_date"] == dates[code]].sort_values("customer_id")
        odds[code] = slopes[0] + ((at[SIGNALS] - means) / deviations).to_numpy() @ slopes[1:]
        if code == "current":
            continue

        before = {"judged": "earlier", "earlier": "earliest"}.get(code)
        y = at["y"].to_numpy()
        lines[code] = Logit(y, add_constant(odds[code])).fit(disp=0, tol=1e-12).params
        variants = {"model": odds[code], "in_sample": lines[code][0] + lines[code][1] * odds[code]}
        if before in lines:
            variants["recalibrated"] = lines[before][0] + lines[before][1] * odds[code]
            helped[code] = log_loss(y, _chance(variants["recalibrated"])) < log_loss(
                y, _chance(odds[code])
            )
        used = "recalibrated" if helped.get(before) else "model"
        in_order = at.reset_index(drop=True)
        area, error = area_with_error(
            pd.Series(odds[code]).round(9), in_order["y"], in_order["customer_id"]
        )
        for variant in ("model", "recalibrated", "in_sample"):
            found = performance.loc[(code, variant)]
            if variant not in variants:
                assert found["auc"] is None and "No recalibration was known" in found["what_is_promised"]
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
            # Rows of one date are customers, so the error by customer is DeLong's to n / (n - 1).
            assert abs(found["auc_standard_error"] / error - 1) < 0.01
            line = Logit(y, add_constant(variants[variant])).fit(disp=0, tol=1e-12).params
            assert abs(found["calibration_intercept"] - line[0]) < 1e-5, (code, variant)
            assert abs(found["calibration_slope"] - line[1]) < 1e-5, (code, variant)
            _check_deciles(deciles.loc[(code, variant)], at["customer_id"], chance, y)
    assert len(odds) >= 3

    _check_customers(built, rows, dates["current"], odds["current"], lines, helped)


def _chance(odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-odds))


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


def _check_customers(built, rows, current, odds, lines, helped) -> None:
    at = rows[rows["as_of_date"] == current].sort_values("customer_id").set_index("customer_id")
    if helped.get("judged"):
        odds = lines["judged"][0] + lines["judged"][1] * odds
    at["p"] = _chance(odds)

    past = rows[rows["end_date"].notna() & (rows["future_orders"] > 0)]
    value = past["future_revenue"].sum() / past["future_orders"].sum()
    extra = (past["future_orders"] - 1).sum() / past["pace"].sum()

    def own(frame: pd.DataFrame) -> pd.Series:
        return ((frame["net_revenue"] + 2 * value) / (frame["order_count"] + 2)).clip(0)

    factor = past["future_revenue"].sum() / (past["future_orders"] * own(past)).sum()
    at["orders"] = at["p"] * (1 + extra * at["pace"])
    at["revenue"] = at["orders"] * factor * own(at)

    # A year after the oldest date of the history, at the pace of the days that are known.
    start = min(
        (day for day in built["int_rfm_scores"]["as_of_date"].unique() if (current - day).days >= 180),
        key=lambda day: ((current - day).days < 365, abs((current - day).days - 365)),
    )
    known = min((current - start).days, 365)
    then = built["int_rfm_scores"]
    then = then[then["as_of_date"] == start].set_index("customer_id")["frequency_score"]
    after = built["int_orders"].merge(then.rename("score"), left_on="customer_id", right_index=True)
    after = after[(after["sale_date"] >= start)]
    day = after["sale_date"].map(lambda date: (date - start).days)
    near, year = after[day < 90], after[day < known]
    near, year = (part.groupby("score")["order_count"].sum() for part in (near, year))
    base = year.sum() / near.sum()
    by_score = {
        score: (year.get(score, 0) / near[score] if near.get(score, 0) >= 100 else base) * 365 / known
        for score in range(1, 6)
    }
    at["year"] = at["orders"] * at["frequency_score"].map(by_score)

    found = built["customer_propensity"].set_index("customer_id")
    assert set(found.index) == set(at.index)
    found = found.loc[at.index]
    assert (found["method"] == "model").all()
    assert (found["is_recalibrated"] == bool(helped.get("judged"))).all()
    for column, expected, tolerance in (
        ("purchase_probability", at["p"], 1e-6),
        ("expected_orders", at["orders"], 1e-4),
        ("expected_orders_12m", at["year"], 1e-3),
    ):
        assert (found[column].astype(float) - expected).abs().max() < tolerance, column
    off = (found["expected_revenue"].astype(float) - at["revenue"]).abs() / (1 + at["revenue"])
    assert off.max() < 0.01
    assert found["reason_1"].str.match("(More|Less) likely: ").all()
    assert found["reason_3"].notna().all()
    # The likeliest are not there for a reason against them, nor the least likely for one in favour.
    best, least = (found[found["probability_decile"] == decile] for decile in (10, 1))
    assert best["reason_1"].str.startswith("More").mean() > 0.95
    assert least["reason_1"].str.startswith("Less").mean() > 0.95


# ---------------------------------------------------------------------------------------------
# Shops of which the truth is known
# ---------------------------------------------------------------------------------------------

HORIZON = 90
DAYS = 720


def planted(customers: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(sales, truth by customer): customers order at rates of their own (gamma) for ever, all of them
    from the first weeks on. `probability`: of an order in any horizon; `best_guess`: the rate that
    somebody expects who knows how rates are spread and has seen all orders."""
    random = np.random.default_rng(seed)
    rates = random.gamma(1.2, 1 / 200, customers)
    rows, guesses = [], []
    for number, rate in enumerate(rates):
        day = random.uniform(0, 60)
        seen, before = DAYS - day, len(rows)
        while day < DAYS:
            rows.append(
                (
                    f"c{number:05d}",
                    FIRST + dt.timedelta(int(day)),
                    Decimal(f"{random.lognormal(3, 0.5):.2f}"),
                )
            )
            day += random.exponential(1 / rate)
        guesses.append((1.2 + len(rows) - before - 1) / (200 + seen))
    names = [f"c{number:05d}" for number in range(customers)]
    truth = pd.DataFrame(
        {"probability": 1 - np.exp(-rates * HORIZON), "best_guess": guesses}, index=names
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
    truth = truth.loc[probability.index, "probability"]
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
    # The best that anybody could do who knew every rate.
    best = roc_auc_score(came, built[1].loc[scored, "probability"])
    assert judged["auc"] > best - 0.03, (judged["auc"], best)
    assert abs(judged["calibration_slope"] - 1) < 0.15
    assert abs(judged["mean_probability"] - judged["retention_rate"]) < 0.03
    assert (found["propensity_deciles"]["is_out_of_order"] == False).all()  # noqa: E712

    expected = customers["expected_orders"].astype(float).sum()
    true_orders = (-np.log(1 - truth)).sum()
    assert abs(expected / true_orders - 1) < 0.1, (expected, true_orders)


# ---------------------------------------------------------------------------------------------
# Too little to go by
# ---------------------------------------------------------------------------------------------


def build_little(project: Project) -> dict[str, dict[str, pd.DataFrame]]:
    """Shops with few customers, with a month of sales, where nobody came back, and where all did."""
    few = shop(20, 3, orders_a_year=4)
    month = shop(300, 3, days=30, orders_a_year=20)
    once = few.drop_duplicates("customer_id")
    days = [FIRST + dt.timedelta(day) for day in range(0, 500, 7)]
    always = object_frame(
        ["customer_id", "sale_date", "revenue"],
        [(f"c{number}", day, Decimal(20 + number)) for number in range(150) for day in days],
    )
    found = {}
    for name, sales in {"few": few, "month": month, "once": once, "always": always}.items():
        found[name] = build_propensity(project, sales)
        found[name]["segments"] = project.query(
            "select level, customer_count, retained_count"
            " from rfm_marts.score_retention_validation where scope = 'pooled'"
            " and horizon_code = 'horizon' and segment_scheme = 'lifecycle'"
        )
    return found


@builds(*[on(target, build_little) for target in TARGETS])
def test_too_little_is_said_and_not_made_up(built):
    for name, found in built.items():
        customers, performance = found["customer_propensity"], found["propensity_performance"]
        assert len(customers) and len(performance) == 9, name
        assert len(found["propensity_scorecard"]) == len(found["propensity_deciles"]) == 0, name
        assert performance["auc"].isna().all() and performance["what_is_promised"].notna().all()
        if name == "month":
            assert set(customers["method"]) == {"none"}
            figures = ["purchase_probability", "probability_decile", "expected_orders"]
            figures += ["expected_revenue", "expected_orders_12m", "expected_revenue_12m", "reason_1"]
            assert customers[figures].isna().all().all()
            assert customers["note"].str.startswith("No date of the history is so long ago").all()
            continue
        assert set(customers["method"]) == {"segment_rate"}, name
        assert customers["note"].str.startswith("Too few customers came back").all()
        segments = found["segments"].set_index("level").astype({"customer_count": float})
        base = (segments["retained_count"].sum() + 0.5) / (segments["customer_count"].sum() + 1)
        for row in customers.itertuples():
            count, retained = 0.0, 0.0
            if row.segment_key in segments.index:
                count, retained = segments.loc[row.segment_key, ["customer_count", "retained_count"]]
            expected = (retained + 20 * base) / (count + 20)
            assert abs(row.purchase_probability - expected) < 1e-8, (name, row)
            assert row.reason_1.startswith("Rate of the segment: ") and row.reason_2 is None
            assert 0 < row.purchase_probability < 1
        if name == "once":
            assert customers["expected_revenue"].isna().all()
