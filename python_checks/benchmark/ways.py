"""Other ways to the scores of the current date, each in a process of its own.

    python -m python_checks.benchmark.ways ENGINE WAY

by hand            one SQL statement that does the same work as the models: classification, repeated
                   ids, orders, metrics, scores with the same tie rule, segments.
pandas             what such projects use today: read the table, drop missing customers and repeated
                   ids, group, rank, qcut, segments by mask, write the result back.
polars             the same in polars.
openretailscience  the RFM segmentation of that package on the engine's own table (DuckDB only); it
                   drops no repeated ids, knows no returns and writes no segments.

All leave a table `rfm_<way>` in the schema of the sources. Only `by hand` does all the work of the
models; it alone is compared with them figure by figure.
"""

import sys

import numpy as np
import pandas as pd

from python_checks.benchmark.engines import READ_SALES, SCHEMA, engine_of

# As a careful analyst writes it for one engine. `+ 1` on a date, CTEs and NTILE mean the same on
# DuckDB and PostgreSQL.
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


def by_hand(engine) -> None:
    engine.execute(f"drop table if exists {SCHEMA}.rfm_by_hand")
    engine.execute(BY_HAND)


def pandas_pipeline(engine) -> None:
    """Less than the models do: no choice among repeated rows, no order dates, no tie rule, money in
    floating point. So its figures are near ours and not equal; it is here for its time."""
    sales = engine.read_sales()
    sales = sales.dropna(subset=["customer_id"]).drop_duplicates("sale_id")
    revenue = sales["revenue"].astype(float)
    sales = sales.assign(
        sale_date=pd.to_datetime(sales["sale_date"]),
        revenue=revenue.where(~sales["is_return"].astype(bool), -revenue.abs()),
    )
    as_of = sales["sale_date"].max() + pd.Timedelta(days=1)
    customers = sales.groupby("customer_id").agg(
        last=("sale_date", "max"), frequency=("order_id", "nunique"), monetary=("revenue", "sum")
    )
    customers["recency"] = (as_of - customers.pop("last")).dt.days
    for column, labels in (
        ("recency", [5, 4, 3, 2, 1]),
        ("frequency", [1, 2, 3, 4, 5]),
        ("monetary", [1, 2, 3, 4, 5]),
    ):
        ranks = customers[column].rank(method="first")
        customers[f"{column[0]}_score"] = pd.qcut(ranks, 5, labels=labels).astype(int)
    r, f, m = (customers[f"{letter}_score"] for letter in "rfm")
    customers["segment"] = np.select(
        [(r >= 4) & (f >= 4) & (m >= 4), f >= 4, r >= 4, (r <= 2) & (f >= 3)],
        ["Champions", "Loyal Customers", "Potential Loyalists", "At Risk"],
        "Others",
    )
    engine.write("rfm_pandas", customers.reset_index())


def polars_pipeline(engine) -> None:
    """The pandas pipeline in polars, reading by Arrow from DuckDB and by the driver elsewhere."""
    import polars as pl

    if engine.name == "duckdb":
        connection = engine.connect()
        sales = connection.execute(READ_SALES).pl()
        connection.close()
    else:
        connection = engine.connect()
        sales = pl.read_database(READ_SALES, connection, infer_schema_length=None)
        connection.close()
    revenue = pl.col("revenue").cast(pl.Float64)
    sales = (
        sales.lazy()
        .drop_nulls("customer_id")
        .unique("sale_id", keep="first", maintain_order=True)
        .with_columns(pl.when("is_return").then(-revenue.abs()).otherwise(revenue).alias("revenue"))
    )
    customers = sales.group_by("customer_id").agg(
        pl.col("sale_date").max().alias("last"),
        pl.col("order_id").n_unique().alias("frequency"),
        pl.col("revenue").sum().alias("monetary"),
    ).collect()
    as_of = customers["last"].max()
    customers = customers.with_columns(
        ((pl.lit(as_of) - pl.col("last")).dt.total_days() + 1).cast(pl.Int64).alias("recency"),
        pl.col("frequency").cast(pl.Int64),
    ).drop("last")
    for column, is_better_high in (("recency", False), ("frequency", True), ("monetary", True)):
        rank = pl.col(column).rank("ordinal", descending=not is_better_high)
        tile = ((rank - 1) * 5 // pl.len() + 1).cast(pl.Int64)
        customers = customers.with_columns(tile.alias(f"{column[0]}_score"))
    r, f, m = (pl.col(f"{letter}_score") for letter in "rfm")
    customers = customers.with_columns(
        pl.when((r >= 4) & (f >= 4) & (m >= 4)).then(pl.lit("Champions"))
        .when(f >= 4).then(pl.lit("Loyal Customers"))
        .when(r >= 4).then(pl.lit("Potential Loyalists"))
        .when((r <= 2) & (f >= 3)).then(pl.lit("At Risk"))
        .otherwise(pl.lit("Others")).alias("segment")
    )
    if engine.name == "duckdb":
        connection = engine.connect()
        connection.execute(f"create or replace table {SCHEMA}.rfm_polars as from customers")
        connection.close()
    else:
        engine.write("rfm_polars", customers.to_pandas())


def openretailscience_pipeline(engine) -> None:
    """The package's own way from a table: it names the columns it wants."""
    import ibis
    from openretailscience.segmentation.rfm import RFMSegmentation

    connection = ibis.duckdb.connect(engine.file)
    sales = connection.table("fact_sales", database=SCHEMA)
    sales = sales.filter(sales.customer_id.notnull()).rename(
        transaction_date="sale_date", transaction_id="order_id", unit_spend="revenue"
    )
    as_of = sales.transaction_date.max().execute() + pd.Timedelta(days=1)
    scores = RFMSegmentation(sales, str(as_of)[:10], r_segments=5, f_segments=5, m_segments=5)
    query = ibis.to_sql(scores.table, dialect="duckdb")
    connection.raw_sql(f"create or replace table {SCHEMA}.rfm_openretailscience as {query}")
    connection.disconnect()


WAYS = {
    "by hand": by_hand,
    "pandas": pandas_pipeline,
    "polars": polars_pipeline,
    "openretailscience": openretailscience_pipeline,
}

if __name__ == "__main__":
    WAYS[sys.argv[2]](engine_of(sys.argv[1]))
