"""The marts of real sales against the independent pandas oracle, row by row, every column.

Two files of sales: the demo's (in the package, with orders) and CDNOW's (beside the checkout, read
only where it is there: one cohort, half of it one-time buyers, no order ids).
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pytest

from python_checks import load_demo, oracle
from python_checks.behaviour_cases import accepted_events
from python_checks.dbt_project import (
    FULL,
    PROJECT_ROOT,
    SOURCES_TO_MARTS,
    TARGETS,
    VALIDATION,
    Build,
    Project,
    Run,
    builds,
    fetch,
    on,
    remove_databases,
)
from python_checks.expected_marts import (
    RELATIONS,
    Policy,
    Source,
    assert_same,
    differences,
    expected_marts,
    plain,
    read_policy,
)

DEMO_VARS = {
    f"using_{entity}": True
    for entity in ("customers", "products", "engagement_events", "campaign_contacts")
}
# No real sale of these files is implausible, whenever the checks run.
LATEST = "2018-12-31"
CDNOW = PROJECT_ROOT.parent / "shared" / "data" / "cdnow" / "cdnow_sales.csv"
CODE_MAP = PROJECT_ROOT / "python_checks" / "eleven_segment_code_map.csv"
STAGING = ("rfm_staging.stg_sales", "rfm_staging.stg_sales_rejected")
WITHOUT_STAGING = tuple(name for name in RELATIONS if name not in STAGING)

# All builds start with the first test, while the demo is compared.
pytestmark = pytest.mark.usefixtures("under_way")

Connect = Callable[[], Any]


def read_all(connect: Connect) -> dict[str, pd.DataFrame]:
    with closing(connect()) as connection:
        return {name: fetch(connection, f"select * from {name}") for name in WITHOUT_STAGING}


# ---------------------------------------------------------------------------------------------
# The demo as a newcomer builds it, with fewer dates of history
# ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=TARGETS)
def demo(request, postgres, tmp_path_factory) -> Iterator[Connect]:
    """How to connect to the demo's marts, built with the settings of the demo."""
    folder = tmp_path_factory.mktemp("demo") / f"rfm_checks_demo_{os.getpid()}"
    project = Project(folder, request.param, postgres)
    try:
        project.start()
        project.load(load_demo.load)
        run = project.dbt("run", "--exclude", *VALIDATION, vars=DEMO_VARS)
        assert run.success, run.problems
        yield project.connect
    finally:
        remove_databases(folder.name, postgres)


@pytest.fixture(scope="module")
def demo_source(tmp_path_factory) -> Source:
    """The demo's tables as the package holds them."""
    return _demo_source(tmp_path_factory.mktemp("demo_source"))


def _demo_source(folder: Path, only_customers: int | None = None) -> Source:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RFM_DUCKDB_PATH", str(folder / "demo.duckdb"))
        load_demo.load("duckdb", only_customers)
    with duckdb.connect(str(folder / "demo.duckdb")) as connection:
        sales, customers, products, events = (
            _plain_objects(connection.execute(f"select * from raw.{table}").to_arrow_table())
            for table in ("fact_sales", "dim_customers", "dim_products", "fact_engagement_events")
        )
    return Source(sales, customers, LATEST, products, accepted_events(events))


def _plain_objects(table: pa.Table) -> pd.DataFrame:
    """Python objects, but timestamps: the oracle reads these fastest."""
    return pd.DataFrame(
        {
            name: column.to_pandas()
            if pa.types.is_timestamp(column.type)
            else pd.Series(column.to_pylist(), dtype=object)
            for name, column in zip(table.column_names, table.columns, strict=True)
        }
    )


SALES_COLUMNS = {
    "sale_id": pa.string(),
    "order_id": pa.string(),
    "customer_id": pa.string(),
    "product_id": pa.string(),
    "channel": pa.string(),
    "score_group": pa.string(),
    "quantity": pa.decimal128(18, 4),
    "revenue": pa.decimal128(18, 2),
    "net_revenue": pa.decimal128(18, 2),
    "discount_amount": pa.decimal128(18, 2),
    "is_return": pa.bool_(),
    "sale_date": pa.date32(),
}


