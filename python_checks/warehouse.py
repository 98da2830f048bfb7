"""Connections to the two targets of profiles.yml, from the same environment variables."""

import os
from pathlib import Path

import duckdb
import psycopg2

PROJECT_ROOT = Path(__file__).resolve().parent.parent
TARGETS = ("duckdb", "postgres")


def connect(target: str):
    """A DB-API connection to 'duckdb' or 'postgres'; the caller closes it.

    Raises duckdb.Error or psycopg2.Error where the database is out of reach or in use.
    """
    if target == "duckdb":
        # dbt starts relative paths at the project as well.
        file = PROJECT_ROOT / _duckdb_file()
        file.parent.mkdir(parents=True, exist_ok=True)
        return duckdb.connect(str(file))
    # libpq itself reads the other PG* variables.
    return psycopg2.connect(host=os.environ.get("PGHOST", "localhost"))


def describe(target: str) -> str:
    """Where `connect` leads, for messages."""
    if target == "duckdb":
        return f"DuckDB file {_duckdb_file()}"
    host = os.environ.get("PGHOST", "localhost")
    return f"PostgreSQL database {os.environ.get('PGDATABASE', '')} on {host}"


def _duckdb_file() -> str:
    return os.environ.get("RFM_DUCKDB_PATH", "rfm_retention.duckdb")
