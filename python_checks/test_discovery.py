"""Discovered segments: k-means and silhouette against scikit-learn on the same cells and starts, and
the scheme that is made of them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from python_checks.dbt_project import (
    FULL,
    TARGETS,
    Project,
    builds,
    object_frame,
    on,
)
from python_checks.test_validation import FIRST, land_and_build, shop

# The build of the demo has them on both engines; here PostgreSQL is for the full run.
ENGINES = TARGETS if FULL else ("duckdb",)
AXES = ["recency", "frequency", "monetary"]
SCORES = [f"{axis}_score" for axis in AXES]
LATEST = "2030-01-01"
TABLES = {
    "rfm_intermediate": [
        "int_rfm_scores",
        "int_customer_metrics",
        "int_discovery_cells",
        "int_discovery_centres",
        "int_discovered_cells",
        "int_discovered_profiles",
    ],
    "rfm_marts": [
        "discovered_segments",
        "discovered_segment_choices",
        "discovered_segment_crosswalk",
        "customer_segments",
        "customer_segment_history",
        "build_warnings",
    ],
}


def build_discovered(project: Project) -> dict[str, pd.DataFrame]:
    """What is found in a generated shop, and what customers are in when the scheme is active."""
    sales = shop(700, 12, orders_a_year=6)
    types = {"customer_id": "varchar", "sale_date": "date", "revenue": "decimal(18, 2)"}
    project.land("fact_sales", sales, types)
    run = project.dbt(
        "build",
        *("--select", "+marts.discovery", "+customer_segments", "segment_strategies"),
        "+build_warnings",
        *("--exclude-resource-type", "unit_test", "--indirect-selection", "cautious"),
        vars={"latest_plausible_date": LATEST, "segment_scheme": "discovered"},
    )
    assert run.success, run.problems
    found = {
        name: project.read(f"{schema}.{name}") for schema, names in TABLES.items() for name in names
    } | {"strategies": project.read("rfm_marts.segment_strategies")}
    # No number of clusters from three on has half of the customers in the smallest one.
    run = project.dbt(
        "run",
        *("--select", "int_discovery_choices", "int_discovered_profiles", "int_discovered_cells"),
        *("discovered_segments", "discovered_segment_choices", "segment_score_cells"),
        *("customer_segment_history", "customer_segments", "segment_rule_coverage"),
        *("segment_summary", "build_warnings"),
        vars={
            "latest_plausible_date": LATEST,
            "segment_scheme": "discovered",
            "min_segment_share": 0.5,
        },
    )
    assert run.success, run.problems
    names = ("discovered_segment_choices", "discovered_segments", "customer_segments")
    names += ("build_warnings", "customer_segment_history")
    return found | {f"without: {name}": project.read(f"rfm_marts.{name}") for name in names}


def current_customers(found: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Scored customers of the current date with their place on the axes, not yet standardised."""
    scores = found["int_rfm_scores"]
    scores = scores[scores["as_of_date"] == scores["as_of_date"].max()]
    scores = scores[["as_of_date", "customer_id", *SCORES]]
    rows = scores.merge(found["int_customer_metrics"], on=["as_of_date", "customer_id"])
    rows["recency"] = -np.log1p(rows["days_since_last_order"].astype(float))
    rows["frequency"] = np.log1p(rows["order_count"].astype(float))
    rows["monetary"] = np.log1p(rows["net_revenue"].astype(float).clip(0))
    return rows


def expected_cells(found: dict[str, pd.DataFrame]) -> pd.DataFrame:
    rows = current_customers(found)
    standard = (rows[AXES] - rows[AXES].mean()) / rows[AXES].std(ddof=0)
    by_cell = pd.concat([rows[SCORES], standard], axis=1).groupby(SCORES)
    cells = by_cell[AXES].mean()
    cells["customer_count"] = by_cell.size()
    cells["spread"] = by_cell[AXES].var(ddof=0).sum(axis=1)
    return cells.reset_index()


def customer_distances(cells: pd.DataFrame) -> np.ndarray:
    """The root of the mean squared distance between customers of two cells, for all customers."""
    points, spreads = cells[AXES].to_numpy(), cells["spread"].to_numpy()
    squares = ((points[:, None] - points) ** 2).sum(axis=2) + spreads[:, None] + spreads
    places = np.repeat(np.arange(len(cells)), cells["customer_count"].astype(int))
    distances = np.sqrt(squares)[np.ix_(places, places)]
    np.fill_diagonal(distances, 0)
    return distances