def _read_arrow(connection: Any, relation: str, folder: Path) -> pa.Table:
    query = f"select {', '.join(SALES_COLUMNS)} from {relation}"
    if isinstance(connection, duckdb.DuckDBPyConnection):
        return connection.execute(query).to_arrow_table()
    file = folder / "rows.csv"
    with file.open("wb") as rows:
        connection.cursor().copy_expert(f"copy ({query}) to stdout (format csv, null '?')", rows)
    convert = pyarrow.csv.ConvertOptions(
        column_types=SALES_COLUMNS,
        null_values=["?"],
        strings_can_be_null=True,
        true_values=["t"],
        false_values=["f"],
    )
    read = pyarrow.csv.ReadOptions(column_names=list(SALES_COLUMNS))
    return pyarrow.csv.read_csv(file, read_options=read, convert_options=convert)


def test_every_demo_sale_is_accepted_as_it_is(demo, demo_source, tmp_path):
    rows = demo_source.accepted
    expected = pa.table(
        [
            pa.array([None] * len(rows) if name == "score_group" else rows[source], sql_type)
            for name, sql_type in SALES_COLUMNS.items()
            for source in ["revenue" if name == "net_revenue" else name]
        ],
        names=list(SALES_COLUMNS),
    )
    assert len(rows) == len(demo_source.classified), "the oracle rejects some of the demo's rows"
    assert not rows["is_return"].any() and not rows["revenue"].lt(0).any()
    with closing(demo()) as connection:
        found = _read_arrow(connection, "rfm_staging.stg_sales", tmp_path)
        rejected = fetch(connection, "select count(*) from rfm_staging.stg_sales_rejected")
    assert rejected.iloc[0, 0] == 0
    # A million and a half rows: an engine finds the few that differ, then they are named.
    with duckdb.connect() as comparison:
        comparison.register("expected", expected)
        comparison.register("found", found)
        only_expected, only_found = (
            comparison.execute(f"select * from {one} except all select * from {other}").df()
            for one, other in (("expected", "found"), ("found", "expected"))
        )
    assert differences(plain(only_expected), plain(only_found), ["sale_id"]) == ""


def test_the_demo_marts_agree(demo, demo_source):
    expected = expected_marts(demo_source, DEMO_VARS)
    assert len(expected["rfm_marts.customer_rfm"]) == 2469
    assert_same(expected, read_all(demo))


# ---------------------------------------------------------------------------------------------
# Against the pandas pipeline that the contract customer_rfm comes from
# ---------------------------------------------------------------------------------------------


def explain_differences(source: Source, customer_rfm: pd.DataFrame) -> pd.DataFrame:
    """Per customer and dimension of the mart: equal to pd.qcut, and why not if not."""
    mart = customer_rfm.rename(
        columns={
            "recency": "days_since_last_order",
            "frequency": "order_count",
            "monetary": "net_revenue",
            "R_score": "recency_score",
            "F_score": "frequency_score",
            "M_score": "monetary_score",
        }
    )
    return oracle.explain_qcut_differences(mart, oracle.qcut_pipeline(source.accepted))


def assert_all_explained(explained: pd.DataFrame, customer_count: int) -> None:
    different = explained[~explained["is_equal"]]
    counts = different.groupby(["dimension", "category"]).size().to_dict()
    must_equal = different[different["category"] == "must_equal"]
    assert must_equal.empty, f"{counts}\n{must_equal.head()}"
    # Each reason is one that this file of sales can have at all.
    possible = {"tie_straddles_edge"}
    if customer_count % 5:
        possible.add("count_not_divisible")
    for dimension, part in explained.groupby("dimension"):
        reasons = set(part["category"])
        if "bins_dropped" in reasons:
            assert dimension == "frequency", "only the order count has ties over a whole bin"
            reasons -= {"bins_dropped"}
        assert reasons <= possible | {"must_equal"}, (dimension, counts)
    moved = different[different["category"] == "count_not_divisible"]
    assert (moved["ours"] - moved["theirs"]).abs().le(1).all()
    # A shared tie gets the lowest tile that it touches, so it is never above qcut's bin by more
    # than the remainder moves an edge.
    straddling = different[different["category"] == "tie_straddles_edge"]
    assert (straddling["ours"] - straddling["theirs"]).le(1).all()


def test_the_demo_equals_the_qcut_pipeline_but_for_explained_differences(demo, demo_source):
    with closing(demo()) as connection:
        mart = fetch(connection, "select * from rfm_marts.customer_rfm")
    explained = explain_differences(demo_source, mart)
    assert_all_explained(explained, len(mart))
    assert explained["category"].eq("must_equal").mean() > 0.8


