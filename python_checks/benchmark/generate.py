"""Made-up sales and their optional companions for the benchmark, by size and seed.

Heavy-tailed spending: half of the customers buy once, the orders of the others follow a Pareto tail;
some returns, free items, rows without a customer and repeated rows; rows in no order.
"""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

FIRST_DAY = np.datetime64("2022-01-01")
DAYS = 730
PRODUCTS = 3000
CATEGORIES = 25
SALES_PER_CUSTOMER = 10
OPTIONAL_SOURCES = ("customers", "products", "engagement_events", "campaign_contacts")


def _text(prefix: str, numbers: np.ndarray, mask: np.ndarray | None = None) -> pa.Array:
    """Ids such as C123; null where the mask is true."""
    ids = np.char.add(prefix, numbers.astype("U9"))
    return pa.array(ids, mask=mask, type=pa.string())


def sales(
    customers: int, rows: int, days: int = DAYS, has_products: bool = False, seed: int = 7
) -> pa.Table:
    """`rows` sales of `customers` customers over `days` days, unordered.

    Columns: sale_id, order_id, customer_id (text), sale_date (date), revenue (decimal, cents),
    is_return, and with products product_id and channel.
    """
    rng = np.random.default_rng(seed)
    weight = rng.pareto(1.3, customers) + 0.3
    weight[: customers // 2] = 0.0
    rng.shuffle(weight)
    # Every customer has an order; the rest of the orders go by weight. Lines per order: 1 to 4.
    orders = int(rows / 2.5)
    extra = rng.choice(customers, size=orders - customers, p=weight / weight.sum())
    customer_of_order = np.concatenate([np.arange(customers), extra])
    lines = rng.integers(1, 5, size=orders)
    order_of_line = np.repeat(np.arange(orders), lines)
    order_of_row = rng.permutation(order_of_line)[:rows]
    missing_rows = rng.integers(0, orders, size=max(0, rows - len(order_of_row)))
    order_of_row = np.concatenate([order_of_row, missing_rows])
    customer = customer_of_order[order_of_row]
    day = rng.integers(0, days, size=orders)[order_of_row]
    cents = np.round(np.exp(rng.normal(2.8, 1.1, size=rows)) * 100).astype(np.int64)
    is_return = rng.random(rows) < 0.02
    cents[rng.random(rows) < 0.005] = 0
    sale_id = np.arange(rows)
    repeated = rng.random(rows) < 0.0005
    sale_id[repeated] = np.maximum(sale_id[repeated] - 1, 0)
    missing = rng.random(rows) < 0.005

    shuffled = rng.permutation(rows)
    money = pc.multiply(pa.array(cents[shuffled]).cast(pa.decimal128(19, 0)), Decimal("0.01"))
    columns = {
        "sale_id": _text("S", sale_id[shuffled]),
        "order_id": _text("O", order_of_row[shuffled]),
        "customer_id": _text("C", customer[shuffled], missing[shuffled]),
        "sale_date": pa.array(FIRST_DAY + day[shuffled]),
        "revenue": money.cast(pa.decimal128(12, 2)),
        "is_return": pa.array(is_return[shuffled]),
    }
    if has_products:
        product = (PRODUCTS * rng.random(rows) ** 2).astype(int)
        columns["product_id"] = _text("P", product)
        columns["channel"] = pa.array(rng.choice(["web", "shop", "app"], rows, p=[0.6, 0.3, 0.1]))
    return pa.table(columns)


def optional_sources(customers: int, events: int, days: int = DAYS, seed: int = 8) -> dict[str, pa.Table]:
    """Table name → rows of the optional sources: `events` events, a tenth as many contacts."""
    rng = np.random.default_rng(seed)
    contacts = events // 10
    types = ["email_open", "email_click", "site_visit", "coupon_redemption", "not_mapped"]

    def someone(count: int) -> pa.Array:
        # A cubed uniform draw: few are very active, a third of the customers never are.
        return _text("C", (customers * (0.33 + 0.67 * rng.random(count) ** 3)).astype(int))

    def some_days(count: int) -> pa.Array:
        return pa.array(FIRST_DAY + rng.integers(0, days, count))

    number = np.arange(customers)
    return {
        "dim_customers": pa.table(
            {"customer_id": _text("C", number), "created_at": some_days(customers),
             "country": pa.array(rng.choice(["FR", "DE", "GB"], customers))}
        ),
        "dim_products": pa.table(
            {"product_id": _text("P", np.arange(PRODUCTS)),
             "category": _text("category ", np.arange(PRODUCTS) % CATEGORIES)}
        ),
        "fact_engagement_events": pa.table(
            {"event_id": _text("E", rng.permutation(events)), "customer_id": someone(events),
             "event_at": some_days(events), "event_type": pa.array(rng.choice(types, events))}
        ),
        "fact_campaign_contacts": pa.table(
            {"contact_id": _text("K", rng.permutation(contacts)),
             "campaign_id": _text("campaign ", rng.integers(0, 50, contacts)),
             "customer_id": someone(contacts), "contacted_at": some_days(contacts)}
        ),
    }


def write(folder: Path, customers: int, rows: int, days: int = DAYS, everything: bool = False) -> list[Path]:
    """One Parquet file per source table, named after it; with `everything` the optional ones too."""
    tables = {"fact_sales": sales(customers, rows, days, has_products=everything)}
    if everything:
        tables |= optional_sources(customers, 2 * rows, days)
    files = [folder / f"{name}.parquet" for name in tables]
    for file in files:
        pq.write_table(tables.pop(file.stem), file)
    return files