def starts(cells: pd.DataFrame, count: int) -> dict[str, np.ndarray]:
    """The two starts, by their definitions; cells are in the order of their scores."""
    points, weights = cells[AXES].to_numpy(), cells["customer_count"].astype(int).to_numpy()
    chosen = [int(np.argmax(weights))]
    while len(chosen) < count:
        distances = ((points[:, None] - points[chosen]) ** 2).sum(axis=2).min(axis=1)
        chosen.append(int(np.argmax(distances.round(9))))
    order = np.argsort(points.sum(axis=1).round(9), kind="stable")
    share = weights[order].cumsum() / weights.sum()
    places = [np.argmax(share * count >= number - 0.5) for number in range(1, count + 1)]
    return {"far": points[chosen], "quantile": points[order[places]]}


@builds(*[on(target, build_discovered) for target in ENGINES])
def test_clusters_equal_those_of_scikit_learn(built):
    cells = built["int_discovery_cells"].sort_values(SCORES).reset_index(drop=True)
    expected = expected_cells(built)
    assert cells[[*SCORES, "customer_count"]].astype(int).equals(
        expected[[*SCORES, "customer_count"]].astype(int)
    )
    columns = [*AXES, "spread"]
    assert np.allclose(cells[columns].astype(float), expected[columns], atol=1e-7)

    cells[columns] = cells[columns].astype(float)
    distances = customer_distances(cells)
    points, weights = cells[AXES].to_numpy(), cells["customer_count"].astype(int).to_numpy()
    choices = built["discovered_segment_choices"].set_index("cluster_count")
    assert sorted(choices.index) == list(range(3, 13))
    centres = built["int_discovery_centres"]
    silhouettes = {}
    for count in range(3, 13):
        models = {}
        for code, start in starts(cells, count).items():
            model = KMeans(count, init=start, n_init=1, max_iter=50, tol=0, algorithm="lloyd")
            models[code] = model.fit(points, sample_weight=weights)
            ours = centres[(centres["cluster_count"] == count) & (centres["start_code"] == code)]
            ours = ours.sort_values("centre_number")[AXES].astype(float).to_numpy()
            if len(ours) == count:
                assert np.allclose(ours, model.cluster_centers_, atol=1e-6), (count, code)
        row = choices.loc[count]
        best = min(models, key=lambda code: (round(models[code].inertia_, 6), code))
        assert row["start_code"] == best, count
        assert abs(row["inertia"] - models[best].inertia_) < 1e-4
        labels = np.repeat(models[best].labels_, weights)
        silhouettes[count] = silhouette_score(distances, labels, metric="precomputed")
        assert abs(row["silhouette"] - silhouettes[count]) < 1e-6, count
        share = np.bincount(models[best].labels_, weights).min() / weights.sum()
        assert abs(row["smallest_share"] - share) < 1e-9
        if share < 0.01:
            silhouettes.pop(count)
            assert row["reason"] == "The smallest cluster is below min_segment_share"
        elif round(share * weights.sum()) < 30:
            silhouettes.pop(count)
            assert row["reason"] == "The smallest cluster has fewer than 30 customers"
    assert {"The smallest cluster has fewer than 30 customers"} <= set(choices["reason"])
    taken = choices[choices["is_chosen"]]
    assert list(taken.index) == [max(silhouettes, key=lambda count: silhouettes[count])]

    # Customers of the clusters, counted from the nearest centre.
    number = taken.index[0]
    final = centres[
        (centres["cluster_count"] == number)
        & (centres["start_code"] == taken["start_code"].iloc[0])
    ]
    final = final.sort_values("centre_number")[AXES].astype(float).to_numpy()
    nearest = ((points[:, None] - final) ** 2).sum(axis=2).argmin(axis=1)
    sizes = sorted(np.bincount(nearest, weights).astype(int))
    segments = built["discovered_segments"].sort_values("cluster_number")
    assert sorted(segments["customer_count"]) == sizes
    value = (segments["frequency_centre"] + segments["monetary_centre"]).tolist()
    assert value == sorted(value, reverse=True)
    names = pd.Series(expected_names(segments), segments.index)
    assert names.tolist() == segments["segment_code"].tolist()
    assert min(sizes) >= 30
    crosswalk = built["discovered_segment_crosswalk"]
    for scheme, rows in crosswalk.groupby("segment_scheme"):
        assert rows["customer_count"].sum() == weights.sum(), scheme
        by_cluster = rows.groupby("cluster_number")["customer_count"].sum()
        assert by_cluster.tolist() == segments["customer_count"].tolist()
        assert np.allclose(rows.groupby("cluster_number")["share_of_cluster"].sum(), 1)
        assert np.allclose(rows.groupby("segment_key")["share_of_segment"].sum(), 1)


