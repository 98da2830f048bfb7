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


@pytest.fixture
def no_postgres_settings(monkeypatch, tmp_path):
    """An environment without wishes about PostgreSQL, and with temporary folders of our own."""
    for name in ("RFM_TEST_POSTGRES_DSN", "RFM_POSTGRES_SOURCE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=["installed", "wheel"])
def source(request, monkeypatch, no_postgres_settings) -> str:
    monkeypatch.setenv("RFM_POSTGRES_SOURCE", request.param)
    if request.param == "installed" and not postgres_server.find_sources()[0]:
        pytest.skip("no PostgreSQL is installed here; the packaged one is tested")
    return request.param


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


def test_the_server_asks_for_the_password(no_postgres_settings):
    with postgres_server.postgres_server() as environment:
        assert not is_listening({**environment, "PGPASSWORD": "guessed"})


def test_a_dsn_gives_a_database_of_its_own_that_is_dropped(postgres, monkeypatch):
    dsn = "host={PGHOST} port={PGPORT} user={PGUSER} password={PGPASSWORD} dbname={PGDATABASE}"
    monkeypatch.delenv("RFM_POSTGRES_SOURCE", raising=False)
    monkeypatch.setenv("RFM_TEST_POSTGRES_DSN", dsn.format(**postgres))
    databases = query(postgres, "select datname from pg_database")
    with postgres_server.postgres_server() as environment:
        assert environment["PGDATABASE"] != postgres["PGDATABASE"]
        assert query(environment, "select current_database()") == [(environment["PGDATABASE"],)]
    assert query(postgres, "select datname from pg_database") == databases


def test_a_dsn_that_does_not_answer_is_an_error_not_a_reason_for_another_server(
    no_postgres_settings, monkeypatch
):
    monkeypatch.setenv("RFM_TEST_POSTGRES_DSN", "host=127.0.0.1 port=1")
    with pytest.raises(PostgresUnavailable, match="RFM_TEST_POSTGRES_DSN: connection to server"):
        with postgres_server.postgres_server():
            pass


def test_without_any_server_the_error_lists_what_was_tried(no_postgres_settings, monkeypatch):
    monkeypatch.setattr(postgres_server, "_installed_bin_dirs", lambda: [Path("/nowhere")])
    monkeypatch.setattr(postgres_server, "_wheel_bin_dirs", lambda: [])
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


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_command_and_server(project_root, tmp_path, number, code):
    address = tmp_path / "address"
    script = 'env | grep ^PG > "$0.part" && mv "$0.part" "$0" && sleep 60'
    process = subprocess.Popen(
        with_server("sh", "-c", script, str(address)), cwd=project_root, start_new_session=True
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


def test_dbt_utils_comes_from_the_package_index_where_the_hub_is_silent(tmp_path, monkeypatch):
    packages = tmp_path / "packages.yml"
    packages.write_bytes(dbt_packages.PACKAGES_FILE.read_bytes())
    folder = tmp_path / "dbt_packages" / "dbt_utils"
    monkeypatch.setattr(dbt_packages, "PACKAGES_FILE", packages)
    monkeypatch.setattr(dbt_packages, "PACKAGE_FOLDER", folder)
    monkeypatch.setattr(dbt_packages, "INSTALLED_FOR", folder.parent / ".installed_for.yml")
    monkeypatch.setattr(dbt_packages, "hub_answers", lambda: False)

    assert not dbt_packages.is_installed()
    assert dbt_packages.main() == 0
    assert dbt_packages.is_installed()
    assert (folder / "macros" / "sql" / "safe_divide.sql").is_file()

    packages.write_text(packages.read_text().replace(">=1.1.1", ">=1.2.0"))
    assert not dbt_packages.is_installed()
    assert dbt_packages.main() == 1


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


def test_the_demo_lands_the_same_tables_on_both_engines(duckdb_file, postgres, monkeypatch):
    monkeypatch.setenv("RFM_TEST_POSTGRES_DSN", "host={PGHOST} port={PGPORT} user={PGUSER} "
                       "password={PGPASSWORD} dbname={PGDATABASE}".format(**postgres))
    monkeypatch.delenv("RFM_POSTGRES_SOURCE", raising=False)
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
    assert capsys.readouterr().out.endswith("The demo data are already in schema raw of the "
                                            f"DuckDB file {duckdb_file}.\n")
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
    assert lines[2].split() == ["Champions", "600", "24.0%", "2,500,000", "54.0%"] + [
        "protect_and_thank"
    ]
    assert lines[4].endswith("stay_silent (no contact)")
    assert lines[-1].split() == ["total", "2,469", "100.0%", "4,596,040", "100.0%"]
    assert all(len(line) <= 110 for line in lines)
