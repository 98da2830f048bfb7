"""Fixtures that every check may use."""

import functools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from python_checks.dbt_project import Build, Workers, chosen_builds
from python_checks.postgres_server import postgres_server


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The folder of dbt_project.yml."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def postgres() -> Iterator[dict[str, str]]:
    """A PostgreSQL as PG* environment variables: the one that runs already, else a new one.

    `python -m python_checks.postgres_server -- pytest` runs the checks on one server and says so
    by RFM_PG_RUNNING=1; plain `pytest` starts a server with the first test that needs one.
    """
    if os.environ.get("RFM_PG_RUNNING") == "1":
        yield {name: value for name, value in os.environ.items() if name.startswith("PG")}
    else:
        with postgres_server() as environment:
            yield environment


@pytest.fixture(scope="session")
def workers(tmp_path_factory, postgres) -> Iterator[Workers]:
    """Two processes that run dbt on databases of their own (see dbt_project.py)."""
    pool = Workers(tmp_path_factory.mktemp("builds"), postgres)
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def under_way(request, workers) -> Callable[[Build], Future]:
    """Starts a build, or finds it; those of the module's tests are started at once."""
    find = functools.cache(workers.submit)
    for build in chosen_builds(request):
        find(build)
    return find


@pytest.fixture
def built(under_way, build):
    """The result of the test's own build."""
    return under_way(build).result()
