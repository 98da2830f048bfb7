"""Connections to the targets of profiles.yml, from the same environment variables."""

import os
from pathlib import Path

import duckdb
import psycopg2

from python_checks import spark_session

PROJECT_ROOT = Path(__file__).resolve().parent.parent
TARGETS = ("duckdb", "postgres", "spark")


def connect(target: str):
    """A DB-API connection to 'duckdb', 'postgres' or 'spark'; the caller closes it.

    Raises duckdb.Error or psycopg2.Error where the database is out of reach or in use, and
    SparkIsMissing. Spark runs inside this process, with its tables in the folder of `--target spark`.
    """
    if target == "duckdb":
        # dbt starts relative paths at the project as well.
        file = PROJECT_ROOT / _duckdb_file()
        file.parent.mkdir(parents=True, exist_ok=True)
        return duckdb.connect(str(file))
    if target == "spark":
        folder = str(PROJECT_ROOT / _spark_folder())
        return spark_session.Connection(
            spark_session.spark_session({**os.environ, spark_session.FOLDER_VARIABLE: folder})
        )
    # libpq itself reads the other PG* variables.
    return psycopg2.connect(host=os.environ.get("PGHOST", "localhost"))


def describe(target: str) -> str:
    """Where `connect` leads, for messages."""
    if target == "duckdb":
        return f"DuckDB file {_duckdb_file()}"
    if target == "spark":
        return f"Spark folder {_spark_folder()}"
    host = os.environ.get("PGHOST", "localhost")
    return f"PostgreSQL database {os.environ.get('PGDATABASE', '')} on {host}"


def _duckdb_file() -> str:
    return os.environ.get("RFM_DUCKDB_PATH", "rfm_retention.duckdb")


def _spark_folder() -> str:
    return os.environ.get(spark_session.FOLDER_VARIABLE, spark_session.DEFAULT_FOLDER)