# ---------------------------------------------------------------------------------------------
# The eleven segments
# ---------------------------------------------------------------------------------------------

def test_the_eleven_segments_are_the_published_ones(demo):
    with closing(demo()) as connection:
        cells = fetch(
            connection,
            "select recency_score, frequency_score, monetary_score, segment_name"
            " from rfm_marts.segment_score_cells"
            " join rfm_marts.segment_strategies using (segment_key)"
            " where segment_score_cells.segment_scheme = 'classic_eleven'"
            " and segment_score_cells.lifecycle_stage = 'active'",
        )
    found = {f"{r}{f}{m}": name for r, f, m, name in cells.itertuples(index=False)}
    assert found == oracle.read_code_map(CODE_MAP)


# ---------------------------------------------------------------------------------------------
# Other settings
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Variant:
    """Vars that differ from the defaults, and rows that a seed has beside the shipped ones."""

    vars: Mapping[str, Any]
    seed_rows: Mapping[str, str] = field(default_factory=dict)


def few_segments(tiles: int) -> dict[str, str]:
    """A scheme of two segments for another number of tiles."""
    scheme = f"scheme_of_{tiles}"
    half = (tiles + 1) // 2 + 1
    segments = ("best", "rest", "dormant", "prospects")
    rank = {code: place for place, code in enumerate(segments, start=1)}
    policy = {
        "best": "do_best,Keep,Hello,gift,5,email,,30,false,false,,0.1,30,sales,Worth it",
        "rest": "do_rest,Wait,,none,0,none,,,false,true,Too little,0,90,sales,Not worth it",
        "dormant": "do_dormant,Wait,,none,0,none,,,false,true,Gone,0,90,sales,Gone",
        "prospects": "do_prospects,Wait,,none,0,none,,,false,true,New,0,90,sales,New",
    }
    return {
        "segment_schemes": f"{scheme},{tiles},Written for {tiles} tiles\n",
        "segment_rules": f"{scheme},1,best,{half},,,,{half},,,Recent and valuable\n"
        f"{scheme},2,rest,,,,,,,,Everybody else\n",
        "segments": "".join(
            f"{scheme},{code},{code.title()},{rank[code]},{rank[code]},,{rank[code]},n,m,c,d\n"
            for code in segments
        ),
        "strategy_policy": "".join(f"{scheme},{code},{rest}\n" for code, rest in policy.items()),
    }


VARIANTS = {
    "past_dates": Variant(
        {"as_of_date": "2017-09-15", "history_periods": 3, "lookback_days": 90}
    ),
    "weeks": Variant({"history_periods": 2, "history_grain": "week", "tie_method": "split"}),
    "quarters": Variant(
        {
            "history_periods": 2,
            "history_grain": "quarter",
            "lookback_days": 30,
            "count_zero_value_orders": True,
        }
    ),
    "groups_of_customers": Variant(
        {
            "score_group": "age",
            "min_group_customers": 20,
            "as_of_date": "2017-03-01",
            "history_periods": 2,
            "history_grain": "day",
        }
    ),
    "groups_of_sales": Variant(
        {"score_group": "sales.store_id", "min_group_customers": 3, "tie_method": "split"}
    ),
    "eleven_weighted": Variant(
        {
            "segment_scheme": "classic_eleven",
            "recency_weight": 2,
            "frequency_weight": 0,
            "monetary_weight": 0.5,
            "tie_method": "split",
        }
    ),
    "three_tiles": Variant(
        {"score_tiles": 3, "segment_scheme": "scheme_of_3"}, few_segments(3)
    ),
    "four_tiles_fixed": Variant(
        {"score_tiles": 4, "segment_scheme": "scheme_of_4", "tie_method": "split"},
        {
            **few_segments(4),
            "fixed_cut_points": "frequency,2,10,orders\nfrequency,3,20.5,orders\n"
            "frequency,4,50,orders\n",
        },
    ),
    "ten_tiles": Variant(
        {"score_tiles": 10, "segment_scheme": "scheme_of_10", "lookback_days": 180},
        few_segments(10),
    ),
    "fixed_cut_points": Variant(
        {"tie_method": "split", "score_group": "customers.age", "min_group_customers": 10},
        {
            "fixed_cut_points": "recency,2,90,days\nrecency,3,30,days\nrecency,4,14,days\n"
            "recency,5,7,days\nmonetary,2,99.995,money\nmonetary,3,500,money\n"
            "monetary,4,1000.5,money\nmonetary,5,2000,money\n"
        },
    ),
}
VARIANTS_ON_POSTGRES = ("past_dates", "ten_tiles", "groups_of_sales", "fixed_cut_points")
PART_OF_THE_DEMO = 200  # customers


