"""Measure the current-date path against hand-written SQL and against a pandas pipeline.

    python -m python_checks.benchmark [--target duckdb|postgres|both] [--customers N] [--sales N]
        [--everything | --history]

One run generates the data (heavy-tailed spending, half of the customers buy once, some returns,
free items, missing customers and repeated rows), loads them into each engine and times, on the
same data and in turn:

ours     `dbt run` of everything from the staging views to the mart `customer_rfm`: the time that
         the engine worked (the sum over the models, one thread) and the time of the whole command.
by hand  one SQL script on the same engine that does the same work: classification, repeated ids,
         orders, metrics, scores with the same tie rule, segments.
pandas   what such projects use today: read the table from the engine, drop missing customers and
         repeated ids, groupby, rank, qcut, segment by mask, write the result back.

With --everything it times something else, on data with products, channels, twice as many events as
sales, and contacts: the path to `customer_rfm` from sales alone, and all models on all sources, at
the current date only.

With --history it times all models on sales alone, with the history of twelve months: all but the
validation from nothing, then what holds scores against what customers did later (validation,
purchase probability, discovered segments), and the former again after one more day of sales.

Every figure is from this run, so only their ratios travel to other machines. Memory is the peak of
the processes that work: the client and, on PostgreSQL, its server processes without shared buffers
counted twice. The three results are compared with each other before anything is printed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from decimal import Decimal
from io import StringIO
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import psutil
import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from python_checks.dbt_project import VALIDATION
from python_checks.postgres_server import postgres_server

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = "benchmark_raw"
FIRST_DAY = np.datetime64("2022-01-01")
DAYS = 730
PRODUCTS = 3000
CATEGORIES = 25
SQL_TYPES = {"VARCHAR": "text", "INTEGER": "int", "BIGINT": "bigint", "DOUBLE": "double precision"}
OPTIONAL_SOURCES = ("customers", "products", "engagement_events", "campaign_contacts")


def text(prefix: str, numbers: np.ndarray, mask: np.ndarray | None = None) -> pa.Array:
    """Ids such as C123; null where the mask is true."""
    return pa.array(np.char.add(prefix, numbers.astype("U9")), mask=mask, type=pa.string())


def generate_sales(customers: int, sales: int, has_products: bool, seed: int = 7) -> pa.Table:
    """`sales` rows of `customers` customers, unordered.

    Columns: sale_id, order_id, customer_id (text), sale_date (date), revenue (decimal, cents),
    is_return, and with products product_id and channel. Half of the customers have one order; the
    orders of the others follow a Pareto tail.
    """
    rng = np.random.default_rng(seed)
    weight = rng.pareto(1.3, customers) + 0.3
    weight[: customers // 2] = 0.0
    rng.shuffle(weight)
    # Every customer has an order; the rest of the orders go by weight. Lines per order: 1 to 5.
    orders = int(sales / 2.5)
    extra = rng.choice(customers, size=orders - customers, p=weight / weight.sum())
    customer_of_order = np.concatenate([np.arange(customers), extra])
    lines = rng.integers(1, 5, size=orders)
    order_of_line = np.repeat(np.arange(orders), lines)
    rows = rng.permutation(order_of_line)[:sales]
    rows = np.concatenate([rows, rng.integers(0, orders, size=max(0, sales - len(rows)))])
    customer = customer_of_order[rows]
    day = rng.integers(0, DAYS, size=orders)[rows]
    cents = np.round(np.exp(rng.normal(2.8, 1.1, size=sales)) * 100).astype(np.int64)
    is_return = rng.random(sales) < 0.02
    cents[rng.random(sales) < 0.005] = 0
    sale_id = np.arange(sales)
    repeated = rng.random(sales) < 0.0005
    sale_id[repeated] = np.maximum(sale_id[repeated] - 1, 0)
    missing = rng.random(sales) < 0.005

    order = rng.permutation(sales)
    money = pc.multiply(pa.array(cents[order]).cast(pa.decimal128(19, 0)), Decimal("0.01"))
    columns = {
        "sale_id": text("S", sale_id[order]),
        "order_id": text("O", rows[order]),
        "customer_id": text("C", customer[order], missing[order]),
        "sale_date": pa.array(FIRST_DAY + day[order]),
        "revenue": money.cast(pa.decimal128(12, 2)),
        "is_return": pa.array(is_return[order]),
    }
    if has_products:
        product = (PRODUCTS * rng.random(sales) ** 2).astype(int)
        columns["product_id"] = text("P", product)
        columns["channel"] = pa.array(rng.choice(["web", "shop", "app"], sales, p=[0.6, 0.3, 0.1]))
    return pa.table(columns)


def generate_others(customers: int, events: int, seed: int = 8) -> dict[str, pa.Table]:
    """Table name → rows of the optional sources: `events` events, a tenth as many contacts."""
    rng = np.random.default_rng(seed)
    contacts = events // 10
    types = ["email_open", "email_click", "site_visit", "coupon_redemption", "not_mapped"]

    def someone(count: int) -> pa.Array:
        # A cubed uniform draw: few are very active, a third of the customers never are.
        return text("C", (customers * (0.33 + 0.67 * rng.random(count) ** 3)).astype(int))

    def days(count: int) -> pa.Array:
        return pa.array(FIRST_DAY + rng.integers(0, DAYS, count))

    number = np.arange(customers)
    return {
        "dim_customers": pa.table(
            {"customer_id": text("C", number), "created_at": days(customers),
             "country": pa.array(rng.choice(["FR", "DE", "GB"], customers))}
        ),
        "dim_products": pa.table(
            {"product_id": text("P", np.arange(PRODUCTS)),
             "category": text("category ", np.arange(PRODUCTS) % CATEGORIES)}
        ),
        "fact_engagement_events": pa.table(
            {"event_id": text("E", rng.permutation(events)), "customer_id": someone(events),
             "event_at": days(events), "event_type": pa.array(rng.choice(types, events))}
        ),
        "fact_campaign_contacts": pa.table(
            {"contact_id": text("K", rng.permutation(contacts)),
             "campaign_id": text("campaign ", rng.integers(0, 50, contacts)),
             "customer_id": someone(contacts), "contacted_at": days(contacts)}
        ),
    }


# The work of the models in one statement, as a careful analyst writes it for one engine. `+ 1` on a
# date, CTEs and NTILE mean the same on both engines.
BY_HAND = f"""
create table {SCHEMA}.rfm_by_hand as
with readable as (
    select
        nullif(trim(sale_id), '') as sale_id,
        nullif(trim(order_id), '') as order_id,
        nullif(trim(customer_id), '') as customer_id,
        sale_date,
        revenue,
        coalesce(is_return, false) or revenue < 0 as is_return
    from {SCHEMA}.fact_sales
    where
        nullif(trim(customer_id), '') is not null
        and sale_date between date '1900-01-01' and date '2100-01-01'
        and abs(revenue) < 1000000000000
),
numbered as (
    select
        *,
        row_number() over (
            partition by sale_id
            order by sale_date, customer_id, revenue desc, order_id, is_return
        ) as occurrence
    from readable
),
accepted as (
    select * from numbered
    where occurrence = 1 or sale_id is null
),
orders as (
    select
        customer_id,
        order_id,
        min(case when not is_return and revenue > 0 then sale_date end) as order_date,
        max(sale_date) as last_date,
        sum(case when is_return then -abs(revenue) else revenue end) as net_revenue
    from accepted
    group by customer_id, order_id
),
clock as (
    select max(last_date) + 1 as as_of_date from orders
),
customers as (
    select
        customer_id,
        max(order_date) as last_order_date,
        count(order_date) as frequency,
        sum(net_revenue) as monetary
    from orders
    group by customer_id
    having count(order_date) > 0
),
tiles as (
    select
        customer_id,
        as_of_date - last_order_date as recency,
        frequency,
        monetary,
        ntile(5) over (order by last_order_date, customer_id) as r_tile,
        ntile(5) over (order by frequency, customer_id) as f_tile,
        ntile(5) over (order by monetary, customer_id) as m_tile
    from customers
    cross join clock
),
scores as (
    select
        customer_id,
        recency,
        frequency,
        monetary,
        min(r_tile) over (partition by recency) as r_score,
        min(f_tile) over (partition by frequency) as f_score,
        min(m_tile) over (partition by monetary) as m_score
    from tiles
)
select
    *,
    case
        when r_score >= 4 and f_score >= 4 and m_score >= 4 then 'Champions'
        when f_score >= 4 then 'Loyal Customers'
        when r_score >= 4 then 'Potential Loyalists'
        when r_score <= 2 and f_score >= 3 then 'At Risk'
        else 'Others'
    end as segment
