"""Measure the current-date path against hand-written SQL and against a pandas pipeline.

    python -m python_checks.benchmark [--target duckdb|postgres|both] [--customers N] [--sales N]

One run generates the data (heavy-tailed spending, half of the customers buy once, some returns,
free items, missing customers and repeated rows), loads them into each engine and times, on the
same data and in turn:

ours     `dbt run` of everything from the staging views to the mart `customer_rfm`: the time that
         the engine worked (the sum over the models, one thread) and the time of the whole command.
by hand  one SQL script on the same engine that does the same work: classification, repeated ids,
         orders, metrics, scores with the same tie rule, segments.
pandas   what such projects use today: read the table from the engine, groupby, rank, qcut, segment
         by mask, write the result back.

Every figure is from this run, so only their ratios travel to other machines. Memory is the peak of
the processes that work: the client and, on PostgreSQL, its server processes without shared buffers
counted twice. The three results are compared with each other before anything is printed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import psutil
import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq

from python_checks.postgres_server import postgres_server

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = "benchmark_raw"
FIRST_DAY = np.datetime64("2022-01-01")
DAYS = 730


def generate(path: Path, customers: int, sales: int, seed: int = 7) -> None:
    """Write `sales` rows of `customers` customers to one Parquet file, unordered.

    Columns: sale_id, order_id, customer_id (text), sale_date (date), revenue (decimal, cents),
    is_return. Half of the customers have one order; the orders of the others follow a Pareto tail.
    """
    rng = np.random.default_rng(seed)
    weight = rng.pareto(1.3, customers) + 0.3
    weight[: customers // 2] = 0.0
    rng.shuffle(weight)
    # Every customer has an order; the rest of the orders go by weight. Lines per order: 1 to 5.
    orders = int(sales / 2.5)
    extra = rng.choice(customers, size=orders - customers, p=weight / weight.sum())
    customer_of_order = np.concatenate([np.arange(customers), extra])
    lines = rng.integers(1, 5, size=orders)
    order_of_line = np.repeat(np.arange(orders), lines)
    rows = rng.permutation(order_of_line)[:sales]
    rows = np.concatenate([rows, rng.integers(0, orders, size=max(0, sales - len(rows)))])
    customer = customer_of_order[rows]
    day = rng.integers(0, DAYS, size=orders)[rows]
    cents = np.round(np.exp(rng.normal(2.8, 1.1, size=sales)) * 100).astype(np.int64)
    is_return = rng.random(sales) < 0.02
    cents[rng.random(sales) < 0.005] = 0
    sale_id = np.arange(sales)
    repeated = rng.random(sales) < 0.0005
    sale_id[repeated] = np.maximum(sale_id[repeated] - 1, 0)
    missing = rng.random(sales) < 0.005

    def text(prefix: str, numbers: np.ndarray, mask: np.ndarray | None = None) -> pa.Array:
        return pa.array(np.char.add(prefix, numbers.astype("U9")), mask=mask, type=pa.string())

    order = rng.permutation(sales)
    table = pa.table(
        {
            "sale_id": text("S", sale_id[order]),
            "order_id": text("O", rows[order]),
            "customer_id": text("C", customer[order], missing[order]),
            "sale_date": pa.array(FIRST_DAY + day[order]),
            "revenue": pa.array(cents[order]).cast(pa.decimal128(19, 0)),
            "is_return": pa.array(is_return[order]),
        }
    )
    pq.write_table(table, path)
