"""Checks of the set-up itself: the PostgreSQL server, the dbt package, the demo data."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import duckdb
import psycopg2
import pytest

from python_checks import dbt_packages, load_demo, postgres_server, show_segments
from python_checks.postgres_server import PostgresUnavailable


def is_listening(environment: dict[str, str]) -> bool:
    try:
        postgres_server.connect(environment).close()
        return True
    except psycopg2.OperationalError:
        return False


def query(environment: dict[str, str], sql: str) -> list[tuple]:
    connection = postgres_server.connect(environment)
    try:
        cursor = connection.cursor()
        cursor.execute(sql)
        return cursor.fetchall()
    finally:
        connection.close()


# ---- PostgreSQL -------------------------------------------------------------------------------


# The packaged server always, the installed one where there is one.
STARTABLE = ["wheel"]
if any(map(postgres_server.is_server_folder, postgres_server.installed_bin_dirs())):
    STARTABLE.append("installed")


@pytest.fixture
def no_wishes(monkeypatch) -> None:
    """An environment that wishes for no particular PostgreSQL."""
    for name in ("RFM_TEST_POSTGRES_DSN", "RFM_POSTGRES_SOURCE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=STARTABLE)
def source(request, monkeypatch, no_wishes) -> str:
    monkeypatch.setenv("RFM_POSTGRES_SOURCE", request.param)
    return request.param


@pytest.fixture
def dsn(postgres, monkeypatch, no_wishes) -> str:
    """The shared server, as somebody who runs one would name it."""
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD"}
    dsn = psycopg2.extensions.make_dsn(
        **{key: postgres[name] for key, name in names.items()}, dbname=postgres["PGDATABASE"]
    )
    monkeypatch.setenv("RFM_TEST_POSTGRES_DSN", dsn)
    return dsn


def test_a_server_starts_answers_and_is_gone_afterwards(source, capsys):
    with postgres_server.postgres_server() as environment:
        ((folder,),) = query(environment, "show data_directory")
        assert query(environment, "select 1") == [(1,)]
        assert Path(folder).is_dir()
    assert f"{source}: PostgreSQL" in capsys.readouterr().err
    assert not is_listening(environment)
    assert not Path(folder).parent.exists()


def test_a_server_is_gone_after_an_error(source):
    with pytest.raises(ZeroDivisionError):
        with postgres_server.postgres_server() as environment:
            raise ZeroDivisionError
    assert not is_listening(environment)


def test_the_server_asks_for_the_password(no_wishes):
    with postgres_server.postgres_server() as environment:
        assert not is_listening({**environment, "PGPASSWORD": "guessed"})


def test_a_dsn_gives_a_database_of_its_own_that_is_dropped(postgres, dsn):
    databases = query(postgres, "select datname from pg_database")
    with postgres_server.postgres_server() as environment:
        assert environment["PGDATABASE"] != postgres["PGDATABASE"]
        assert query(environment, "select current_database()") == [(environment["PGDATABASE"],)]
    assert query(postgres, "select datname from pg_database") == databases


def test_a_dsn_that_does_not_answer_is_an_error_not_a_reason_for_another_server(
    no_wishes, monkeypatch
):
    monkeypatch.setenv("RFM_TEST_POSTGRES_DSN", "host=127.0.0.1 port=1")
    with pytest.raises(PostgresUnavailable, match="RFM_TEST_POSTGRES_DSN: connection to server"):
        with postgres_server.postgres_server():
            pass


def test_without_any_server_the_error_lists_what_was_tried(no_wishes, monkeypatch):
    monkeypatch.setattr(postgres_server, "installed_bin_dirs", lambda: [Path("/nowhere")])
    monkeypatch.setattr(postgres_server, "wheel_bin_dirs", lambda: [])
    with pytest.raises(PostgresUnavailable) as error:
        with postgres_server.postgres_server():
            pass
    for line in ("dsn: ", "installed: ", "wheel: "):
        assert f"  - {line}" in str(error.value)


def test_an_unknown_source_names_the_accepted_ones(monkeypatch):
    monkeypatch.setenv("RFM_POSTGRES_SOURCE", "docker")
    with pytest.raises(ValueError, match="'docker'; accepted are: dsn, installed, wheel"):
        postgres_server.find_sources()


def with_server(*command: str) -> list[str]:
    return [sys.executable, "-m", "python_checks.postgres_server", "--", *command]


def test_the_command_line_returns_the_exit_code_of_the_command(project_root):
    script = 'test -n "$PGHOST" -a -n "$PGPORT" -a "$RFM_PG_RUNNING" = 1 && exit 7'
    result = subprocess.run(with_server("sh", "-c", script), cwd=project_root, check=False)
    assert result.returncode == 7


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_command_and_server(project_root, tmp_path, number, code):
    address = tmp_path / "address"
    script = 'env | grep ^PG > "$0.part" && mv "$0.part" "$0" && sleep 60'
    process = subprocess.Popen(
        with_server("sh", "-c", script, str(address)),
        cwd=project_root,
        start_new_session=True,
        # A job in the background ignores Ctrl-C, and so would everything that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not address.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    environment = dict(line.split("=", 1) for line in address.read_text().splitlines())
    assert is_listening(environment)
    os.killpg(process.pid, number)
    assert process.wait(30) == code
    assert not is_listening(environment)


# ---- the dbt package --------------------------------------------------------------------------


def test_the_packaged_dbt_utils_is_refused_when_it_is_not_the_pinned_archive(tmp_path):
    archive = tmp_path / "dbt_metric_utils-0.1.1.tar.gz"
    archive.write_bytes(b"something else")
    installed = tmp_path / "dbt_utils"
    installed.mkdir()
    with pytest.raises(ValueError, match=hashlib.sha256(b"something else").hexdigest()):
        dbt_packages.extract(archive, installed)
    assert installed.is_dir()


@pytest.fixture
def empty_project(monkeypatch, tmp_path) -> Path:
    """A folder with our packages.yml and no dbt_packages, out of the hub's reach."""
    (tmp_path / "packages.yml").write_bytes(dbt_packages.PACKAGES_FILE.read_bytes())
    folder = tmp_path / "dbt_packages"
    monkeypatch.setattr(dbt_packages, "PACKAGES_FILE", tmp_path / "packages.yml")
    monkeypatch.setattr(dbt_packages, "PACKAGE_FOLDER", folder / "dbt_utils")
    monkeypatch.setattr(dbt_packages, "INSTALLED_FOR", folder / ".installed_for.yml")
    monkeypatch.setattr(dbt_packages, "hub_answers", lambda: False)
    return tmp_path


