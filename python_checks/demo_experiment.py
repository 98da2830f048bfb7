"""A made-up shop with a three-arm experiment whose true lift is known, per segment.

    python -m python_checks.demo_experiment history    # sales up to the start, into raw.fact_sales
    dbt build --select +customer_segments …            # who is in which segment at the start
    python -m python_checks.demo_experiment outcome    # arms, contacts, and what came after
    dbt build …
    python -m python_checks.demo_experiment show       # true lift beside measured lift

`make demo-experiment` runs the five in a DuckDB file of its own. The customers order at rates of
their own, until they drop out. On the day of the start each is put at random into one of three arms
(20 % nothing, 40 % e-mail, 40 % voucher by mail); of those who would not have come back within 90
days by themselves an arm saves the share that SAVE_RATES gives for their segment. Nobody but this
file knows that share: the project sees sales, contacts and assignments, as it would of a company.
"""

import argparse
import datetime as dt
import sys

import duckdb
import numpy as np
import pandas as pd

from python_checks.warehouse import connect

CUSTOMERS = 20_000
SEED = 11
EXPERIMENT = "winter_offer"
STARTS_ON = dt.date(2024, 1, 1)
HISTORY_DAYS = 540
HORIZON_DAYS = 90
# The window of the last customer has to be over when it is judged.
DAYS_AFTER = HORIZON_DAYS + 10
PLANNED_SHARES = {"nothing": 0.2, "email": 0.4, "voucher": 0.4}
CONTROL = "nothing"
# Of those who would not have come back by themselves, how many an arm brings back.
SAVE_RATES = {
    "high_value_at_risk": {"email": 0.06, "voucher": 0.14},
    "at_risk": {"email": 0.03, "voucher": 0.08},
    "needs_attention": {"email": 0.03, "voucher": 0.06},
    "loyal_customers": {"email": 0.02, "voucher": 0.03},
    "promising": {"email": 0.04, "voucher": 0.07},
    "new_customers": {"email": 0.05, "voucher": 0.05},
    "champions": {"email": 0.0, "voucher": 0.0},
    "lost": {"email": 0.005, "voucher": 0.01},
}
CONTACT_COSTS = {"email": 0.05, "voucher": 0.80}
CHANNELS = {"email": "email", "voucher": "direct_mail"}
VOUCHER_VALUE = 5.00
# Of the control customers this share gets the e-mail by mistake.
CONTAMINATION = 0.005

TRUTH = "experiment_truth"
LIFT_QUERY = f"""
    select
        campaign_lift.segment_key,
        campaign_lift.arm,
        campaign_lift.assigned_count,
        truth.true_lift,
        campaign_lift.retention_lift,
        campaign_lift.retention_lift_low,
        campaign_lift.retention_lift_high,
        campaign_lift.cost_per_incremental_retained,
        campaign_lift.verdict
    from rfm_marts.campaign_lift
    left join raw.{TRUTH} as truth
        on
            campaign_lift.segment_key = truth.segment_key
            and campaign_lift.arm = truth.arm
    where campaign_lift.experiment_code = '{EXPERIMENT}'
    order by
        case when campaign_lift.segment_key = '(total)' then 1 else 0 end,
        campaign_lift.segment_key,
        campaign_lift.arm
"""


def orders(customers: int = CUSTOMERS, seed: int = SEED) -> pd.DataFrame:
    """Everything that would happen without the experiment: customer_id, sale_date, revenue.

    From HISTORY_DAYS before STARTS_ON to DAYS_AFTER after it; one row per order, revenue in whole
    cents.
    """
    random = np.random.default_rng(seed)
    first_day = random.integers(0, HISTORY_DAYS, customers)
    gap = 1 / random.gamma(1.2, 1 / 55, customers).clip(1 / 2000, 1 / 7)
    # How long they stay customers, in days from the first order.
    lifetime = random.exponential(random.gamma(2.0, 200, customers))
    basket = np.exp(random.normal(3.6, 0.6, customers))
    counts = random.poisson(np.minimum(lifetime, HISTORY_DAYS + DAYS_AFTER) / gap)
    number = np.repeat(np.arange(customers), counts)
    later = random.uniform(0, 1, number.size) * np.minimum(lifetime, HISTORY_DAYS + DAYS_AFTER)[number]
    who = np.concatenate([np.arange(customers), number])
    day = np.concatenate([first_day, first_day[number] + later.astype(int)])
    revenue = np.round(basket[who] * np.exp(random.normal(0, 0.4, who.size)), 2)
    found = pd.DataFrame({"number": who, "day": day, "revenue": revenue})
    found = found[found["day"] < HISTORY_DAYS + DAYS_AFTER].sort_values(
        ["day", "number", "revenue"], ignore_index=True
    )
    return pd.DataFrame(
        {
            "customer_id": "c" + found["number"].astype(str).str.zfill(6),
            "sale_date": [
                STARTS_ON + dt.timedelta(days=int(day) - HISTORY_DAYS) for day in found["day"]
            ],
            "revenue": found["revenue"],
        }
    )


