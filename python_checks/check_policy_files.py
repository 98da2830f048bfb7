"""Look at the policy files before dbt loads them: what makes a CSV unreadable as a whole.

    python -m python_checks.check_policy_files [folder]

dbt reads a file or fails on it, and says so in words for programmers. This names file, row, what
was found and what is accepted, and leaves everything that can be read to the policy gate. Exit
code 1 when a file cannot be used.
"""

import csv
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "seeds"


def problems(path: Path) -> list[str]:
    """What keeps a CSV file from being read: lines of the message, none when it can be.

    Rows are counted as a spreadsheet counts them: the header is row 1.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = path.read_bytes()[: error.start].count(b"\n") + 1
        return [
            f"{path.name}, row {row}: found a character that is not UTF-8; accepted: the file"
            " saved as “CSV UTF-8”"
        ]
    rows = [row for row in csv.reader(text.splitlines(keepends=True))]
    if not rows:
        return [f"{path.name}: found an empty file; accepted: at least a header"]
    header = rows[0]
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and separator in header[0]:
            return [
                f"{path.name}, row 1: found columns separated by {name}; accepted: commas, and"
                " numbers with a decimal point"
            ]
    return [
        f"{path.name}, row {number}: found {len(row)} cells, the last of them '{row[-1]}';"
        f" accepted: {len(header)} as in the header (a text with a comma goes into double quotes,"
        " a number has a decimal point)"
        for number, row in enumerate(rows, start=1)
        if len(row) > len(header)
    ]


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    found = [line for path in sorted(folder.glob("*.csv")) for line in problems(path)]
    if found:
        print("The policy files cannot be read, so nothing was built (row 1 is the header):")
        print(*(f"  {line}" for line in found), sep="\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
