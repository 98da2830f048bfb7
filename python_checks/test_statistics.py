"""Tail probabilities and the logistic regression in SQL against scipy and scikit-learn."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.linear_model import LogisticRegression

from python_checks.dbt_project import TARGETS, Project, builds, object_frame, on

TAILS = """
select
    kind,
    x,
    df,
    case
        when kind = 'normal' then {{ normal_tail('x') }}
        when kind = 'student' then {{ student_two_sided('x', 'df') }}
        when kind = 'chi' then {{ chi_square_tail('x', 'cast(df as integer)') }}
        when kind = 'quantile' then {{ student_975('df') }}
    end as tail
from raw.tails
"""

REGRESSIONS = """
with observed as (

    select * from raw.observed

),

{{ logistic_regression('fits', 'observed', ['x1', 'x2', 'x3']) }}

select * from fits
"""


NOT_KNOWN: list[tuple[str, float | None, float | None]] = [
    ("normal", None, 0.0),
    *(("student", None, 5.0), ("student", 1.5, None), ("student", 0.0, None)),
    *(("chi", None, 3.0), ("chi", None, 4.0), ("chi", 2.0, None), ("quantile", 0.0, None)),
]


def arguments() -> pd.DataFrame:
    """Where the tails are asked for: |z| to 8, all degrees of freedom, and far out; and not known."""
    rows: list[tuple[str, float, float]] = []
    rows += [("normal", float(z), 0.0) for z in np.linspace(-8, 8, 321)]
    for df in (1, 2, 2.5, 3, 5, 7.3, 10, 30, 99.9, 1000, 1e6):
        rows += [("student", float(t), float(df)) for t in (0, 1e-3, 0.5, 1, 1.96, 3, 5, 8, 30)]
    for df in range(1, 61):
        rows += [("chi", float(x), float(df)) for x in (0, 0.01, 0.5, 1, 5, 30, 60, 150)]
    rows += [("quantile", 0.0, float(df)) for df in np.geomspace(1, 1e7, 200)]
    return object_frame(["kind", "x", "df"], rows + NOT_KNOWN)


def observed() -> pd.DataFrame:
    """A fit each of usual rows, of rare and of nearly certain outcomes, of skewed signals that one
    value of which settles the outcome, and of a signal that says nothing since it is constant."""
    random = np.random.default_rng(11)
    rows = []
    for code, level, steep in (
        ("usual", 0.3, 1.0),
        ("rare", -6.5, 1.0),
        ("certain", 4.0, 2.0),
        ("separated", 0.0, 60.0),
        ("constant", -1.0, 1.0),
    ):
        signals = random.normal(size=(4000, 3))
        signals[:, 1] = np.exp(signals[:, 1])
        if code == "constant":
            signals[:, 2] = 0
        chance = 1 / (1 + np.exp(-(level + steep * signals[:, 0] - 0.3 * signals[:, 1])))
        outcome = (random.random(4000) < chance).astype(float)
        rows += [
            (code, float(y), *map(float, x)) for y, x in zip(outcome, signals, strict=True)
        ]
    return object_frame(["fit_code", "y", "x1", "x2", "x3"], rows)


def build_statistics(project: Project) -> dict[str, pd.DataFrame]:
    """What the macros give on generated arguments."""
    double = "double precision"
    project.land("tails", arguments(), {"kind": "varchar", "x": double, "df": double})
    columns = dict.fromkeys(["y", "x1", "x2", "x3"], double)
    project.land("observed", observed(), {"fit_code": "varchar", **columns})
    found = {}
    for name, sql in {"tails": TAILS, "regressions": REGRESSIONS}.items():
        (project.folder / "models" / f"{name}.sql").write_text(sql)
    run = project.dbt("run", "--select", "tails", "regressions", parse=True)
    assert run.success, run.problems
    for name in ("tails", "regressions"):
        (project.folder / "models" / f"{name}.sql").unlink()
        found[name] = project.read(f"rfm.{name}")
    return found


@builds(*[on(target, build_statistics) for target in TARGETS])
def test_tails_equal_scipy_to_a_millionth(built):
    exact: dict[str, Any] = {
        "normal": lambda x, df: stats.norm.sf(x),
        "student": lambda x, df: 2 * stats.t.sf(abs(x), df),
        "chi": lambda x, df: stats.chi2.sf(x, df),
        "quantile": lambda x, df: stats.t.ppf(0.975, df),
    }
    worst = dict.fromkeys(exact, 0.0)
    known = built["tails"][["x", "df"]].notna().all(axis=1)
    for row in built["tails"][known].itertuples():
        expected = exact[row.kind](row.x, row.df)
        worst[row.kind] = max(worst[row.kind], abs(float(row.tail) / expected - 1))
    assert len(built["tails"]) == len(arguments())
    assert known.sum() == len(arguments()) - len(NOT_KNOWN)
    assert all(error < 1e-6 for error in worst.values()), worst


@builds(*[on(target, build_statistics) for target in TARGETS])
def test_tail_of_what_is_not_known_is_null(built):
    tails = built["tails"]
    found = tails[tails[["x", "df"]].isna().any(axis=1)]
    assert len(found) == len(NOT_KNOWN)
    assert found["tail"].isna().all(), found


@builds(*[on(target, build_statistics) for target in TARGETS])
def test_logistic_regression_equals_scikit_learn(built):
    found = built["regressions"].set_index("fit_code")
    assert set(found.index) == {"usual", "rare", "certain", "separated", "constant"}
    for code, rows in observed().groupby("fit_code"):
        signals = rows[["x1", "x2", "x3"]].astype(float)
        # The ridge is half a unit for every slope squared, which is their C of 1.
        model = LogisticRegression(C=1.0, tol=1e-12, max_iter=10_000)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.fit(signals, rows["y"].astype(float))
        expected = [model.intercept_[0], *model.coef_[0]]
        for column, value in zip(["b0", "b1", "b2", "b3"], expected, strict=True):
            assert abs(float(found.loc[code, column]) - value) < 1e-6, (code, column)
        assert float(found.loc[code, "step_change"]) < 1e-6, code
