"""A `dbt run` that is killed as it comes to a model: readers find every mart, old or new and never in
between, and the next run ends the work."""

from __future__ import annotations

import datetime as dt
import json
import signal
import subprocess
import sys
from typing import Any

import pandas as pd

from python_checks.dbt_project import TARGETS, VALIDATION, Project, builds, on
from python_checks.expected_marts import plain
from python_checks.test_history import MONTHS, in_order, land, settings_at, the_case

BEFORE, TODAY = MONTHS[-2:]
# The run dies as it begins with one of these: scores by date, history by date, what is made of the
# history, the log of the audiences.
KILLED_AT = ("int_rfm_scores", "customer_segment_history", "segment_transitions", "audience_changes")
# Their rows are of one date; of the first `customer_rfm` is made.
OF_ONE_DATE = ("customer_segments", "customer_engagement")
# It only grows.
LOG = "audience_changes"


def run(project: Project, day: dt.date, *arguments: str, killed_at: str | None = None) -> None:
    """A run in a process of its own, which ends without a word at the beginning of that model."""
    command = [sys.executable, "-m", "dbt.cli.main", "--no-use-colors", "run", "--threads", "1"]
    command += ["--exclude", "build_warnings", "marts.reporting", *VALIDATION, *arguments]
    command += ["--vars", json.dumps(settings_at(day)), "--target", project.target]
    with subprocess.Popen(
        command,
        cwd=project.folder,
        env=project.environment | {"PYTHONUNBUFFERED": "1", "DBT_PROFILES_DIR": "."},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if killed_at and " START " in line and f".{killed_at} " in line:
                process.send_signal(signal.SIGKILL)
                break
        process.wait()
    expected = -signal.SIGKILL if killed_at else 0
    assert process.returncode == expected, "".join(lines[-20:])


def marts(project: Project) -> dict[str, pd.DataFrame]:
    """Every table of rfm_marts, its rows in one order."""
    names = project.query(
        "select table_name from information_schema.tables"
        " where table_schema = 'rfm_marts' and table_name not like '%\\_\\_dbt\\_%' escape '\\'"
        " order by table_name"
    )
    found = {}
    for name in names["table_name"]:
        found[name] = in_order(plain(project.read(f"rfm_marts.{name}")))
    return found


def build_killed(project: Project) -> list[Any]:
    """[marts of a day, after each run of the next day that was killed, after one that was not, after a
    full refresh]."""
    # Anew, for DuckDB lets one process in, and dbt has been in this one's file.
    project.start()
    land(project, the_case())
    run(project, BEFORE)
    found = [marts(project)]
    for model in KILLED_AT:
        run(project, TODAY, killed_at=model)
        found.append(marts(project))
    run(project, TODAY)
    found.append(marts(project))
    run(project, TODAY, "--full-refresh")
    return [*found, marts(project)]


@builds(*(on(target, build_killed) for target in TARGETS))
def test_a_killed_run_leaves_whole_marts_and_the_next_one_ends_the_work(built):
    before, *interrupted, after, refreshed = built
    assert set(after) == set(before)
    changed = {name for name in before if not before[name].equals(after[name])}
    assert changed >= {*OF_ONE_DATE, LOG, "customer_segment_history", "customer_rfm"}
    is_new: set[str] = set()
    for number, found in enumerate(interrupted):
        assert set(found) == set(before)
        for name, rows in found.items():
            if rows.equals(after[name]):
                is_new |= {name} & changed
            else:
                # What was new once is not old again.
                assert name not in is_new, (KILLED_AT[number], name)
                pd.testing.assert_frame_equal(rows, before[name], obj=name)
        for name in OF_ONE_DATE:
            assert found[name]["as_of_date"].nunique() == 1, name
    # The run got as far as its end differs: some marts are of today by then, and some are not.
    assert is_new and changed - is_new
    for name, rows in refreshed.items():
        pd.testing.assert_frame_equal(after[name], rows, obj=name)
