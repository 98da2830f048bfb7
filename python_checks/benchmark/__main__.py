"""Measure the project against other ways to the same scores, and against itself.

    python -m python_checks.benchmark current               ours, one SQL statement by hand, pandas,
                                                            polars, openretailscience
    python -m python_checks.benchmark history               twelve dates against the current one
    python -m python_checks.benchmark everything            all models on all sources, against the
                                                            path to customer_rfm
    python -m python_checks.benchmark day                   one more day on three years of history,
                                                            and on six, against a full build
    python -m python_checks.benchmark growth                sales, customers and dates doubled in turn

Sizes are customers (`--sizes 100k 1m 5m`), with ten sales each. Within a run all ways take turns,
`--repeats` times; the report shows medians. Every figure is from one run on one machine, so only the
ratios travel. polars and openretailscience are measured where they are installed
(`pip install -r requirements-benchmark.txt`), and named as missing where they are not.

Of ours the time is split: the engine's (what the statements took), and dbt's own (starting, parsing,
compiling, logging). `--output` keeps every measurement as JSON; `report FILE…` prints the tables of
such files again and draws the plot.
"""

import argparse
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from python_checks.benchmark import generate, report
from python_checks.benchmark.engines import ENGINES, SCHEMA
from python_checks.benchmark.measure import run_measured
from python_checks.benchmark.ways import WAYS
from python_checks.dbt_project import PROJECT_ROOT, VALIDATION
from python_checks.postgres_server import postgres_server

PATH = ("+customer_rfm",)
# Warnings about experiments look at what VALIDATION leaves out.
WITHOUT_VALIDATION = ("--exclude", *VALIDATION, "activation_warnings")
NEEDS = {"polars": "polars", "openretailscience": "openretailscience"}
# Ends in the middle of a month, so that the next day does not move the first date of the history: that
# is one day in thirty, and makes what looks back anew.
THREE_YEARS = 3 * 365 + 14


class Bench:
    """One engine with its sources landed, in a folder of its own."""

    def __init__(self, engine, folder: Path, facts: dict):
        self.engine = engine
        self.folder = folder
        self.facts = facts
        self.rows: list[dict] = []
        self._server = engine.server

    def land(self, files: list[Path]) -> None:
        """The sources and the policy; anything from before is dropped."""
        print(f"{self.engine.name}: loading", flush=True)
        self.engine.execute(f"drop schema if exists {SCHEMA} cascade")
        self.engine.execute(f"create schema {SCHEMA}")
        for file in files:
            self.engine.load(file)
        self._run(["seed"], {})

    def _run(self, command: list[str], given: dict, threads: int = 1):
        arguments = [
            sys.executable, "-m", "dbt.cli.main", *command, "--target", self.engine.name,
            "--target-path", str(self.folder / "target"), "--threads", str(threads),
            "--log-path", str(self.folder / "logs"), "--log-format-file", "json",
            # Without a limit: at 10 MB a log is begun anew, and statements of a few 100 kB are many.
            "--log-level-file", "debug", "--log-file-max-bytes", "0",
            "--vars", json.dumps({"source_schema": SCHEMA} | given),
        ]  # fmt: skip
        log = self.folder / "logs" / "dbt.log"
        log.unlink(missing_ok=True)
        environment = dict(self.engine.environment) | {"DBT_PROFILES_DIR": str(PROJECT_ROOT)}
        cost, _ = run_measured(arguments, environment, self.folder, self._server)
        statements = [
            json.loads(line)["data"]["elapsed"]
            for line in log.read_text().splitlines()
            if '"SQLQueryStatus"' in line
        ]
        return cost, statements

    def _keep(self, way: str, cost, **more) -> None:
        row = self.facts | {
            "engine": self.engine.name, "way": way, "seconds": cost.seconds,
            "cpu_seconds": cost.cpu_seconds, "peak_mb": cost.peak_mb, **more,
        }  # fmt: skip
        self.rows.append(row)
        print(f"{self.engine.name}: {way}: {cost.seconds:.1f} s", flush=True)

    def ours(self, way: str, selection: tuple[str, ...] = (), full: bool = True, threads: int = 1, **given):
        """One `dbt run`; `given`: vars."""
        if selection and not selection[0].startswith("-"):
            selection = ("--select", *selection)
        command = ["run", *selection, *(["--full-refresh"] if full else [])]
        cost, statements = self._run(command, {"history_periods": 0} | given, threads)
        self._keep(way, cost, engine_seconds=sum(statements), statements=len(statements))

    def other(self, way: str) -> None:
        """One of ways.py, where what it needs is installed."""
        if way == "openretailscience" and self.engine.name != "duckdb":
            return
        if way in NEEDS and importlib.util.find_spec(NEEDS[way]) is None:
            print(f"{way} is not installed: pip install -r requirements-benchmark.txt", flush=True)
            return
        command = [sys.executable, "-m", "python_checks.benchmark.ways", self.engine.name, way]
        self._keep(way, run_measured(command, dict(self.engine.environment), self.folder, self._server)[0])

    def add_a_day(self) -> None:
        """The last day's sales once more, a day later."""
        self.engine.execute(f"""
            insert into {SCHEMA}.fact_sales
            select
                sale_id || '-next', order_id || '-next', customer_id, sale_date + 1, revenue, is_return
            from {SCHEMA}.fact_sales
            where sale_date = (select max(sale_date) from {SCHEMA}.fact_sales)
        """)

    def check_by_hand(self) -> None:
        """Ours and the statement by hand must be the same for every customer."""
        differing, customers = self.engine.execute(f"""
            select
                count(case when
                    hand.customer_id is null or ours.customer_id is null
                    or hand.recency <> ours.recency or hand.frequency <> ours.frequency
                    or hand.monetary <> ours.monetary or hand.r_score <> ours."R_score"
                    or hand.f_score <> ours."F_score" or hand.m_score <> ours."M_score"
                    or hand.segment <> ours.segment
                then 1 end),
                count(*)
            from {SCHEMA}.rfm_by_hand as hand
            full outer join rfm_marts.customer_rfm as ours on hand.customer_id = ours.customer_id
        """)[0]
        if differing or not customers:
            raise RuntimeError(f"{self.engine.name}: {differing} of {customers} customers differ by hand")
        print(f"{self.engine.name}: {customers:,} customers, by hand and ours identical", flush=True)


