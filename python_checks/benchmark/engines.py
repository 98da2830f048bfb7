"""The engines of the benchmark: where the made-up sources land and what connects to them.

An engine is described by environment variables alone, so that every measured way can open it anew
in a process of its own, as a separate tool would.
"""

import os
import tempfile
from collections.abc import Mapping
from contextlib import closing
from io import StringIO
from pathlib import Path

import duckdb
import pandas as pd
import psutil
import psycopg2

SCHEMA = "benchmark_raw"
SQL_TYPES = {"VARCHAR": "text", "INTEGER": "int", "BIGINT": "bigint", "DOUBLE": "double precision"}
READ_SALES = f"""
select sale_id, order_id, customer_id, sale_date, revenue, is_return from {SCHEMA}.fact_sales
"""


class DuckDB:
    """The embedded engine: a file, named by RFM_DUCKDB_PATH."""

    name = "duckdb"
    server = None

    def __init__(self, environment: Mapping[str, str]):
        self.environment = environment
        self.file = environment["RFM_DUCKDB_PATH"]

    def connect(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(self.file)

    def execute(self, statement: str) -> list[tuple]:
        with closing(self.connect()) as connection:
            return connection.execute(statement).fetchall()

    def load(self, parquet: Path) -> None:
        self.execute(f"create table {SCHEMA}.{parquet.stem} as from '{parquet}'")

    def read_sales(self) -> pd.DataFrame:
        with closing(self.connect()) as connection:
            return connection.execute(READ_SALES).df()

    def write(self, table: str, frame: pd.DataFrame) -> None:
        with closing(self.connect()) as connection:
            connection.execute(f"create or replace table {SCHEMA}.{table} as from frame")


class PostgreSQL:
    """A server; the connection comes from the PG* variables of the environment."""

    name = "postgres"

    def __init__(self, environment: Mapping[str, str]):
        self.environment = environment

    @property
    def server(self) -> psutil.Process | None:
        """The server's first process where it runs on this machine: its work counts too."""
        for connection in psutil.net_connections(kind="tcp"):
            if (
                connection.status == psutil.CONN_LISTEN
                and connection.laddr.port == int(self.environment["PGPORT"])
                and connection.pid
            ):
                return psutil.Process(connection.pid)
        return None

    def connect(self):
        return psycopg2.connect(
            host=self.environment["PGHOST"],
            port=self.environment["PGPORT"],
            user=self.environment["PGUSER"],
            password=self.environment.get("PGPASSWORD", ""),
            dbname=self.environment["PGDATABASE"],
        )

    def execute(self, statement: str) -> list[tuple]:
        with closing(self.connect()) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def load(self, parquet: Path) -> None:
        table = f"{SCHEMA}.{parquet.stem}"
        columns = ", ".join(
            f"{name} {SQL_TYPES.get(kind, kind)}"
            for name, kind, *_ in duckdb.execute(f"describe from '{parquet}'").fetchall()
        )
        self.execute(f"create table {table} ({columns})")
        with tempfile.NamedTemporaryFile(suffix=".csv", dir=parquet.parent) as csv:
            duckdb.execute(f"copy (from '{parquet}') to '{csv.name}' (header false)")
            with closing(self.connect()) as connection, connection, open(csv.name) as rows:
                connection.cursor().copy_expert(f"copy {table} from stdin csv", rows)
        self.execute(f"analyze {table}")

    def read_sales(self) -> pd.DataFrame:
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(READ_SALES)
            names = [column.name for column in cursor.description]
            return pd.DataFrame(cursor.fetchall(), columns=names)

    def write(self, table: str, frame: pd.DataFrame) -> None:
        kinds = {"i": "bigint", "u": "bigint", "f": "double precision"}
        body = ", ".join(
            f"{name} {kinds.get(frame[name].dtype.kind, 'text')}" for name in frame.columns
        )
        text = StringIO()
        frame.to_csv(text, index=False, header=False)
        text.seek(0)
        with closing(self.connect()) as connection, connection, connection.cursor() as cursor:
            cursor.execute(f"drop table if exists {SCHEMA}.{table}")
            cursor.execute(f"create table {SCHEMA}.{table} ({body})")
            cursor.copy_expert(f"copy {SCHEMA}.{table} from stdin csv", text)


ENGINES = {engine.name: engine for engine in (DuckDB, PostgreSQL)}


def engine_of(name: str):
    """The engine of that name, described by this process's environment."""
    return ENGINES[name](os.environ)