@pytest.mark.skipif(os.environ.get("RFM_FULL") != "1", reason="downloads 12 MB: make test-full")
def test_dbt_utils_comes_from_the_package_index_where_the_hub_is_silent(empty_project):
    assert not dbt_packages.is_installed()
    assert dbt_packages.main() == 0
    assert dbt_packages.is_installed()
    assert (empty_project / "dbt_packages/dbt_utils/macros/sql/safe_divide.sql").is_file()


def test_a_version_that_only_the_hub_has_is_not_replaced_by_another(empty_project, capsys):
    packages = empty_project / "packages.yml"
    packages.write_text(packages.read_text().replace(">=1.1.1", ">=1.2.0"))
    assert dbt_packages.main() == 1
    assert ">=1.2.0; without the hub there is 1.1.1" in capsys.readouterr().err


# ---- the demo ---------------------------------------------------------------------------------


@pytest.fixture
def duckdb_file(monkeypatch, tmp_path) -> Path:
    file = tmp_path / "demo.duckdb"
    monkeypatch.setenv("RFM_DUCKDB_PATH", str(file))
    return file


SALES = """
    select
        count(*), count(distinct sale_id), count(distinct order_id), count(distinct customer_id),
        count(channel), sum(revenue), sum(discount_amount), min(sale_date), max(sale_date)
    from raw.fact_sales
"""


def test_the_demo_lands_the_same_tables_on_both_engines(duckdb_file, dsn, monkeypatch):
    with postgres_server.postgres_server() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        for target in ("duckdb", "postgres"):
            load_demo.load(target, only_customers=20)
        with duckdb.connect(str(duckdb_file)) as connection:
            for table in load_demo.TABLES:
                rows = f"select * from raw.{table.name}"
                on_duckdb = connection.execute(rows).fetchall()
                assert on_duckdb
                assert sorted(map(repr, on_duckdb)) == sorted(map(repr, query(environment, rows)))


def test_the_whole_demo_is_what_the_package_holds(duckdb_file):
    load_demo.load("duckdb")
    with duckdb.connect(str(duckdb_file)) as connection:
        counts = connection.execute(SALES).fetchone()
    assert counts[:5] == (1_469_307, 1_469_307, 155_848, 2_469, 0)
    assert counts[5:7] == (Decimal("4596039.58"), Decimal("822553.19"))
    assert [f"{date:%Y-%m-%d}" for date in counts[7:]] == ["2017-01-01", "2018-01-01"]


def test_a_second_load_does_nothing_and_another_choice_replaces(duckdb_file, capsys):
    load_demo.load("duckdb", only_customers=3)
    load_demo.load("duckdb", only_customers=3)
    assert capsys.readouterr().out.endswith(
        f"The demo data are already in schema raw of the DuckDB file {duckdb_file}.\n"
    )
    load_demo.load("duckdb", only_customers=2)
    with duckdb.connect(str(duckdb_file)) as connection:
        ids = connection.execute("select distinct customer_id from raw.fact_sales order by 1")
        assert ids.fetchall() == [("1",), ("10",)]


def test_tables_that_the_demo_did_not_make_are_left_alone(duckdb_file):
    with duckdb.connect(str(duckdb_file)) as connection:
        connection.execute("create schema raw; create table raw.fact_sales as select 42 as mine")
    with pytest.raises(load_demo.ForeignTable, match="raw.fact_sales, not made by the demo"):
        load_demo.load("duckdb", only_customers=1, force=True)
    with duckdb.connect(str(duckdb_file)) as connection:
        assert connection.execute("select * from raw.fact_sales").fetchall() == [(42,)]


def test_the_segment_table_is_aligned_adds_up_and_fits_the_screen():
    segments = [
        ("Champions", 600, 0.24, Decimal("2500000.40"), 0.54, "protect_and_thank", False),
        ("Potential Loyalists", 1869, 0.76, Decimal("2096039.18"), 0.46, "second_habit", False),
        ("Prospects", 0, 0.0, Decimal(0), None, "stay_silent", True),
    ]
    lines = show_segments.segment_table(segments).splitlines()
    assert lines[2].split()[1:] == ["600", "24.0%", "2,500,000", "54.0%", "protect_and_thank"]
    assert lines[4].endswith("stay_silent (no contact)")
    assert lines[-1].split() == ["total", "2,469", "100.0%", "4,596,040", "100.0%"]
    assert all(len(line) <= 110 for line in lines)
