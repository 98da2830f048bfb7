"""Spark inside this process, with the settings of the target `spark` in profiles.yml.

Importing this module needs no pyspark; `spark_session` does (`make setup-spark`), and Java 17 or
later from JAVA_HOME or on the PATH. A process has one Spark: its folder is settled when it starts.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import yaml

PROJECT_ROOT = Path(__file__).resolve().parent.parent
FOLDER_VARIABLE = "RFM_SPARK_PATH"
DEFAULT_FOLDER = "spark_rfm_retention"
# For a few thousand rows: no Java written for every query, and none of it compiled to the last.
SMALL_DATA = {
    "RFM_SPARK_CODEGEN": "false",
    "RFM_SPARK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}


class SparkIsMissing(RuntimeError):
    """pyspark or Java is not there."""


class QueryFailed(RuntimeError):
    """Spark does not take a statement, such as a query of a table that is not there."""


def is_installed() -> bool:
    return importlib.util.find_spec("pyspark") is not None


def settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings of the target `spark`, as dbt reads them from profiles.yml."""
    jinja = jinja2.Environment()
    jinja.globals["env_var"] = lambda name, default="": environment.get(name, default)
    jinja.filters["as_number"] = lambda text: text or 0
    text = (PROJECT_ROOT / "profiles.yml").read_text()
    outputs = yaml.safe_load(jinja.from_string(text).render())["rfm_retention"]["outputs"]
    return {name: str(value) for name, value in outputs["spark"]["server_side_parameters"].items()}


def require_pyspark() -> None:
    """Raises SparkIsMissing where pyspark is not installed."""
    if not is_installed():
        raise SparkIsMissing("pyspark is not installed: make setup-spark")


def require_java(environment: Mapping[str, str] = os.environ) -> None:
    """Raises SparkIsMissing, with what to do, where there is no Java for Spark."""
    java = Path(environment["JAVA_HOME"], "bin/java") if environment.get("JAVA_HOME") else "java"
    if shutil.which(java) is None:
        raise SparkIsMissing(
            f"Spark needs Java 17 or later, and {java} is not there: install it (on Debian and"
            " Ubuntu: apt-get install openjdk-17-jre-headless), or let JAVA_HOME name its folder."
        )


def spark_session(environment: Mapping[str, str] = os.environ) -> Any:
    """The Spark of this process; started where there is none.

    Raises SparkIsMissing with what to do about it.
    """
    require_pyspark()
    require_java(environment)
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.enableHiveSupport()
    for name, value in settings(environment).items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def land_parquet(spark: Any, schema: str, table: str, file: Path, columns: Sequence[str]) -> None:
    """Replace a table by the given columns of a Parquet file."""
    name = f"{quoted(schema)}.{quoted(table)}"
    spark.sql(f"create schema if not exists {quoted(schema)}")
    spark.sql(f"drop table if exists {name}")
    spark.sql(
        f"create table {name} using parquet as"
        f" select {', '.join(map(quoted, columns))} from parquet.{quoted(str(file))}"
    )


class Connection:
    """As much of a DB-API connection as the checks use."""

    def __init__(self, spark: Any):
        self._spark = spark
        self._frame: Any = None

    def cursor(self) -> Connection:
        return self

    def execute(self, statement: str) -> None:
        """Raises QueryFailed where Spark does not take the statement."""
        from pyspark.errors import AnalysisException

        try:
            self._frame = self._spark.sql(statement)
        except AnalysisException as error:
            raise QueryFailed(str(error)) from error

    @property
    def description(self) -> list[tuple[str]]:
        return [(name,) for name in self._frame.columns]

    def fetchall(self) -> list[tuple[Any, ...]]:
        from pyspark.sql import functions

        # pyspark would give a moment in the time zone of the machine.
        columns = [
            functions.col(quoted(name)).cast("timestamp_ntz" if kind == "timestamp" else kind).alias(name)
            for name, kind in self._frame.dtypes
        ]
        return [tuple(row) for row in self._frame.select(*columns).collect()]

    def close(self) -> None:
        self._frame = None
