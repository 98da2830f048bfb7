"""Print the segments of the current as-of date with their strategies, and where to look next.

    python -m python_checks.show_segments --target duckdb|postgres|spark

Everything shown is read from the marts; only the total row is added up here.
"""

import argparse
import sys

import duckdb
import psycopg2

from python_checks import spark_session
from python_checks.warehouse import TARGETS, connect, describe

QUERY = """
    select
        segment_summary.segment_name,
        segment_summary.customer_count,
        segment_summary.customer_share,
        segment_summary.net_revenue,
        segment_summary.net_revenue_share,
        segment_strategies.strategy_code,
        segment_strategies.is_suppressed,
        segment_summary.as_of_date,
        segment_summary.segment_scheme
    from rfm_marts.segment_summary
    left join rfm_marts.segment_strategies
        on segment_strategies.segment_key = segment_summary.segment_key
    order by segment_summary.display_order, segment_summary.segment_key
"""

HEADER = ("segment", "customers", "share", "revenue", "share of revenue", "strategy")

WHERE_NEXT = """\
Where to look next
  rfm_marts.customer_segments   every customer: segment, the rule behind it, what would change it
  rfm_marts.customer_rfm        the R, F and M scores, for reports that use the fixed contract
  rfm_marts.segment_strategies  what to do about each segment: message, incentive, channel
  seeds/*.csv                   the policy: edit a rule or a strategy, then run `make check-policy`
  README.md                     your own sales instead of the demo's, every setting, every mart
  make test                     every check, on DuckDB and on PostgreSQL"""


def segment_table(segments: list[tuple]) -> str:
    """The rows of QUERY as aligned text with a total row."""
    customers, share, revenue, revenue_share = (
        sum(segment[column] or 0 for segment in segments) for column in (1, 2, 3, 4)
    )
    rows = [
        (*_cells(*segment[:5]), f"{segment[5]} (no contact)" if segment[6] else str(segment[5]))
        for segment in segments
    ]
    total = (*_cells("total", customers, share, revenue, revenue_share), "")
    widths = [max(map(len, column)) for column in zip(HEADER, *rows, total, strict=True)]
    rule = tuple("-" * width for width in widths)
    return "\n".join(_line(row, widths) for row in (HEADER, rule, *rows, rule, total))


def _cells(name: str, customers: int, share, revenue, revenue_share) -> tuple[str, ...]:
    """Five cells of a row; a share is null where there is nothing to be a share of."""
    percents = ("" if value is None else f"{value:.1%}" for value in (share, revenue_share))
    return name, f"{customers:,}", next(percents), f"{revenue:,.0f}", next(percents)


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    """Text to the left, numbers to the right."""
    aligned = (
        cell.rjust(width) if 1 <= column <= 4 else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join(aligned).rstrip()


def show(target: str) -> None:
    """Print the table and the pointers; an error of the database if there are no marts."""
    warehouse = connect(target)
    try:
        cursor = warehouse.cursor()
        cursor.execute(QUERY)
        segments = cursor.fetchall()
    finally:
        warehouse.close()
    as_of_date, scheme = segments[0][7:]
    print(f"\nSegments as of {as_of_date} (scheme {scheme}), from the {describe(target)}\n")
    print(segment_table(segments))
    print(f"\n{WHERE_NEXT}")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m python_checks.show_segments",
        description="Print the segments with their strategies.",
    )
    parser.add_argument("--target", choices=TARGETS, default="duckdb")
    target = parser.parse_args().target
    try:
        show(target)
    except (
        duckdb.Error,
        psycopg2.Error,
        spark_session.QueryFailed,
        spark_session.SparkIsMissing,
    ) as error:
        print(f"{error}\nBuild the marts first: make demo", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
