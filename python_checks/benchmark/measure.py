"""Seconds, processor seconds and memory of a command and of the database server that works for it."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

INTERVAL_SECONDS = 0.1


@dataclass(frozen=True)
class Cost:
    """What a command took: wall seconds, processor seconds of all processes, peak megabytes."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def _server_processes(server: psutil.Process | None) -> list[psutil.Process]:
    if server is None:
        return []
    try:
        return [server, *server.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def run_measured(
    command: list[str],
    environment: dict[str, str],
    folder: Path,
    server: psutil.Process | None = None,
) -> tuple[Cost, str]:
    """Run a command to its end; what it cost, and what it printed.

    The processor seconds and the memory are sampled ten times a second over the command, its
    children and the server's processes; memory counts the pages that a process has for itself, so
    shared buffers are not counted once per process. Raises RuntimeError with the output when the
    command fails.
    """
    before: dict[int, float] = {}
    for process in _server_processes(server):
        try:
            times = process.cpu_times()
            before[process.pid] = times.user + times.system
        except psutil.NoSuchProcess:
            continue
    used: dict[int, float] = {}
    peak = 0.0
    with (folder / "output.txt").open("w+") as output:
        start = time.perf_counter()
        child = psutil.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, cwd=os.getcwd()
        )
        while True:
            memory = 0
            try:
                own = [child, *child.children(recursive=True)]
            except psutil.NoSuchProcess:
                own = []
            for process in {*own, *_server_processes(server)}:
                try:
                    times = process.cpu_times()
                    used[process.pid] = times.user + times.system - before.get(process.pid, 0.0)
                    memory += process.memory_full_info().uss
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
            peak = max(peak, memory / 1e6)
            try:
                code = child.wait(timeout=INTERVAL_SECONDS)
                break
            except psutil.TimeoutExpired:
                continue
        seconds = time.perf_counter() - start
        output.seek(0)
        said = output.read()
    if code:
        raise RuntimeError(f"{' '.join(command)} failed:\n{said[-4000:]}")
    return Cost(seconds, sum(used.values()), peak), said
