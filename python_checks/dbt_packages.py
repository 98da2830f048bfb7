"""Install the dbt package of packages.yml: from the hub, or where that is out of reach, from the
one copy on the Python package index.

    python -m python_checks.dbt_packages

That copy sits, whole and unmodified, in the source archive of `dbt-metric-utils`; the archive is
pinned by its hash, and nothing but the folder of dbt_utils is taken from it. What was installed
for the same packages.yml is kept, so a second run does nothing.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

import yaml
from packaging.specifiers import SpecifierSet

PROJECT_ROOT = Path(__file__).resolve().parent.parent
PACKAGES_FILE = PROJECT_ROOT / "packages.yml"
PACKAGE_FOLDER = PROJECT_ROOT / "dbt_packages" / "dbt_utils"
# A copy of the packages.yml that the installed packages were chosen by.
INSTALLED_FOR = PROJECT_ROOT / "dbt_packages" / ".installed_for.yml"

HUB_PROBE_SECONDS = 5
DBT_DEPS_SECONDS = 120

ARCHIVE_REQUIREMENT = "dbt-metric-utils==0.1.1"
ARCHIVE_SHA256 = "3f2d18d4f7f6eb27653509e6ccecb7ee164e1e75e36eddd51ed64c053a551fda"
ARCHIVE_VERSION = "1.1.1"  # of dbt_utils
ARCHIVE_SUBFOLDER = "dbt_metric_utils-0.1.1/jaffle-shop/dbt_packages/dbt_utils"


def is_installed() -> bool:
    """Whether dbt_utils is there and was installed for packages.yml as it reads now.

    (The package itself does not tell: its own dbt_project.yml says 0.1.0 in every release.)
    """
    return (
        (PACKAGE_FOLDER / "dbt_project.yml").is_file()
        and INSTALLED_FOR.is_file()
        and INSTALLED_FOR.read_bytes() == PACKAGES_FILE.read_bytes()
    )


def hub_answers() -> bool:
    """Whether the hub answers soon (dbt itself would retry for minutes)."""
    import requests
    from dbt.clients.registry import DEFAULT_REGISTRY_BASE_URL  # honours DBT_PACKAGE_HUB_URL

    try:
        url = f"{DEFAULT_REGISTRY_BASE_URL}api/v1/dbt-labs/dbt_utils.json"
        return requests.get(url, timeout=HUB_PROBE_SECONDS).ok
    except requests.RequestException:
        return False


def install_from_hub() -> bool:
    """Run `dbt deps`; whether it worked (the hub may answer where its downloads do not)."""
    dbt = Path(sys.executable).with_name("dbt")
    try:
        subprocess.run([dbt, "deps"], cwd=PROJECT_ROOT, check=True, timeout=DBT_DEPS_SECONDS)
        return True
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return False


def install_from_package_index() -> None:
    """Download the pinned source archive and put its dbt_utils into dbt_packages.

    Raises ValueError if packages.yml does not accept the version in the archive, and
    subprocess.CalledProcessError if pip cannot get an archive with the pinned hash.
    """
    (package,) = yaml.safe_load(PACKAGES_FILE.read_text())["packages"]
    accepted = SpecifierSet(",".join(package["version"]))
    if ARCHIVE_VERSION not in accepted:
        raise ValueError(
            f"packages.yml accepts dbt_utils {accepted}; without the hub there is {ARCHIVE_VERSION}"
        )
    with tempfile.TemporaryDirectory() as download_folder:
        requirement = Path(download_folder, "requirement.txt")
        requirement.write_text(f"{ARCHIVE_REQUIREMENT} --hash=sha256:{ARCHIVE_SHA256}\n")
        # hatchling, which pip needs to look into the archive, is among our own requirements.
        subprocess.run(
            [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download"]
            + ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes"]
            + ["--dest", download_folder, "--requirement", str(requirement)],
            check=True,
        )
        (archive,) = Path(download_folder).glob("*.tar.gz")
        extract(archive, PACKAGE_FOLDER)


def extract(archive: Path, folder: Path) -> None:
    """Replace the folder by the dbt_utils in the archive.

    Raises ValueError, before the folder is touched, if the archive is not the pinned one.
    """
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != ARCHIVE_SHA256:
        raise ValueError(f"{archive.name} has sha256 {found}, accepted is {ARCHIVE_SHA256}")
    shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(archive) as members:
        for member in members:
            path = PurePosixPath(member.name)
            if member.isfile() and path.is_relative_to(ARCHIVE_SUBFOLDER):
                target = folder / path.relative_to(ARCHIVE_SUBFOLDER)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(members.extractfile(member).read())


def main() -> int:
    if is_installed():
        return 0
    if not (hub_answers() and install_from_hub()):
        print("The dbt package hub is out of reach: taking dbt_utils from the package index")
        try:
            install_from_package_index()
        except (ValueError, subprocess.CalledProcessError) as error:
            print(f"dbt_utils could not be installed: {error}", file=sys.stderr)
            return 1
    INSTALLED_FOR.write_bytes(PACKAGES_FILE.read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