def outcome(
    natural: pd.DataFrame, segments: pd.DataFrame, seed: int = SEED + 1
) -> dict[str, pd.DataFrame]:
    """What the experiment does to the customers, as source tables and the truth.

    natural: as `orders`. segments: customer_id, segment_code, segment_key at the start.
    Returns fact_sales (after the start only), fact_experiment_assignments, fact_campaign_contacts
    and experiment_truth (segment_key or '(total)', arm, true_lift: share of the segment's customers
    whom the arm would bring back and who would not come by themselves).
    """
    random = np.random.default_rng(seed)
    members = segments.sort_values("customer_id", ignore_index=True)
    arms = random.choice(
        list(PLANNED_SHARES), size=len(members), p=list(PLANNED_SHARES.values())
    )
    after = natural[natural["sale_date"] >= STARTS_ON]
    ends_on = STARTS_ON + dt.timedelta(days=HORIZON_DAYS)
    comes_back = members["customer_id"].isin(after.loc[after["sale_date"] < ends_on, "customer_id"])

    def save_rate(arm: str) -> np.ndarray:
        rates = {code: by_arm.get(arm, 0.0) for code, by_arm in SAVE_RATES.items()}
        return members["segment_code"].map(rates).fillna(0.0).to_numpy(float)

    own_rate = np.select([arms == arm for arm in CHANNELS], [save_rate(arm) for arm in CHANNELS], 0)
    is_saved = ~comes_back.to_numpy() & (random.uniform(0, 1, len(members)) < own_rate)
    basket = natural.groupby("customer_id")["revenue"].mean()
    saved = pd.DataFrame(
        {
            "customer_id": members.loc[is_saved, "customer_id"],
            "sale_date": [
                STARTS_ON + dt.timedelta(days=int(day))
                for day in random.integers(1, HORIZON_DAYS, int(is_saved.sum()))
            ],
        }
    )
    saved["revenue"] = saved["customer_id"].map(basket).round(2)
    sales = pd.concat([after, saved], ignore_index=True)

    is_contacted = (arms != CONTROL) | (random.uniform(0, 1, len(members)) < CONTAMINATION)
    sent = np.where(arms == CONTROL, "email", arms)
    redeems = (arms == "voucher") & (comes_back.to_numpy() | is_saved)
    contacts = pd.DataFrame(
        {
            "contact_id": EXPERIMENT + "-" + members["customer_id"],
            "campaign_id": EXPERIMENT,
            "customer_id": members["customer_id"],
            "contacted_at": STARTS_ON,
            "channel": [CHANNELS[arm] for arm in sent],
            "contact_cost": [CONTACT_COSTS[arm] for arm in sent],
            "incentive_cost": np.where(redeems, VOUCHER_VALUE, 0.0),
        }
    )[is_contacted]
    assignments = pd.DataFrame(
        {
            "experiment_code": EXPERIMENT,
            "customer_id": members["customer_id"],
            "arm": arms,
            "is_control": arms == CONTROL,
            "assigned_at": STARTS_ON,
            "segment_code": members["segment_code"],
            "planned_share": [PLANNED_SHARES[arm] for arm in arms],
        }
    )
    gains = pd.DataFrame(
        {
            (key, arm): {"true_lift": (~comes_back[chosen] * save_rate(arm)[chosen]).mean()}
            for key, chosen in [
                ("(total)", np.full(len(members), True)),
                *((key, members["segment_key"].eq(key)) for key in members["segment_key"].unique()),
            ]
            for arm in CHANNELS
        }
    ).T.rename_axis(["segment_key", "arm"])
    return {
        "fact_sales": sales,
        "fact_experiment_assignments": assignments,
        "fact_campaign_contacts": contacts,
        TRUTH: gains.reset_index(),
    }