# ---- what is measured -------------------------------------------------------------------------


def current(bench: Bench, files: list[Path], repeats: int) -> None:
    bench.land(files)
    for _ in range(repeats):
        bench.ours("ours", PATH)
        for way in WAYS:
            bench.other(way)
    bench.check_by_hand()


def history(bench: Bench, files: list[Path], repeats: int) -> None:
    bench.land(files)
    for _ in range(repeats):
        bench.ours("current date", WITHOUT_VALIDATION)
        bench.ours("12 dates", WITHOUT_VALIDATION, history_periods=12)
        bench.ours("validation of 12 dates", VALIDATION, history_periods=12)


def everything(bench: Bench, files: list[Path], repeats: int) -> None:
    bench.land(files)
    used = {f"using_{source}": True for source in generate.OPTIONAL_SOURCES}
    for _ in range(repeats):
        bench.ours("path to customer_rfm", PATH)
        bench.ours("everything", **used)


def day(bench: Bench, files: list[Path], repeats: int) -> None:
    bench.land(files)
    periods = bench.facts["days"] * 12 // 365
    for _ in range(repeats):
        bench.ours("full build", WITHOUT_VALIDATION, history_periods=periods)
        bench.add_a_day()
        bench.ours("one more day", WITHOUT_VALIDATION, full=False, history_periods=periods)


def growth(bench: Bench, files: list[Path], repeats: int) -> None:
    bench.land(files)
    for _ in range(repeats):
        bench.ours("12 dates", WITHOUT_VALIDATION, history_periods=12)
        if bench.facts["varied"] == "base":
            bench.ours("24 dates", WITHOUT_VALIDATION, history_periods=24)


SCENARIOS = {"current": current, "history": history, "everything": everything, "day": day, "growth": growth}


def sources(scenario: str, customers: int) -> Iterator[dict]:
    """What is generated for one size: customers, sales and days of each data set of the scenario."""
    rows = customers * generate.SALES_PER_CUSTOMER
    base = {"scenario": scenario, "customers": customers, "sales": rows, "days": generate.DAYS}
    if scenario == "day":
        yield base | {"days": THREE_YEARS}
        yield base | {"days": 2 * THREE_YEARS, "sales": 2 * rows}
    elif scenario == "growth":
        yield base | {"varied": "base"}
        yield base | {"varied": "sales", "sales": 2 * rows}
        yield base | {"varied": "customers", "customers": 2 * customers}
    else:
        yield base


def size(text: str) -> int:
    """10000, 100k or 1m."""
    units = {"k": 1_000, "m": 1_000_000}
    return int(float(text[:-1]) * units[text[-1].lower()]) if text[-1].lower() in units else int(text)


def measure(options: argparse.Namespace) -> list[dict]:
    rows = []
    for customers in options.sizes:
        for facts in sources(options.scenario, customers):
            with ExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rfm_benchmark_")))
                print(f"generating {facts['sales']:,} sales of {facts['customers']:,} customers", flush=True)
                files = generate.write(
                    folder, facts["customers"], facts["sales"], facts["days"],
                    everything=options.scenario == "everything",
                )  # fmt: skip
                for name in options.engines:
                    own = folder / name
                    own.mkdir()
                    given = {"RFM_DUCKDB_PATH": str(own / "benchmark.duckdb")}
                    if name == "postgres":
                        given = stack.enter_context(postgres_server())
                    bench = Bench(ENGINES[name]({**os.environ, **given}), own, facts)
                    SCENARIOS[options.scenario](bench, files, options.repeats)
                    rows += bench.rows
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m python_checks.benchmark",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", choices=[*SCENARIOS, "report"])
    parser.add_argument("files", nargs="*", type=Path, help="with report: files that --output wrote")
    parser.add_argument("--sizes", nargs="+", type=size, default=[1_000_000], metavar="N")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, help="a JSON file for every measurement")
    parser.add_argument("--plot", type=Path, help="with report: an SVG file")
    options = parser.parse_args()
    if options.scenario == "report":
        rows = [row for file in options.files for row in json.loads(file.read_text())]
        if options.plot:
            options.plot.write_text(report.plot(rows))
    else:
        rows = measure(options)
        if options.output:
            options.output.write_text(json.dumps(rows, indent=1))
    print(report.tables(rows))


if __name__ == "__main__":
    main()
