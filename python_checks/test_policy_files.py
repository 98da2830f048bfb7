"""A CSV file that cannot be read as a whole is named with row, found and accepted."""

import csv

import pytest

from python_checks.check_policy_files import FOLDER, problems

HEADER = "segment_scheme,score_tiles,rationale\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "segment_scheme;score_tiles;rationale\ncore_five;5;0,05, and more\n".encode(),
            "row 1: found columns separated by semicolons; accepted: commas, and numbers with a"
            " decimal point",
        ),
        (
            f"{HEADER}core_five,5,five segments\nother,0,05,x\n".encode(),
            "row 3: found 4 cells, the last of them 'x'; accepted: 3 as in the header (a text with"
            " a comma goes into double quotes, a number has a decimal point)",
        ),
        (
            f"{HEADER}core_five,5,für alle\n".encode("latin-1"),
            "row 2: found a character that is not UTF-8; accepted: the file saved as “CSV UTF-8”",
        ),
        (b"", "found an empty file; accepted: at least a header"),
    ],
)
def test_an_unreadable_file_is_named_with_its_row(tmp_path, content, message):
    path = tmp_path / "segment_schemes.csv"
    path.write_bytes(content)
    (line,) = problems(path)
    assert line.startswith("segment_schemes.csv")
    assert line.endswith(message)


@pytest.mark.parametrize(
    "content",
    [
        HEADER.encode(),
        f'\ufeff{HEADER}core_five,5,"one, two"\r\n'.encode(),
        f'{HEADER}core_five,5,"two\nlines"\n'.encode(),
        f"{HEADER}core_five,5\n".encode(),
    ],
    ids=["header only", "byte order mark and quotes", "a cell of two lines", "a cell too few"],
)
def test_what_dbt_can_read_is_left_to_the_policy_gate(tmp_path, content):
    path = tmp_path / "segment_schemes.csv"
    path.write_bytes(content)
    assert problems(path) == []


def test_the_shipped_files_can_be_read():
    assert [line for path in FOLDER.glob("*.csv") for line in problems(path)] == []


def test_a_month_before_a_trigger_is_february_too():
    """In a monthly history who was in a state on 1 February alone has been there for 28 days."""
    with (FOLDER / "trigger_rules.csv").open(newline="") as file:
        days = [int(row["minimum_days_before"] or 0) for row in csv.DictReader(file)]
    assert any(days) and not {29, 30, 31} & set(days)