def land_history(customers: int = CUSTOMERS) -> None:
    """The sales before the start, in raw.fact_sales of the DuckDB file."""
    natural = orders(customers)
    _land({"fact_sales": natural[natural["sale_date"] < STARTS_ON]}, replace=True)


def land_outcome(customers: int = CUSTOMERS) -> None:
    """The experiment and what came after, from the segments that the build has found.

    customers: as in `land_history`. SystemExit where the build was of another day than the start.
    """
    with connect("duckdb") as warehouse:
        segments = warehouse.execute(
            "select customer_id, segment_code, segment_key from rfm_marts.customer_segments"
        ).df()
        found = warehouse.execute(
            "select max(as_of_date) from rfm_marts.customer_segments"
        ).fetchone()[0]
    if found != STARTS_ON:
        raise SystemExit(
            f"The segments are of {found}, not of the start {STARTS_ON}: load the history"
            " and build again (make demo-experiment)."
        )
    tables = outcome(orders(customers), segments)
    _land({"fact_sales": tables.pop("fact_sales")}, replace=False)
    _land(tables, replace=True)


def _land(tables: dict[str, pd.DataFrame], replace: bool) -> None:
    with connect("duckdb") as warehouse:
        warehouse.execute("create schema if not exists raw")
        for name, rows in tables.items():
            money = [c for c in ("revenue", "contact_cost", "incentive_cost") if c in rows]
            columns = ", ".join(
                f"cast({c} as decimal(12, 2)) as {c}" if c in money else c for c in rows.columns
            )
            warehouse.register("landing", rows)
            if replace:
                warehouse.execute(
                    f"create or replace table raw.{name} as select {columns} from landing"
                )
            else:
                # What an earlier run landed after the start goes first.
                warehouse.execute(
                    f"delete from raw.{name} where sale_date >= ?", [STARTS_ON]
                )
                warehouse.execute(f"insert into raw.{name} select {columns} from landing")
            warehouse.unregister("landing")
            print(f"  raw.{name:<28}{len(rows):>10,} rows")


def show() -> None:
    """Print true and measured lift side by side; duckdb.Error where the mart is not there."""
    with connect("duckdb") as warehouse:
        rows = warehouse.execute(LIFT_QUERY).fetchall()
    header = ("segment", "arm", "assigned", "true lift", "measured", "95 % interval", "cost each", "")
    lines = [header, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    print(f"\nExperiment {EXPERIMENT}: points of retention within {HORIZON_DAYS} days\n")
    for line in lines:
        print(
            "  ".join(
                cell.rjust(width) if 2 <= column <= 6 else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
        )
    print(
        "\nThe true lift is that of all customers of the segment; the measured one has the luck of"
        " the draw in it.\nMore in rfm_marts.campaign_lift and campaign_results."
    )


def _cells(row: tuple) -> tuple[str, ...]:
    key, arm, assigned, truth, lift, low, high, cost, verdict = row

    def points(value: float | None) -> str:
        return "" if value is None else f"{100 * value:+.1f}"

    return (
        key.partition(":")[2] or key,
        arm,
        f"{assigned:,}",
        points(truth),
        points(lift),
        f"{points(low)} to {points(high)}" if low is not None else "",
        "" if cost is None else f"{cost:,.2f}",
        verdict or "",
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m python_checks.demo_experiment",
        description="A made-up shop with an experiment whose true lift is known.",
    )
    parser.add_argument("step", choices=("history", "outcome", "show"))
    step = parser.parse_args().step
    try:
        {"history": land_history, "outcome": land_outcome, "show": show}[step]()
    except duckdb.Error as error:
        print(f"{error}\nRun the steps in order: make demo-experiment", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
