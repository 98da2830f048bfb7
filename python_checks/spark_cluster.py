"""A Spark cluster on this machine for the target `spark_thrift`: started, used, and gone afterwards.

    python -m python_checks.spark_cluster -- command args…

One master, two workers and a Thrift server, on free ports of the loopback address, with tables and
catalogue in a temporary folder. The command sees RFM_SPARK_HOST and RFM_SPARK_PORT, which
profiles.yml reads. Needs `make setup-spark` and Java 17 or later, from JAVA_HOME or on the PATH.

RFM_SPARK_MEMORY (default 3g) is for the Thrift server, half of it for each worker.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from python_checks.spark_session import SparkIsMissing, require_java, require_pyspark, settings

HOST = "127.0.0.1"
WORKERS = 2
START_TIMEOUT_SECONDS = 120
STOP_TIMEOUT_SECONDS = 20
MASTER = "org.apache.spark.deploy.master.Master"
WORKER = "org.apache.spark.deploy.worker.Worker"
THRIFT_SERVER = "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2"


class ClusterDidNotStart(RuntimeError):
    """A process of the cluster ended, or did not answer in time."""


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return listener.getsockname()[1]


@contextmanager
def _process(name: str, command: list[str], environment: dict[str, str], folder: Path) -> Iterator[Path]:
    """Start a process in a session of its own; yields its log; ends it and its children."""
    log = folder / f"{name}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=output, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    try:
        yield log
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
            except ProcessLookupError:
                break
            try:
                process.wait(STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                continue


def _wait_for(name: str, log: Path, is_there) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not is_there():
        if time.monotonic() > deadline:
            raise ClusterDidNotStart(f"{name} did not answer in time:\n{log.read_text()[-3000:]}")
        time.sleep(0.3)


def _answers(port: int):
    def is_there() -> bool:
        with socket.socket() as client:
            client.settimeout(1)
            return client.connect_ex((HOST, port)) == 0

    return is_there


@contextmanager
def spark_cluster(environment: Mapping[str, str] = os.environ) -> Iterator[dict[str, str]]:
    """The variables that lead profiles.yml to a cluster, which is gone afterwards.

    Raises SparkIsMissing where pyspark or Java is not there, ClusterDidNotStart with the end of the
    log where a process does not come up.
    """
    require_pyspark()
    require_java(environment)
    from pyspark.find_spark_home import _find_spark_home

    home = Path(_find_spark_home())
    memory = environment.get("RFM_SPARK_MEMORY", "3g")
    amount, unit = re.fullmatch(r"(\d+)([gm])", memory.lower()).groups()
    megabytes = int(amount) * (1024 if unit == "g" else 1)
    with tempfile.TemporaryDirectory(prefix="rfm_spark_") as name, ExitStack() as stack:
        folder = Path(name)
        own = dict(environment) | {
            "SPARK_LOCAL_IP": HOST,
            "SPARK_HOME": str(home),
            "SPARK_LOCAL_DIRS": str(folder / "scratch"),
            "RFM_SPARK_PATH": str(folder),
        }
        master_port, thrift_port = _free_port(), _free_port()
        master = f"spark://{HOST}:{master_port}"
        run = str(home / "bin" / "spark-class")
        log = stack.enter_context(_process(
            "master",
            [run, MASTER, "--host", HOST, "--port", str(master_port), "--webui-port", "0"],
            own, folder,
        ))  # fmt: skip
        _wait_for("the master", log, _answers(master_port))
        for number in range(WORKERS):
            worker = stack.enter_context(_process(
                f"worker_{number}",
                [run, WORKER, master, "--host", HOST, "--cores", "1", "--webui-port", "0",
                 "--memory", f"{megabytes // 2 + 512}m", "--work-dir", str(folder / f"work_{number}")],
                own, folder,
            ))  # fmt: skip
            _wait_for(
                "a worker", worker, lambda: "Successfully registered with master" in worker.read_text()
            )
        given = settings(own) | {
            "spark.master": master,
            "spark.executor.memory": f"{megabytes // 2}m",
            "spark.executor.cores": "1",
            "spark.hadoop.hive.server2.thrift.port": str(thrift_port),
            "spark.hadoop.hive.server2.thrift.bind.host": HOST,
        }
        options = [part for item in given.items() for part in ("--conf", "=".join(item))]
        log = stack.enter_context(_process(
            "thrift_server",
            [str(home / "bin" / "spark-submit"), "--class", THRIFT_SERVER, *options, "spark-internal"],
            own, folder,
        ))  # fmt: skip
        _wait_for("the Thrift server", log, _answers(thrift_port))
        yield {"RFM_SPARK_HOST": HOST, "RFM_SPARK_PORT": str(thrift_port)}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m python_checks.spark_cluster",
        description="Run a command beside a Spark cluster that is gone afterwards.",
    )
    parser.add_argument("command", nargs="+", help="the command and its arguments, after --")
    command = parser.parse_args().command

    def leave(number, frame):
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        with spark_cluster() as given:
            return subprocess.run(command, env={**os.environ, **given}).returncode
    except (SparkIsMissing, ClusterDidNotStart) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
