"""Build the project for a check: a database of its own, sources landed in it, dbt run on it.

A test says what lands and which vars are set, and reads what dbt made of it::

    def build(project):
        project.land("fact_sales", frame, {"customer_id": "varchar", …})
        run = project.dbt("run", vars={"tie_method": "split"})
        return run, project.read("rfm_marts.customer_rfm")

    @builds(on("duckdb", build), on("postgres", build))
    def test_…(built):
        run, contract = built

`Project` is a copy of the checkout, whose seeds a test may break. `Workers` runs such functions in
two processes: dbt and DuckDB keep one core busy for two seconds a build.

dbt runs in the process (`dbtRunner`), with the parsed project of an earlier run where the vars
that parsing depends on are the same. RFM_FULL=1 parses for every new set of vars.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import gc
import io
import json
import multiprocessing
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pandas as pd
import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from dbt.cli.main import dbtRunner
from psycopg2 import sql

from python_checks import spark_session

PROJECT_ROOT = Path(__file__).resolve().parent.parent
TARGETS = ("duckdb", "postgres")
FULL = os.environ.get("RFM_FULL") == "1"
WORKERS = 2

_COPIED = (
    "analyses",
    "dbt_packages",
    "dbt_project.yml",
    "macros",
    "models",
    "packages.yml",
    "profiles.yml",
    "selectors.yml",
    "tests",
)
# Validation, propensity, discovered segments, measurement, budget: nothing else is made of them, but
# for columns of segment_summary, which are null without them.
VALIDATION = (
    "intermediate.validation",
    "intermediate.discovery",
    "intermediate.measurement",
    "intermediate.budget",
    "marts.measurement",
    "marts.budget",
    "marts.validation",
    "marts.propensity",
    "marts.discovery",
)
# From landed sales to the marts that RELATIONS of expected_marts.py names; the policy's own models
# stay as `Project.start` left them.
SOURCES_TO_MARTS = (
    "run",
    "--select",
    "policy_gate",
    "base_sales+",
    "base_customers+",
    "--exclude",
    "build_warnings",
    "marts.behaviour",
    "marts.activation",
    "int_audience_fits",
    "int_audience_candidates",
    "int_holdout_customers",
    "int_holdout_fits",
    "int_customer_reach",
    "segment_profile",
    "segment_transitions",
    "segment_migration",
    "history_slices",
    *VALIDATION,
)
# Vars that make a difference while dbt parses (where a source is, which sources are used, a mart's
# name, how severe a test is); all others are read while it runs.
_PARSED_VARS = (
    "source_schema",
    "sales_table",
    "customers_table",
    "products_table",
    "engagement_events_table",
    "campaign_contacts_table",
    "experiment_assignments_table",
    "using_customers",
    "using_products",
    "using_engagement_events",
    "using_campaign_contacts",
    "using_experiment_assignments",
    "customer_rfm_schema",
    "customer_rfm_name",
    "validation_severity",
    "segment_scheme",
)


# Two dates of history instead of twelve where a check does not ask for more: most builds are about
# something else, and every date takes its time.
HISTORY_PERIODS = 2


def default_vars() -> dict[str, Any]:
    """The vars of dbt_project.yml as the copies of the project have them."""
    given = yaml.safe_load((PROJECT_ROOT / "dbt_project.yml").read_text())["vars"]
    return given | {"history_periods": HISTORY_PERIODS}


# ---------------------------------------------------------------------------------------------
# Databases
# ---------------------------------------------------------------------------------------------


def connect_postgres(environment: Mapping[str, str]) -> Any:
    """A connection that commits every statement."""
    connection = psycopg2.connect(
        host=environment["PGHOST"],
        port=environment["PGPORT"],
        user=environment["PGUSER"],
        password=environment.get("PGPASSWORD", ""),
        dbname=environment["PGDATABASE"],
    )
    connection.autocommit = True
    return connection


def fetch(connection: Any, query: str) -> pd.DataFrame:
    """The rows of a query as plain Python objects (None, str, int, float, bool, Decimal, date)."""
    cursor = connection.cursor()
    cursor.execute(query)
    rows = cursor.fetchall()
    columns = [column[0] for column in cursor.description]
    return object_frame(columns, rows)


def object_frame(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """A frame of object columns: nothing is inferred, None stays None."""
    data = {}
    for position, column in enumerate(columns):
        values = np.empty(len(rows), dtype=object)
        values[:] = [row[position] for row in rows]
        data[column] = pd.Series(values, dtype=object)
    return pd.DataFrame(data, columns=list(columns), index=range(len(rows)))


def _values(column: pd.Series) -> list[Any]:
    """Plain values; whatever means missing is None, but a NaN in an object column stays one."""
    if column.dtype == object:
        return [None if value is pd.NA or value is pd.NaT else value for value in column]
    return [None if pd.isna(value) else value for value in column.tolist()]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _definition(types: Mapping[str, str]) -> str:
    return ", ".join(f"{_quoted(name)} {sql_type}" for name, sql_type in types.items())


def _arrow_type(sql_type: str) -> pa.DataType:
    kind = sql_type.partition("(")[0].strip().lower()
    if kind in ("decimal", "numeric"):
        return pa.decimal128(38, int(sql_type.rstrip(") ").rpartition(",")[2]))
    return {
        "varchar": pa.string(),
        "text": pa.string(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us"),
        "timestamp with time zone": pa.timestamp("us", tz="UTC"),
        "double precision": pa.float64(),
        "real": pa.float32(),
        "integer": pa.int64(),
        "bigint": pa.int64(),
        "boolean": pa.bool_(),
    }[kind]


def _land_in_duckdb(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    rows: pd.DataFrame,
    types: Mapping[str, str],
) -> None:
    # from_pandas=False: a NaN lands as NaN and not as null.
    arrays = [
        pa.array(_values(rows[name]), type=_arrow_type(sql_type), from_pandas=False)
        for name, sql_type in types.items()
    ]
    names = ", ".join(map(_quoted, types))
    connection.register("landing", pa.table(arrays, names=list(types)))
    connection.execute(f"insert into {table} ({names}) select {names} from landing")
    connection.unregister("landing")


def _land_in_spark(
    schema: str, table: str, rows: pd.DataFrame, types: Mapping[str, str], folder: Path
) -> None:
    arrays = [
        pa.array(_values(rows[name]), type=_arrow_type(sql_type), from_pandas=False)
        for name, sql_type in types.items()
    ]
    file = folder / "landing.parquet"
    pq.write_table(pa.table(arrays, names=list(types)), file)
    spark_session.land_parquet(spark_session.spark_session(), schema, table, file, list(types))
    file.unlink()


def _copy_text(value: Any) -> str:
    if value is None:
        return r"\N"
    if isinstance(value, dt.date):  # a datetime too
        return value.isoformat()
    text = repr(float(value)) if isinstance(value, float) else str(value)
    for character, escape in (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(character, escape)
    return text


def _land_in_postgres(
    connection: Any, table: str, rows: pd.DataFrame, types: Mapping[str, str]
) -> None:
    columns = [_values(rows[name]) for name in types]
    lines = ("\t".join(map(_copy_text, row)) + "\n" for row in zip(*columns, strict=True))
    names = ", ".join(map(_quoted, types))
    connection.cursor().copy_expert(
        f"copy {table} ({names}) from stdin", io.StringIO("".join(lines))
    )
    connection.cursor().execute(f"analyze {table}")


# ---------------------------------------------------------------------------------------------
# A copy of the project
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """What one dbt command said: did it succeed, every line from info on, warnings, statuses."""

    success: bool
    log: str
    warnings: tuple[str, ...]
    statuses: Mapping[str, str]  # node name → success, pass, warn, error, fail, skipped

    @property
    def problems(self) -> str:
        """The log from its first error on."""
        beginnings = ("Encountered an error", "Failure in ", "Completed with ")
        places = [self.log.find(beginning) for beginning in beginnings]
        return self.log[min((place for place in places if place >= 0), default=0) :]


class Project:
    """The project in a folder of its own, with a database of its own on one of the targets.

    `environment`: PG* of a server on which databases may be created (target 'postgres' only);
    the folder's name is the database's name there.
    """

    def __init__(self, folder: Path, target: str, environment: Mapping[str, str] | None = None):
        self.folder = folder / "project"
        self.folder.mkdir(parents=True)
        for name in _COPIED:
            copy = shutil.copytree if (PROJECT_ROOT / name).is_dir() else shutil.copy
            copy(PROJECT_ROOT / name, self.folder / name)
        settings = self.folder / "dbt_project.yml"
        settings.write_text(
            re.sub(r"history_periods: \d+", f"history_periods: {HISTORY_PERIODS}", settings.read_text())
        )
        self.target = target
        self._parsed: dict[str, Any] = {}
        self._broken = ""
        self._database: _Database
        if target == "duckdb":
            self._database = _DuckDBFile(folder)
        elif target == "spark":
            self._database = _SparkFolder(folder)
        else:
            self._database = _PostgresDatabase(environment or {}, folder.name)

    @property
    def seeds(self) -> Path:
        """The folder with the CSV files, this project's own."""
        return self.folder / "seeds"

    @property
    def environment(self) -> dict[str, str]:
        """The environment for a command that is to work on this project's database."""
        return {**os.environ, **self._database.environment}

    def start(self) -> None:
        """Shipped seeds, an empty fact_sales, and the marts that come of these."""
        if self._broken:
            raise RuntimeError(self._broken)
        self.ship_seeds()
        if self._database.start():
            return
        empty = object_frame(["customer_id", "sale_date", "revenue"], [])
        types = {"customer_id": "varchar", "sale_date": "date", "revenue": "decimal(18, 2)"}
        self.land("fact_sales", empty, types)
        for command in ("seed", "run"):
            run = self.dbt(command)
            if not run.success:
                self._broken = f"dbt {command} failed on an empty fact_sales:\n{run.problems}"
                raise RuntimeError(self._broken)
        self._database.keep()

    def land(
        self, table: str, rows: pd.DataFrame, types: Mapping[str, str], schema: str = "raw"
    ) -> None:
        """Replace a source table; `types` names its columns and their SQL types."""
        if self.target == "spark":
            with _environment(self._database.environment):
                _land_in_spark(schema, table, rows, types, self.folder)
            return
        name = f"{_quoted(schema)}.{_quoted(table)}"
        with closing(self.connect()) as connection:
            cursor = connection.cursor()
            cursor.execute(f"create schema if not exists {_quoted(schema)}")
            cursor.execute(f"drop table if exists {name} cascade")
            cursor.execute(f"create table {name} ({_definition(types)})")
            if len(rows):
                land = _land_in_duckdb if self.target == "duckdb" else _land_in_postgres
                land(connection, name, rows, types)

    def ship_seeds(self) -> None:
        """The CSV files as they are in the checkout."""
        shutil.rmtree(self.seeds, ignore_errors=True)
        shutil.copytree(PROJECT_ROOT / "seeds", self.seeds)

    def load(self, load: Callable[[str], None], keep_sales: bool = False) -> None:
        """Call a loader such as `load_demo.load` with the target, in this database."""
        if not keep_sales and self.target != "spark":  # a start leaves no tables there
            self.execute("drop table if exists raw.fact_sales cascade")
        with _environment(self._database.environment), contextlib.redirect_stdout(None):
            load(self.target)

    def read(self, relation: str, columns: str = "*") -> pd.DataFrame:
        """The rows of a relation, in no particular order."""
        return self.query(f"select {columns} from {relation}")

    def query(self, query: str) -> pd.DataFrame:
        with closing(self.connect()) as connection:
            return fetch(connection, query)

    def execute(self, statement: str) -> None:
        with closing(self.connect()) as connection:
            connection.cursor().execute(statement)

    def connect(self) -> Any:
        """A DB-API connection to the database; it commits every statement."""
        return self._database.connect()

    def dbt(
        self, *arguments: str, vars: Mapping[str, Any] | None = None, parse: bool = False
    ) -> Run:
        """Run a dbt command; `parse`: as in a new shell, without an earlier parsed project."""
        given = dict(vars or {})
        key = json.dumps({n: v for n, v in given.items() if FULL or n in _PARSED_VARS}, default=str)
        log: list[str] = []
        warnings: list[str] = []

        def listen(event: Any) -> None:
            if event.info.level in ("info", "warn", "error"):
                log.append(event.info.msg)
            if event.info.level == "warn":
                warnings.append(event.info.msg)

        with _environment(self._database.environment):
            if parse or key not in self._parsed:
                parsed = self._invoke(["parse", "--no-partial-parse"], given, None, listen)
                if not parsed.success:
                    return Run(False, "\n".join(log), tuple(warnings), {})
                if not parse:
                    self._parsed[key] = parsed.result
            manifest = parsed.result if parse else self._parsed[key]
            result = self._invoke(list(arguments), given, manifest, listen)
        statuses = {
            node.node.name: str(node.status) for node in getattr(result.result, "results", ())
        }
        return Run(result.success, "\n".join(log), tuple(warnings), statuses)

    def keys(self, folder: str = "marts") -> dict[str, tuple[str, ...]]:
        """What identifies a row, per model in the folder, by the tests that hold it unique."""
        manifest = next(iter(self._parsed.values()))
        found: dict[str, tuple[str, ...]] = {}
        for node in manifest.nodes.values():
            test = getattr(node, "test_metadata", None)
            if test is None or node.attached_node is None or node.config.where:
                continue
            model = manifest.nodes.get(node.attached_node)
            if model is None or model.fqn[1:2] != [folder]:
                continue
            if test.name == "unique_combination_of_columns":
                found.setdefault(model.name, tuple(test.kwargs["combination_of_columns"]))
            elif test.name == "unique":
                found.setdefault(model.name, (test.kwargs["column_name"],))
        return found

    def _invoke(
        self, arguments: list[str], given: Mapping[str, Any], manifest: Any, listen: Callable
    ) -> Any:
        options = {
            "--project-dir": self.folder,
            "--profiles-dir": self.folder,
            "--target": self.target,
            "--target-path": self.folder / "target",
            "--log-path": self.folder / "logs",
            "--log-level": "none",
            "--log-level-file": "none",
            "--vars": json.dumps(given, default=str),
        }
        flat = [str(part) for pair in options.items() for part in pair]
        runner = dbtRunner(manifest=manifest, callbacks=[listen])
        return runner.invoke([*arguments, *flat, "--no-use-colors", "--no-write-json"])


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _DuckDBFile:
    """A file per start, always of one name: dbt writes it into what it parses, and into views."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._count = 0
        self._kept: Path | None = None
        self._file.parent.mkdir()

    @property
    def _file(self) -> Path:
        return self._folder / f"database_{self._count}" / "rfm_retention.duckdb"

    @property
    def environment(self) -> dict[str, str]:
        return {"RFM_DUCKDB_PATH": str(self._file)}

    def connect(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(str(self._file))

    def start(self) -> bool:
        """A new database; whether it is a copy of the kept one."""
        shutil.rmtree(self._file.parent, ignore_errors=True)
        self._count += 1
        self._file.parent.mkdir()
        if self._kept is not None:
            shutil.copy(self._kept, self._file)
        return self._kept is not None

    def keep(self) -> None:
        """Remember the present state for later starts."""
        with closing(self.connect()) as connection:
            connection.execute("checkpoint")
        self._kept = self._folder / "kept.duckdb"
        shutil.copy(self._file, self._kept)


class _PostgresDatabase:
    """One database, made anew at every start, and one that keeps the state to start from."""

    def __init__(self, environment: Mapping[str, str], name: str):
        self._server = dict(environment)
        self._name = name
        self._kept_name: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {**self._server, "PGDATABASE": self._name}

    def connect(self) -> Any:
        return connect_postgres(self.environment)

    def _administer(self, statement: str, *names: str) -> None:
        with closing(connect_postgres(self._server)) as connection:
            query = sql.SQL(statement).format(*map(sql.Identifier, names))
            connection.cursor().execute(query)

    def start(self) -> bool:
        """A new database; whether it is a copy of the kept one."""
        self._administer("drop database if exists {} with (force)", self._name)
        if self._kept_name is None:
            self._administer("create database {}", self._name)
            return False
        self._administer("create database {} template {}", self._name, self._kept_name)
        return True

    def keep(self) -> None:
        """Remember the present state for later starts."""
        self._kept_name = f"{self._name}_kept"
        self._administer("create database {} template {}", self._kept_name, self._name)


class _SparkFolder:
    """The tables of this process's Spark. A start leaves nothing behind, and builds nothing: that
    alone would take minutes."""

    def __init__(self, folder: Path):
        self._folder = folder / "spark"

    @property
    def environment(self) -> dict[str, str]:
        return {spark_session.FOLDER_VARIABLE: str(self._folder), **spark_session.SMALL_DATA}

    def connect(self) -> spark_session.Connection:
        with _environment(self.environment):
            return spark_session.Connection(spark_session.spark_session())

    def start(self) -> bool:
        connection = self.connect()
        connection.execute("show schemas")
        for (schema,) in connection.fetchall():
            if schema != "default":
                connection.execute(f"drop schema {spark_session.quoted(schema)} cascade")
        return True

    def keep(self) -> None:
        raise NotImplementedError("a start on Spark builds nothing that could be kept")


_Database = _DuckDBFile | _PostgresDatabase | _SparkFolder


# ---------------------------------------------------------------------------------------------
# Worker processes
# ---------------------------------------------------------------------------------------------

class Build(NamedTuple):
    """One call for a worker: `function(project, *arguments)` on a fresh project of the target."""

    target: str
    function: Callable
    arguments: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return "-".join([self.target, *map(str, self.arguments)])


def on(target: str, function: Callable, *arguments: Any) -> Build:
    return Build(target, function, arguments)


def builds(*plan: Build) -> pytest.MarkDecorator:
    """Run the test once for each build; its result is the fixture `built`.

    The builds of a module are all under way from its first test on.
    """
    return pytest.mark.parametrize("build", plan, ids=map(str, plan))


def chosen_builds(request: pytest.FixtureRequest) -> list[Build]:
    """The builds of those tests in the request's module that will run."""
    chosen = (
        item.callspec.params["build"]
        for item in request.session.items
        if item.path == request.path
        and "build" in getattr(item, "fixturenames", ())
        and not any(mark.args[0] for mark in item.iter_markers("skipif"))
    )
    return list(dict.fromkeys(chosen))


