"""The benchmark measures what it says: small runs of it, and its arithmetic."""

import json
import subprocess
import sys

import pytest

from python_checks.benchmark import report
from python_checks.dbt_project import FULL, PROJECT_ROOT

SCENARIOS = {
    "current": {"ours", "by hand", "pandas"},
    "history": {"current date", "12 dates", "validation of 12 dates"},
    "everything": {"path to customer_rfm", "everything"},
    "day": {"full build", "one more day"},
}


@pytest.mark.parametrize("scenario", SCENARIOS if FULL else ["current"])
def test_a_small_run_measures_every_way(scenario, tmp_path):
    """Above all `current`, which also compares ours with the statement by hand."""
    output = tmp_path / "measurements.json"
    command = [
        sys.executable, "-m", "python_checks.benchmark", scenario,
        "--sizes", "2k", "--engines", "duckdb", "--repeats", "1", "--output", str(output),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(output.read_text())
    assert SCENARIOS[scenario] <= {row["way"] for row in rows}
    for row in rows:
        assert 0 < row["cpu_seconds"] and 0 < row["peak_mb"]
        if "engine_seconds" in row:
            assert 0 < row["engine_seconds"] < row["seconds"] and row["statements"] > 20
    assert done.stdout.rstrip().endswith("|")


def measurement(way, seconds, sales=1000, **more):
    return {
        "scenario": "current", "customers": sales // 10, "sales": sales, "days": 730,
        "engine": "duckdb", "way": way, "seconds": seconds, "cpu_seconds": seconds, "peak_mb": 1.0,
    } | more  # fmt: skip


def test_medians_and_ratios():
    rows = [
        measurement("ours", seconds, engine_seconds=seconds - 6, statements=9)
        for seconds in (10, 8, 30)
    ]
    rows += [measurement("by hand", 2), measurement("pandas", 40)]
    text = report.tables(rows)
    assert "| ours | 10.0 | 4.0 | 6.0 | 9 |" in text
    assert "ours takes 2.00 × its time (engine)" in text
    assert "ours is 4.0 × as fast, end to end" in text


def test_the_exponent_of_growth():
    """Four times the time for twice the sales is an exponent of 2."""
    rows = [measurement("pandas", seconds, sales) for sales, seconds in ((1000, 3), (2000, 12))]
    assert "| duckdb | pandas | sales | 2.00 |" in report.tables(rows)


def test_the_plot_has_a_bar_for_every_way():
    picture = report.plot([measurement("ours", 10), measurement("pandas", 40)])
    assert picture.count("<rect") == 3  # and the background
    assert "ours" in picture and "40.0 s" in picture
