"""Tables and the plot of measurements: medians over repeats, ratios within one run."""

import math
from collections import defaultdict
from statistics import median

# What each way is held against, by scenario.
BASES = {
    "current": "ours",
    "history": "current date",
    "everything": "path to customer_rfm",
    "day": "full build",
    "growth": "12 dates",
}
MEASURES = ("seconds", "engine_seconds", "cpu_seconds", "peak_mb", "statements")
COLOURS = ("#1b6ca8", "#d1495b", "#edae49", "#66a182", "#7a5195")


def medians(rows: list[dict]) -> list[dict]:
    """One row per scenario, data set, engine and way, in the order of measuring."""
    groups: dict[tuple, list[dict]] = defaultdict(list)
    for row in rows:
        groups[tuple(
            row.get(name) for name in ("scenario", "customers", "sales", "days", "varied", "engine", "way")
        )].append(row)
    result = []
    for group in groups.values():
        figures = {
            name: median(row[name] for row in group) for name in MEASURES if name in group[0]
        }
        result.append({**group[0], **figures, "repeats": len(group)})
    return result


def tables(rows: list[dict]) -> str:
    """A Markdown table per scenario, and the exponents of growth where there are several sizes."""
    parts = []
    found = medians(rows)
    for scenario in dict.fromkeys(row["scenario"] for row in found):
        own = [row for row in found if row["scenario"] == scenario]
        parts.append(_table(own))
        parts.append(_exponents(own))
    return "\n\n".join(part for part in parts if part)


def _table(rows: list[dict]) -> str:
    lines = [
        "| engine | customers | sales | way | seconds | of that the engine | dbt's own | statements"
        " | CPU seconds | peak MB | against |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        base = _base(row, rows)
        engine_seconds = row.get("engine_seconds")
        is_ours = engine_seconds is not None
        lines.append(
            f"| {row['engine']} | {row['customers']:,} | {row['sales']:,} | {row['way']}"
            f" | {row['seconds']:.1f} | {f'{engine_seconds:.1f}' if is_ours else ''}"
            f" | {f'''{row['seconds'] - engine_seconds:.1f}''' if is_ours else ''}"
            f" | {row['statements'] if is_ours else ''} | {row['cpu_seconds']:.1f}"
            f" | {row['peak_mb']:,.0f} | {_ratio(row, base)} |"
        )
    return "\n".join(lines)


def _base(row: dict, rows: list[dict]) -> dict | None:
    same = ("scenario", "customers", "sales", "days", "engine")
    return next(
        (
            other
            for other in rows
            if other["way"] == BASES[row["scenario"]] and all(other[n] == row[n] for n in same)
        ),
        None,
    )


def _ratio(row: dict, base: dict | None) -> str:
    if base is None or base is row:
        return ""
    if row["scenario"] == "current":
        # By hand has no start of its own, so the engine's time is what compares.
        if row["way"] == "by hand":
            return f"ours takes {base['engine_seconds'] / row['seconds']:.2f} × its time (engine)"
        return f"ours is {row['seconds'] / base['seconds']:.1f} × as fast, end to end"
    return f"{row['engine_seconds'] / base['engine_seconds']:.2f} × the {base['way']} (engine)"


def _exponents(rows: list[dict]) -> str:
    """seconds ~ size ^ exponent, by least squares on logarithms, where sizes differ."""
    lines = []
    for engine, way in dict.fromkeys((row["engine"], row["way"]) for row in rows):
        own = [row for row in rows if (row["engine"], row["way"]) == (engine, way)]
        points = {row["sales"]: _engine_time(row) for row in own if row.get("varied") in (None, "base", "sales")}
        if len(points) > 1:
            lines.append(f"| {engine} | {way} | sales | {_slope(points):.2f} |")
        if any(row.get("varied") == "customers" for row in own):
            points = {
                row["customers"]: _engine_time(row) for row in own if row["varied"] in ("base", "customers")
            }
            lines.append(f"| {engine} | {way} | customers | {_slope(points):.2f} |")
    dates = {
        (row["engine"], int(row["way"].split()[0])): _engine_time(row)
        for row in rows
        if row.get("varied") == "base"
    }
    for engine in dict.fromkeys(engine for engine, _ in dates):
        points = {number: seconds for (name, number), seconds in dates.items() if name == engine}
        if len(points) > 1:
            lines.append(f"| {engine} | history | dates | {_slope(points):.2f} |")
    if not lines:
        return ""
    return "\n".join(["| engine | way | grows with | exponent |", "|---|---|---|---|", *lines])


def _engine_time(row: dict) -> float:
    return row.get("engine_seconds", row["seconds"])


def _slope(points: dict[float, float]) -> float:
    xs, ys = [math.log(x) for x in points], [math.log(y) for y in points.values()]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / sum(
        (x - mean_x) ** 2 for x in xs
    )


def plot(rows: list[dict]) -> str:
    """An SVG of the seconds of every way to the current scores, one panel per engine and size."""
    found = [row for row in medians(rows) if row["scenario"] == "current"]
    panels = list(dict.fromkeys((row["engine"], row["customers"]) for row in found))
    ways = list(dict.fromkeys(row["way"] for row in found))
    bar, gap, left, width = 18, 26, 150, 420
    height = sum(
        gap + bar * sum((row["engine"], row["customers"]) == panel for row in found) + 12
        for panel in panels
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 90}" height="{height + 10}"'
        ' font-family="sans-serif" font-size="12" role="img"'
        ' aria-label="Seconds to the scores of the current date, by way, engine and size">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    y = 10
    for engine, customers in panels:
        own = [row for row in found if (row["engine"], row["customers"]) == (engine, customers)]
        longest = max(row["seconds"] for row in own)
        y += gap
        parts.append(
            f'<text x="10" y="{y - 8}" font-weight="bold">{engine}, {customers:,} customers</text>'
        )
        for row in own:
            length = width * row["seconds"] / longest
            colour = COLOURS[ways.index(row["way"]) % len(COLOURS)]
            parts.append(
                f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{row["way"]}</text>'
                f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar - 4}" fill="{colour}"/>'
                f'<text x="{left + length + 6:.1f}" y="{y + 12}">{row["seconds"]:.1f} s</text>'
            )
            y += bar
        y += 12
    return "\n".join([*parts, "</svg>"]) + "\n"