_projects: dict[str, Project] = {}


def _work(folder: Path, environment: Mapping[str, str], build: Build) -> Any:
    """In a worker: call the function with this process's project, freshly started."""
    if build.target not in _projects:
        # A worker keeps its projects until it ends; whoever made the folder cleans up.
        own = folder / f"{folder.name}_{build.target}_{os.getpid()}"
        _projects[build.target] = Project(own, build.target, environment)
    project = _projects[build.target]
    project.start()
    return build.function(project, *build.arguments)


class Workers:
    """Two processes that build, on DuckDB files in the folder and on databases of the server.

    `environment`: PG* of a server on which databases may be created.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]):
        self._folder = folder / f"rfm_checks_{secrets.token_hex(4)}"
        self._folder.mkdir()
        self._environment = dict(environment)
        # dbt keeps its parsed project, some million objects, and makes many more: looking through
        # them all again and again is a tenth of its time.
        self._pool = ProcessPoolExecutor(
            WORKERS, multiprocessing.get_context("spawn"), gc.set_threshold, (100_000, 50, 50)
        )

    def submit(self, build: Build) -> Future:
        return self._pool.submit(_work, self._folder, self._environment, build)

    def close(self) -> None:
        """End the processes and remove their files and databases."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        remove_databases(self._folder.name, self._environment)
        shutil.rmtree(self._folder, ignore_errors=True)


def remove_databases(prefix: str, environment: Mapping[str, str]) -> None:
    """Drop the server's databases whose names start so."""
    with closing(connect_postgres(environment)) as connection:
        cursor = connection.cursor()
        cursor.execute("select datname from pg_database where starts_with(datname, %s)", (prefix,))
        for (name,) in cursor.fetchall():
            drop = sql.SQL("drop database {} with (force)").format(sql.Identifier(name))
            cursor.execute(drop)