from scores
"""

READ_SALES = f"""
select sale_id, order_id, customer_id, sale_date, revenue, is_return from {SCHEMA}.fact_sales
"""


def pandas_rfm(sales: pd.DataFrame) -> pd.DataFrame:
    """The pipeline that such projects use: one row per customer with scores and segment.

    It does less than the models: no choice among repeated rows, no order dates, no tie rule, money
    in floating point. So its figures are near ours and not equal; it is here for its time.
    """
    sales = sales.dropna(subset=["customer_id"]).drop_duplicates("sale_id")
    revenue = sales["revenue"].astype(float)
    sales = sales.assign(
        sale_date=pd.to_datetime(sales["sale_date"]),
        revenue=revenue.where(~sales["is_return"].astype(bool), -revenue.abs()),
    )
    as_of = sales["sale_date"].max() + pd.Timedelta(days=1)
    per_customer = sales.groupby("customer_id").agg(
        last=("sale_date", "max"), frequency=("order_id", "nunique"), monetary=("revenue", "sum")
    )
    per_customer["recency"] = (as_of - per_customer.pop("last")).dt.days
    for column, labels in (("recency", [5, 4, 3, 2, 1]), ("frequency", [1, 2, 3, 4, 5]),
                           ("monetary", [1, 2, 3, 4, 5])):
        ranks = per_customer[column].rank(method="first")
        per_customer[f"{column[0]}_score"] = pd.qcut(ranks, 5, labels=labels).astype(int)
    r, f, m = (per_customer[f"{letter}_score"] for letter in "rfm")
    per_customer["segment"] = np.select(
        [(r >= 4) & (f >= 4) & (m >= 4), f >= 4, r >= 4, (r <= 2) & (f >= 3)],
        ["Champions", "Loyal Customers", "Potential Loyalists", "At Risk"],
        "Others",
    )
    return per_customer.reset_index()


@contextmanager
def peak_memory(server_port: str | None = None):
    """Sample the memory of this process, its children and a local server; yields a dict to read.

    Units: MB. A child counts its unique pages; the server's processes count theirs as well, so
    shared buffers are not counted once per process.
    """
    peak = {"mb": 0.0}
    stop = threading.Event()
    me = psutil.Process()
    base = me.memory_info().rss

    def unique(process: psutil.Process) -> int:
        try:
            return process.memory_full_info().uss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return 0

    def sample() -> None:
        while not stop.is_set():
            total = max(0, me.memory_info().rss - base)
            children = me.children(recursive=True)
            server = [
                process
                for process in psutil.process_iter(["name"])
                if server_port and process.info["name"] == "postgres"
            ]
            total += sum(unique(process) for process in {*children, *server})
            peak["mb"] = max(peak["mb"], total / 1e6)
            stop.wait(0.1)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


def dbt(
    command: list[str],
    target: str,
    folder: Path,
    env: dict,
    used: tuple[str, ...] = (),
    history_periods: int = 0,
) -> float:
    """Run dbt in a process of its own; returns the seconds that its nodes took. Raises on failure.

    `used`: the optional sources.
    """
    given = {"source_schema": SCHEMA, "history_periods": history_periods}
    given |= {f"using_{source}": True for source in used}
    arguments = [sys.executable, "-m", "dbt.cli.main", *command, "--target", target,
                 "--target-path", str(folder / "target"), "--threads", "1", "--vars",
                 json.dumps(given)]
    done = subprocess.run(arguments, cwd=ROOT, env=env, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"dbt {' '.join(command)} failed:\n{done.stdout[-3000:]}{done.stderr}")
    results = json.loads((folder / "target" / "run_results.json").read_text())["results"]
    return sum(result["execution_time"] for result in results)


class DuckDB:
    """The embedded engine; every measured step opens the file anew, as a separate tool would."""

    name = "duckdb"

    def __init__(self, folder: Path):
        self.file = folder / "benchmark.duckdb"
        self.env = {**os.environ, "RFM_DUCKDB_PATH": str(self.file)}

    def execute(self, sql: str):
        with duckdb.connect(str(self.file)) as connection:
            return connection.execute(sql).fetchall()

    def load(self, parquet: Path) -> None:
        self.execute(f"create table {SCHEMA}.{parquet.stem} as from '{parquet}'")

    def read(self) -> pd.DataFrame:
        with duckdb.connect(str(self.file)) as connection:
            return connection.execute(READ_SALES).df()

    def write(self, frame: pd.DataFrame) -> None:
        with duckdb.connect(str(self.file)) as connection:
            connection.execute(f"create or replace table {SCHEMA}.rfm_pandas as from frame")


class PostgreSQL:
    """A server; the connection comes from the PG* variables of the environment."""

    name = "postgres"

    def __init__(self, env: dict):
        self.env = {**os.environ, **env}
        self.dsn = " ".join(
            f"{key}={env[name]}"
            for key, name in (("host", "PGHOST"), ("port", "PGPORT"), ("user", "PGUSER"),
                              ("password", "PGPASSWORD"), ("dbname", "PGDATABASE"))
            if env.get(name)
        )

    def execute(self, sql: str):
        connection = psycopg2.connect(self.dsn)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()

    def load(self, parquet: Path) -> None:
        table = f"{SCHEMA}.{parquet.stem}"
        columns = ", ".join(
            f"{name} {SQL_TYPES.get(kind, kind)}"
            for name, kind, *_ in duckdb.execute(f"describe from '{parquet}'").fetchall()
        )
        self.execute(f"create table {table} ({columns})")
        with tempfile.NamedTemporaryFile(suffix=".csv") as csv:
            duckdb.execute(f"copy (from '{parquet}') to '{csv.name}' (header false)")
            connection = psycopg2.connect(self.dsn)
            with connection, connection.cursor() as cursor, open(csv.name) as rows:
                cursor.copy_expert(f"copy {table} from stdin csv", rows)
            connection.close()
        self.execute(f"analyze {table}")

    def read(self) -> pd.DataFrame:
        connection = psycopg2.connect(self.dsn)
        try:
            with connection.cursor() as cursor:
                cursor.execute(READ_SALES)
                return pd.DataFrame(
                    cursor.fetchall(), columns=[column.name for column in cursor.description]
                )
        finally:
            connection.close()

    def write(self, frame: pd.DataFrame) -> None:
        columns = {"customer_id": "text", "frequency": "bigint", "monetary": "double precision",
                   "recency": "bigint", "r_score": "int", "f_score": "int", "m_score": "int",
                   "segment": "text"}
        body = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        text = StringIO()
        frame[list(columns)].to_csv(text, index=False, header=False)
        text.seek(0)
        connection = psycopg2.connect(self.dsn)
        with connection, connection.cursor() as cursor:
            cursor.execute(f"drop table if exists {SCHEMA}.rfm_pandas")
            cursor.execute(f"create table {SCHEMA}.rfm_pandas ({body})")
            cursor.copy_expert(f"copy {SCHEMA}.rfm_pandas from stdin csv", text)
        connection.close()


def prepare(engine, tables: list[Path], folder: Path) -> None:
    """Land the sources and the policy."""
    print(f"{engine.name}: loading", flush=True)
    engine.execute(f"create schema {SCHEMA}")
    for parquet in tables:
        engine.load(parquet)
    dbt(["seed"], engine.name, folder, engine.env)


def timed(engine, way: str, work: Callable[[], float | None]) -> dict:
    """One row of the result: seconds, of that in the engine (all, if `work` tells nothing), MB."""
    print(f"{engine.name}: {way}", flush=True)
    port = engine.env.get("PGPORT") if engine.name == "postgres" else None
    with peak_memory(port) as peak:
        start = time.perf_counter()
        engine_seconds = work()
        seconds = time.perf_counter() - start
    return {"engine": engine.name, "way": way, "seconds": seconds, "mb": peak["mb"],
            "engine_seconds": seconds if engine_seconds is None else engine_seconds}


def measure(engine, folder: Path) -> list[dict]:
    """Time the three ways in turn; returns one row per way."""
    ours = ["run", "--select", "+customer_rfm"]
    rows = [
        timed(engine, "ours", lambda: dbt(ours, engine.name, folder, engine.env)),
        timed(engine, "by hand", lambda: engine.execute(BY_HAND) and None),
        timed(engine, "pandas", lambda: engine.write(pandas_rfm(engine.read()))),
    ]
    differing = engine.execute(f"""
        select count(*)
        from {SCHEMA}.rfm_by_hand as hand
        full outer join rfm_marts.customer_rfm as ours on hand.customer_id = ours.customer_id
        where
            hand.customer_id is null or ours.customer_id is null
            or hand.recency <> ours.recency or hand.frequency <> ours.frequency
            or hand.monetary <> ours.monetary or hand.r_score <> ours."R_score"
            or hand.f_score <> ours."F_score" or hand.m_score <> ours."M_score"
            or hand.segment <> ours.segment
    """)[0][0]
    customers = engine.execute("select count(*) from rfm_marts.customer_rfm")[0][0]
    if differing or not customers:
        raise RuntimeError(f"{engine.name}: {differing} of {customers} customers differ by hand")
    print(f"{engine.name}: {customers:,} customers, by hand and ours identical", flush=True)
    return rows


def measure_everything(engine, folder: Path) -> list[dict]:
    """Time the RFM path on sales alone, then all models on all sources; one row per way."""
    path, everything = ["run", "--select", "+customer_rfm"], ["run", "--full-refresh"]
    environment = (engine.name, folder, engine.env)
    return [
        timed(engine, "RFM path", lambda: dbt(path, *environment)),
        timed(engine, "everything", lambda: dbt(everything, *environment, OPTIONAL_SOURCES)),
    ]


def measure_history(engine, folder: Path) -> list[dict]:
    """Time all models on twelve dates and the current one, then after one more day of sales."""
    def run(*selection: str) -> float:
        command = ["run", *selection]
        return dbt(command, engine.name, folder, engine.env, history_periods=12)

    first = ("--exclude", *VALIDATION)
    rows = [
        timed(engine, "history of 12 months", lambda: run(*first)),
        timed(engine, "validation of 12 months", lambda: run("--select", *VALIDATION)),
    ]
    engine.execute(f"""
        insert into {SCHEMA}.fact_sales
        select
            sale_id || '-next', order_id || '-next', customer_id, sale_date + 1, revenue, is_return
        from {SCHEMA}.fact_sales
        where sale_date = (select max(sale_date) from {SCHEMA}.fact_sales)
    """)
    rows.append(timed(engine, "one more day", lambda: run(*first)))
    return rows


def report(rows: list[dict]) -> str:
    """The result as a Markdown table with the ratios that matter."""
    lines = ["| engine | way | seconds | of that in the engine | peak MB | comparison |",
             "|---|---|---|---|---|---|"]
    for row in rows:
        first = next(r for r in rows if r["engine"] == row["engine"])
        in_engine = first["engine_seconds"] / row["engine_seconds"]
        ratio = {
            "by hand": f"ours takes {in_engine:.2f} × its time",
            "pandas": f"it takes {row['seconds'] / first['seconds']:.1f} × our whole command",
            "validation of 12 months": f"it takes {1 / in_engine:.2f} × the engine time of the history",
            "one more day": f"it takes {1 / in_engine:.2f} × the engine time of the first build",
            "everything": f"it takes {1 / in_engine:.2f} × the RFM path's engine time",
        }.get(row["way"], "")
        lines.append(f"| {row['engine']} | {row['way']} | {row['seconds']:.1f} |"
                     f" {row['engine_seconds']:.1f} | {row['mb']:,.0f} | {ratio} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--target", choices=["duckdb", "postgres", "both"], default="both")
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--sales", type=int, default=10_000_000)
    parser.add_argument("--everything", action="store_true", help="time the whole project")
    parser.add_argument("--history", action="store_true", help="time twelve months and one day")
    options = parser.parse_args()
    work = measure_everything if options.everything else measure
    if options.history:
        work = measure_history
    rows = []
    with tempfile.TemporaryDirectory(prefix="rfm_benchmark_") as name:
        folder = Path(name)
        print(f"generating {options.sales:,} sales of {options.customers:,} customers", flush=True)
        sales = generate_sales(options.customers, options.sales, has_products=options.everything)
        tables = {"fact_sales": sales}
        del sales
        if options.everything:
            tables |= generate_others(options.customers, 2 * options.sales)
        files = [folder / f"{table}.parquet" for table in tables]
        for file in files:
            pq.write_table(tables.pop(file.stem), file)
        if options.target in ("duckdb", "both"):
            engine = DuckDB(folder)
            prepare(engine, files, folder)
            rows += work(engine, folder)
        if options.target in ("postgres", "both"):
            with postgres_server() as env:
                engine = PostgreSQL(env)
                prepare(engine, files, folder)
                rows += work(engine, folder)
    print(report(rows))


if __name__ == "__main__":
    main()
