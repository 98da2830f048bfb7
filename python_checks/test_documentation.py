"""Every model, seed and column has a description, and nothing is described that does not exist."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from python_checks.dbt_project import PROJECT_ROOT, default_vars, on


def described() -> dict[str, dict[str, str]]:
    """{model or seed: {column: description}} from the yml files; '' is the relation's own."""
    found: dict[str, dict[str, str]] = {}
    for folder in ("models", "seeds"):
        for path in sorted((PROJECT_ROOT / folder).rglob("*.yml")):
            text = re.sub(r"\{\{.*?\}\}", "x", path.read_text())
            content = yaml.safe_load(text)
            for entry in content.get("models", []) + content.get("seeds", []):
                columns = {c["name"]: c.get("description", "") for c in entry.get("columns", [])}
                found[entry["name"]] = {"": entry.get("description", ""), **columns}
    return found


def built_columns(project) -> dict[str, set[str]]:
    """{relation: its columns} of everything that a build leaves in the project's own schemas."""
    rows = project.query(
        "select table_name, column_name from information_schema.columns"
        " where table_schema like 'rfm%'"
    )
    return {name: set(group["column_name"]) for name, group in rows.groupby("table_name")}


def test_every_column_is_described(workers):
    columns = workers.submit(on("duckdb", built_columns)).result()
    documented = described()
    models = {path.stem for path in (PROJECT_ROOT / "models").rglob("*.sql")}
    seeds = {path.stem for path in (PROJECT_ROOT / "seeds").glob("*.csv")}
    assert models | seeds <= set(columns), "the build did not make every model and seed"
    assert set(documented) == set(columns)
    for name, found in columns.items():
        assert set(documented[name]) - {""} == found, name
        empty = [column or name for column, text in documented[name].items() if not text.strip()]
        assert not empty, f"{name}: no description of {empty}"


def test_names_of_unit_tests_fit_into_postgresql():
    """dbt makes a relation of that name; PostgreSQL takes 63 characters."""
    names = []
    for path in (PROJECT_ROOT / "models").rglob("*_unit_tests.yml"):
        content = yaml.safe_load(re.sub(r"\{\{.*?\}\}", "x", path.read_text()))
        names += [entry["name"] for entry in content["unit_tests"]]
    assert names and not [name for name in names if len(name) > 63]


def test_every_model_states_its_grain_in_its_first_line():
    for path in (PROJECT_ROOT / "models").rglob("*.sql"):
        assert path.read_text().startswith("-- Grain: "), path.name


def test_every_var_has_a_row_in_the_readme():
    text = (PROJECT_ROOT / "README.md").read_text()
    settings = text.partition("## Settings")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([a-z_]+)`", "".join(
        line.split("|")[1] for line in settings.splitlines() if line.startswith("| `")
    )))
    assert named == set(default_vars())


def test_every_mart_has_a_row_in_the_readme():
    text = (PROJECT_ROOT / "README.md").read_text()
    marts = {path.stem for path in Path(PROJECT_ROOT, "models", "marts").rglob("*.sql")}
    assert marts <= set(re.findall(r"^\| `([a-z_]+)` \|", text, flags=re.MULTILINE))


def test_every_kind_of_warning_is_printed():
    macro = (PROJECT_ROOT / "macros/checks/print_build_warnings.sql").read_text()
    printed = re.findall(r"'([a-z_]+)'", macro.partition("build_warning_codes() %}")[2])
    for folder, name, code in (
        ("reporting", "build_warnings", "warning_code"),
        ("activation", "activation_warnings", "warning_code"),
        ("validation", "validation_findings", "finding_code"),
    ):
        text = (PROJECT_ROOT / f"models/marts/{folder}/_{folder}.yml").read_text()
        models = yaml.safe_load(re.sub(r"\{\{.*?\}\}", "x", text))["models"]
        (mart,) = (model for model in models if model["name"] == name)
        (column,) = (column for column in mart["columns"] if column["name"] == code)
        (known,) = (
            test["accepted_values"]["arguments"]["values"]
            for test in column["data_tests"]
            if isinstance(test, dict)
        )
        assert sorted(known) == sorted(name for name in printed if name in known)


def test_the_selector_core_needs_nothing_that_it_leaves_out(tmp_path):
    command = [
        *(sys.executable, "-m", "dbt.cli.main", "--quiet", "ls", "--selector", "core"),
        *("--target", "duckdb", "--target-path", str(tmp_path)),
        *("--output", "json", "--output-keys", "unique_id"),
    ]
    found = subprocess.run(
        command,
        cwd=PROJECT_ROOT,
        env=os.environ | {"DBT_PROFILES_DIR": ".", "DBT_LOG_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    core = {json.loads(line)["unique_id"] for line in found.stdout.splitlines()}
    nodes = json.loads((tmp_path / "manifest.json").read_text())["nodes"]
    missing = {
        (node.split(".")[2], parent.split(".")[2])
        for node in core & nodes.keys()
        for parent in nodes[node].get("depends_on", {}).get("nodes", ())
        if parent in nodes and parent not in core
    }
    # What segment_summary takes from segment_upside is null where that is not there.
    assert missing == {("segment_summary", "segment_upside")}
    assert {f"model.rfm_retention.{name}" for name in ("customer_rfm", "build_warnings")} <= core