def expected_names(segments: pd.DataFrame) -> list[str]:
    """What the clusters are called, from the most valuable one down."""
    recencies = [
        _level(value, ["silent", "fading", "recent"]) for value in segments["recency_centre"]
    ]
    values = [
        (row.frequency_centre + row.monetary_centre) / 2 for row in segments.itertuples()
    ]
    names: list[str] = [""] * len(segments)
    for recency in set(recencies):
        places = [place for place, name in enumerate(recencies) if name == recency]
        levels = [_level(values[place], ["low", "middle", "high"]) for place in places]
        if len(places) == 2 and len(set(levels)) == 1:
            above = sum(values[place] for place in places) > 0
            levels = ["high", "middle"] if above else ["middle", "low"]
        elif len(places) > 2:
            levels = ["low", "middle", "high"]
            levels = [levels[3 * (len(places) - 1 - n) // len(places)] for n in range(len(places))]
        for place, level in zip(places, levels, strict=True):
            names[place] = f"{recency}_{level}"
    return names


def _level(value: Any, names: list[str]) -> str:
    return names[0] if value < -0.5 else names[2] if value > 0.5 else names[1]


@builds(*[on(target, build_discovered) for target in ENGINES])
def test_the_discovered_scheme_puts_customers_into_their_clusters(built):
    cells = built["int_discovered_cells"].set_index(SCORES)["segment_code"]
    assert len(cells) == 125 and cells.notna().all()
    history = built["customer_segment_history"]
    scored = history[history["is_scored"]]
    assert len(scored) > len(built["customer_segments"])
    for row in scored.itertuples():
        expected = cells[row.recency_score, row.frequency_score, row.monetary_score]
        assert row.segment_key == f"discovered:{expected}"
    assert len(set(scored["segment_key"])) > 2
    strategies = set(built["strategies"]["segment_key"])
    assert set(history["segment_key"]) <= strategies
    # Somebody is where the scores of the rule alone would not have put him.
    by_scores = scored["monetary_score"].map({1: "low", 2: "low", 3: "middle", 4: "high", 5: "high"})
    assert (scored["segment_code"].str.split("_").str[1] != by_scores).any()


@builds(*[on(target, build_discovered) for target in ENGINES])
def test_without_clusters_the_rules_of_the_scheme_count(built):
    choices = built["without: discovered_segment_choices"]
    assert not choices["is_chosen"].any() and choices["reason"].notna().all()
    assert built["without: discovered_segments"].empty
    # Not only at the current date: the finished ones too are seen through what holds today.
    history = built["without: customer_segment_history"]
    scored = history[history["is_scored"]]
    assert scored["as_of_date"].nunique() == 3
    recency = {1: "silent", 2: "silent", 3: "fading", 4: "recent", 5: "recent"}
    value = {1: "low", 2: "low", 3: "middle", 4: "high", 5: "high"}
    expected = scored["recency_score"].map(recency) + "_" + scored["monetary_score"].map(value)
    assert (scored["segment_code"] == expected).all() and scored["segment_code"].nunique() > 5


@builds(*[on(target, build_discovered) for target in ENGINES])
def test_names_that_no_cluster_has_are_no_mistake(built):
    used = set(built["discovered_segments"]["segment_code"])
    assert len(used) < 9
    warnings = built["build_warnings"]
    rules = warnings[warnings["warning_code"] == "unreachable_rule"]["subject"]
    assert not rules.str.startswith("discovered ").any()
    assert not (warnings["warning_code"] == "small_segment").any()
    # While there are no clusters the rules count, and so does the size of what they make.
    warnings = built["without: build_warnings"]
    customers = built["without: customer_segments"]
    sizes = customers[customers["is_scored"]]["segment_key"].value_counts() / len(customers)
    large = set(sizes[sizes >= 0.5].index)
    named = [f"discovered:{recency}_{value}" for recency in ("recent", "fading", "silent")
             for value in ("high", "middle", "low")]
    small = warnings[warnings["warning_code"] == "small_segment"]["subject"]
    assert set(small) == set(named) - large


# ---------------------------------------------------------------------------------------------
# Nothing, or next to nothing, to make clusters of
# ---------------------------------------------------------------------------------------------


def copies(kinds: list[tuple[int, int, int]], customers: int) -> pd.DataFrame:
    """So many customers of each kind: (orders a month apart, days before the end, amount)."""
    rows = [
        (f"c{kind}_{number:03d}", FIRST + dt.timedelta(400 - days_ago - 30 * order), Decimal(amount))
        for kind, (orders, days_ago, amount) in enumerate(kinds)
        for number in range(customers)
        for order in range(orders)
    ]
    return object_frame(["customer_id", "sale_date", "revenue"], rows)


def ordered_once() -> pd.DataFrame:
    random = np.random.default_rng(6)
    rows = [
        (f"c{number:03d}", FIRST + dt.timedelta(int(random.integers(0, 400))),
         Decimal(f"{random.lognormal(3, 1):.2f}"))
        for number in range(400)
    ]
    return object_frame(["customer_id", "sale_date", "revenue"], rows)


# {name: sales}; of four kinds two differ in each of the three dimensions.
LITTLE = {
    "nobody scored": copies([(1, 0, -5)], 40),
    "one cell": copies([(2, 10, 20)], 60),
    "four kinds": copies([(1, 300, 10), (2, 200, 40), (4, 100, 90), (8, 1, 160)], 50),
    "constant frequency": ordered_once(),
}


def build_little(project: Project) -> dict[str, dict[str, pd.DataFrame]]:
    found = {}
    for name, sales in LITTLE.items():
        run = land_and_build(project, sales, "run", "+marts.discovery", history_periods=1)
        assert run.success, (name, run.problems)
        found[name] = {
            table: project.read(f"{schema}.{table}")
            for schema, tables in {
                "rfm_marts": [f"discovered_segment{end}" for end in ("s", "_choices", "_crosswalk")],
                "rfm_intermediate": ["int_discovery_cells", "int_discovered_cells"],
            }.items()
            for table in tables
        }
    return found


@builds(*[on(target, build_little) for target in ENGINES])
def test_too_few_kinds_of_customers_make_no_clusters_and_that_is_said(built):
    figures = ["silhouette", "inertia", "last_movement", "smallest_share"]
    for name, found in built.items():
        choices = found["discovered_segment_choices"].set_index("cluster_count").sort_index()
        assert list(choices.index) == list(range(3, 13)) and choices["reason"].notna().all()
        # Without clusters the rules of the scheme count.
        codes = found["int_discovered_cells"]["segment_code"]
        has_clusters = name in ("four kinds", "constant frequency")
        assert len(codes) == 125 and (codes.notna() == has_clusters).all(), name
        cells = found["int_discovery_cells"]
        axes = cells[AXES].astype(float)
        assert np.isfinite(axes).all(None), name
        if not has_clusters:
            assert len(cells) == (name == "one cell") and (axes == 0).all(None)
            reason = {"nobody scored": "No scored customers"}
            reason = reason.get(name, "Fewer kinds of customers than clusters")
            assert set(choices["reason"]) == {reason}
            assert choices["silhouette"].isna().all() and not choices["is_chosen"].any()
            if name == "nobody scored":
                assert choices[figures].isna().all(None)
            assert found["discovered_segments"].empty and found["discovered_segment_crosswalk"].empty
            continue
        taken = choices[choices["is_chosen"].astype(bool)]
        assert len(taken) == 1 and len(found["discovered_segments"]) == taken.index[0]
        assert np.isfinite(taken[figures].astype(float)).all(None)
        assert found["discovered_segments"]["customer_count"].sum() == len(set(LITTLE[name]["customer_id"]))
        if name == "four kinds":
            # Each kind is alike, so a cluster of its own has nobody else near.
            assert len(cells) == 4 and taken.index[0] == 4 and taken["silhouette"].iloc[0] > 0.999
            more = choices.loc[5:]
            assert set(more["reason"]) == {"Fewer kinds of customers than clusters"}
            assert more["silhouette"].isna().all()
        else:
            assert (axes["frequency"] == 0).all() and (axes["recency"] != 0).all()
            assert (found["discovered_segments"]["frequency_centre"].astype(float) == 0).all()