def load_part(target: str) -> None:
    load_demo.load(target, PART_OF_THE_DEMO)


def build_variant(
    project: Project, name: str
) -> tuple[Run, dict[str, pd.DataFrame], Policy]:
    """Add the variant's rows to the seeds, land its sales, run what the vars change."""
    variant = VARIANTS.get(name) or CDNOW_VARIANTS[name]
    for seed, rows in variant.seed_rows.items():
        with (project.seeds / f"{seed}.csv").open("a", encoding="utf-8") as file:
            file.write(rows)
    if name in CDNOW_VARIANTS:
        land_cdnow(project)
    else:
        project.load(load_part)
    command = SOURCES_TO_MARTS
    if variant.seed_rows or "segment_scheme" in variant.vars:
        command = ("run", "--exclude", "build_warnings", *VALIDATION)
        run = project.dbt("seed", "--select", *variant.seed_rows, "segment_schemes")
        assert run.success, run.problems
    run = project.dbt(*command, vars=_vars(name))
    found = {name: project.read(name) for name in WITHOUT_STAGING} if run.success else {}
    return run, found, read_policy(project.seeds)


def read_cdnow() -> pd.DataFrame:
    text = pd.read_csv(CDNOW, dtype=str, keep_default_na=False)
    typed = {"sale_date": dt.date.fromisoformat, "quantity": int, "revenue": Decimal}
    return pd.DataFrame(
        {
            name: pd.Series([typed.get(name, str)(cell) for cell in text[name]], dtype=object)
            for name in text
        }
    )


def land_cdnow(project: Project) -> None:
    types = {"sale_id": "varchar", "customer_id": "varchar", "sale_date": "date"}
    types |= {"quantity": "integer", "revenue": "decimal(12, 2)"}
    project.land("fact_sales", read_cdnow(), types)


@pytest.fixture(scope="module")
def part_of_the_demo(tmp_path_factory) -> Source:
    return _demo_source(tmp_path_factory.mktemp("part"), PART_OF_THE_DEMO)


@pytest.fixture(scope="module")
def cdnow() -> Source:
    return Source(read_cdnow(), latest_plausible_date=LATEST)


CDNOW_VARIANTS = {
    "cdnow": Variant({}),
    "cdnow_split": Variant({"tie_method": "split", "history_periods": 3, "lookback_days": 180}),
}
needs_cdnow = pytest.mark.skipif(not CDNOW.exists(), reason="the file is not beside this checkout")


def _vars(name: str) -> dict[str, Any]:
    if name in CDNOW_VARIANTS:
        return {"latest_plausible_date": LATEST, "history_periods": 1, **CDNOW_VARIANTS[name].vars}
    common = {"using_customers": True, "latest_plausible_date": LATEST, "history_periods": 1}
    return common | VARIANTS[name].vars


def _part_plan() -> Iterator[Build]:
    for target, names in (("duckdb", VARIANTS), ("postgres", VARIANTS_ON_POSTGRES)):
        for name in VARIANTS if FULL else names:
            yield on(target, build_variant, name)


@builds(*_part_plan())
def test_part_of_the_demo_agrees_under_other_settings(part_of_the_demo, build, built):
    run, found, policy = built
    assert run.success, run.problems
    assert_same(expected_marts(part_of_the_demo, _vars(*build.arguments), policy), found)


@needs_cdnow
@builds(
    on("duckdb", build_variant, "cdnow"),
    on("postgres", build_variant, "cdnow"),
    on("duckdb", build_variant, "cdnow_split"),
)
def test_cdnow_agrees(cdnow, build, built):
    (name,), (run, found, policy) = build.arguments, built
    assert run.success, run.problems
    assert_same(expected_marts(cdnow, _vars(name), policy), found)
    if name == "cdnow":
        mart = found["rfm_marts.customer_rfm"]
        assert len(mart) == 23502
        assert_all_explained(explain_differences(cdnow, mart), len(mart))
