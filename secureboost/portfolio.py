"""The embedded synthetic credit portfolio: a lender's and a bureau's table about the same people.

Nobody in it exists. It is drawn from a handful of latent traits of a customer (means, strain,
discipline, age), so that columns hang together within a company and across the two, and so that
part of what predicts a default can be seen by one side only.

Lender
------
=======================  ==========  ==============================================================
column                   unit        meaning and how it is drawn
=======================  ==========  ==============================================================
default                  0/1         90 days past due within a year; about 15 % of the rows
income                   EUR/year    lognormal around 31,000 by means; rounded to 50; 4 % missing
                                     (not stated), more often under strain
age                      years       20 + gamma, capped at 85
tenure_months            months      as a customer; exponential, mean 50, capped by age
employment               code        0 permanent, 1 fixed term, 2 self-employed, 3 retired,
                                     4 unemployed; by age and strain
loan_amount              EUR         lognormal share of income; rounded to 100
term_months              months      12, 24, ..., 84; longer for larger loans
utilisation              share       drawn part of own credit lines, beta by strain; missing for
                                     the 12 % without a line
late_payments            count       with this lender, last 12 months; Poisson by discipline
purpose                  code        0 car, 1 home, 2 consumption, 3 consolidation, 4 education
=======================  ==========  ==============================================================

Bureau
------
===========================  ========  ============================================================
column                       unit      meaning and how it is drawn
===========================  ========  ============================================================
delinquencies                count     30 days late anywhere, last 5 years; negative binomial by
                                       discipline, at most 12
months_since_delinquency     months    exponential, at most 60; missing where there was none
external_debt                EUR       owed elsewhere; lognormal by strain; 0 for one in five
enquiries_6m                 count     credit enquiries, last 6 months; Poisson by strain
oldest_account_months        months    exponential, capped by age; missing for the 3 % not on file
open_accounts                count     Poisson by means
utilisation_elsewhere        share     drawn part of other lenders' lines, beta by strain; missing
                                       without such a line
guarantor                    0/1       stands surety for somebody else
region_risk                  code      arrears band of the postcode, 0 (low) to 9; little to do
                                       with anything else here
===========================  ========  ============================================================

The log-odds of a default add a part of the lender's columns, a part of the bureau's, and products
of both: debt elsewhere counts relative to income here, a full line here is harmless without
enquiries elsewhere, delinquencies weigh more when they are recent and employment is unsteady.

`make_portfolio` gives both companies the same customers in one order, `make_raw_portfolio` what two
companies really hold: some customers are only the lender's, more are only the bureau's, and the
orders differ.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secureboost.errors import ConfigError

DEFAULT_RATE = 0.15
LENDER_ONLY, BUREAU_ONLY = 0.06, 0.14
"""In the raw tables: customers that one company alone has, for each customer of both."""
_SHARPNESS = 1.1  # a pooled model reaches an AUC of about .80, the lender alone about .73
_ID_DIGITS = 8
_Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class Portfolio:
    """Two tables about customers, indexed by ``id`` (text).

    Attributes
    ----------
    lender : DataFrame
        Column ``default`` and the lender's features.
    bureau : DataFrame
        The bureau's features.
    """

    lender: pd.DataFrame
    bureau: pd.DataFrame


@dataclass(frozen=True, repr=False)
class _Traits:
    """What nobody sees: standard normal numbers of each customer, and age in years."""

    means: _Floats
    strain: _Floats
    discipline: _Floats
    age: _Floats


def make_portfolio(n_rows: int = 10_000, seed: int = 11) -> Portfolio:
    """Draw the portfolio: the same customers in both tables, in one order.

    Parameters
    ----------
    n_rows : int
        Customers, 100 to 10 million.
    seed : int
        The same seed and `n_rows` give the same tables.

    Raises
    ------
    ConfigError
        If a parameter is out of its limits.
    """
    if not 100 <= n_rows <= 10_000_000:
        raise ConfigError(f"is {n_rows}; it must be 100 to 10,000,000", "n_rows")
    if seed < 0:
        raise ConfigError(f"is {seed}; it must not be negative", "seed")
    rng = np.random.default_rng(seed)
    traits = _draw_traits(rng, n_rows)
    lender, bureau = _draw_lender(rng, traits), _draw_bureau(rng, traits)
    log_odds = _log_odds(traits, lender, bureau)
    default = rng.random(n_rows) < _probability(log_odds)
    ids = _as_ids(rng.choice(10**_ID_DIGITS, size=n_rows, replace=False))
    lender = {"default": default.astype(np.float64), **_leave_out(rng, traits, lender)}
    return Portfolio(_as_frame(lender, ids), _as_frame(bureau, ids))


def make_raw_portfolio(n_common: int = 10_000, seed: int = 11) -> Portfolio:
    """Draw the tables as two companies hold them: not the same customers, not in one order.

    The customers of both are those of ``make_portfolio(n_common, seed)``, in its order at the
    lender. Strangers lie between them in both tables, and the bureau's table is shuffled.

    Parameters
    ----------
    n_common : int
        Customers of both companies, 100 to 8 million.
    seed : int
        The same seed and `n_common` give the same tables.

    Raises
    ------
    ConfigError
        If a parameter is out of its limits.
    """
    if not 100 <= n_common <= 8_000_000:
        raise ConfigError(f"is {n_common}; it must be 100 to 8,000,000", "n_common")
    both = make_portfolio(n_common, seed)
    n_lender, n_bureau = round(LENDER_ONLY * n_common), round(BUREAU_ONLY * n_common)
    strangers = make_portfolio(max(100, n_lender + n_bureau), seed + 1)
    rng = np.random.default_rng(seed)
    drawn = rng.choice(10**_ID_DIGITS, size=n_common + n_lender + n_bureau, replace=False)
    free = drawn[~np.isin(drawn, both.lender.index.astype(np.int64))]
    ids = _as_ids(free[: n_lender + n_bureau])
    lender = strangers.lender.iloc[:n_lender].set_axis(ids[:n_lender])
    bureau = strangers.bureau.iloc[n_lender : n_lender + n_bureau].set_axis(ids[n_lender:])
    return Portfolio(
        _mixed_in(rng, both.lender, lender),
        pd.concat([both.bureau, bureau]).sample(frac=1, random_state=rng),
    )


def _mixed_in(rng: np.random.Generator, table: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Put rows at random places between those of a table, which keep their order."""
    is_other = np.zeros(len(table) + len(others), dtype=np.bool_)
    is_other[rng.choice(len(is_other), size=len(others), replace=False)] = True
    rows = np.where(is_other, len(table) + np.cumsum(is_other) - 1, np.cumsum(~is_other) - 1)
    return pd.concat([table, others]).iloc[rows]


def _as_ids(numbers: NDArray[np.int64]) -> pd.Index:
    return pd.Index([f"{number:0{_ID_DIGITS}d}" for number in numbers], name="id")


def _draw_traits(rng: np.random.Generator, n: int) -> _Traits:
    means = rng.standard_normal(n)
    strain = -0.3 * means + np.sqrt(1 - 0.3**2) * rng.standard_normal(n)
    discipline = -0.3 * strain + np.sqrt(1 - 0.3**2) * rng.standard_normal(n)
    age = np.minimum(np.round(20 + rng.gamma(3.0, 7.5, n)), 85.0)
    return _Traits(means, strain, discipline, age)


def _draw_lender(rng: np.random.Generator, traits: _Traits) -> dict[str, _Floats]:
    n = len(traits.age)
    income = _rounded(31_000 * np.exp(0.45 * traits.means + 0.25 * rng.standard_normal(n)), 50)
    loan = _rounded(
        np.clip(income * np.exp(-1.2 + 0.6 * rng.standard_normal(n)), 1_000, 150_000), 100
    )
    years = np.clip(np.round(loan / 6_000 + rng.normal(2.0, 1.2, n)), 1, 7)
    utilisation = _share(rng, -0.5 + 0.9 * traits.strain, concentration=5.0)
    utilisation[rng.random(n) < 0.12] = np.nan
    return {
        "income": income,
        "age": traits.age,
        "tenure_months": np.minimum(np.floor(rng.exponential(50.0, n)), (traits.age - 18) * 12),
        "employment": _draw_employment(rng, traits),
        "loan_amount": loan,
        "term_months": 12 * years,
        "utilisation": utilisation,
        "late_payments": rng.poisson(np.exp(-1.0 - 0.6 * traits.discipline)).astype(np.float64),
        "purpose": rng.choice(5, size=n, p=[0.30, 0.15, 0.33, 0.15, 0.07]).astype(np.float64),
    }


def _draw_employment(rng: np.random.Generator, traits: _Traits) -> _Floats:
    """0 permanent, 1 fixed term, 2 self-employed, 3 retired, 4 unemployed."""
    n = len(traits.age)
    weights = np.column_stack(
        [
            np.full(n, 6.0),
            np.where(traits.age < 32, 2.5, 0.8),
            np.full(n, 1.0),
            np.where(traits.age > 62, 30.0, 0.0),
            0.5 * np.exp(0.7 * traits.strain),
        ]
    )
    bounds = np.cumsum(weights, axis=1) / weights.sum(axis=1, keepdims=True)
    drawn = (rng.random(n)[:, None] > bounds).sum(axis=1)
    return np.asarray(drawn.clip(max=4), dtype=np.float64)


def _draw_bureau(rng: np.random.Generator, traits: _Traits) -> dict[str, _Floats]:
    n = len(traits.age)
    expected = np.exp(-0.9 - 0.8 * traits.discipline + 0.3 * traits.strain)
    delinquencies = np.minimum(rng.poisson(rng.gamma(1.2, expected / 1.2)), 12).astype(np.float64)
    since = np.minimum(np.ceil(rng.exponential(22.0, n)), 60.0)
    debt = _rounded(np.exp(8.7 + 0.8 * traits.strain + 0.7 * rng.standard_normal(n)), 10)
    accounts = rng.poisson(np.exp(1.1 + 0.2 * traits.means)).astype(np.float64)
    oldest = np.minimum(np.ceil(rng.exponential(110.0, n)), (traits.age - 18) * 12)
    utilisation = _share(rng, -0.6 + 0.9 * traits.strain, concentration=5.0)
    return {
        "delinquencies": delinquencies,
        "months_since_delinquency": np.where(delinquencies > 0, since, np.nan),
        "external_debt": np.where(rng.random(n) < 0.2, 0.0, debt),
        "enquiries_6m": rng.poisson(np.exp(-0.2 + 0.5 * traits.strain)).astype(np.float64),
        "oldest_account_months": np.where(rng.random(n) < 0.03, np.nan, oldest),
        "open_accounts": accounts,
        "utilisation_elsewhere": np.where(accounts > 1, utilisation, np.nan),
        "guarantor": (rng.random(n) < 0.06).astype(np.float64),
        "region_risk": np.floor(10 * rng.beta(1.6, 2.4, n)),
    }


def _log_odds(traits: _Traits, lender: dict[str, _Floats], bureau: dict[str, _Floats]) -> _Floats:
    """Log-odds of a default up to a constant."""
    utilisation = np.nan_to_num(lender["utilisation"], nan=0.3)
    unsteady = np.isin(lender["employment"], (1, 2, 4))
    instalment = lender["loan_amount"] / lender["term_months"] * 12 / lender["income"]
    own = (
        0.5 * utilisation
        + 0.22 * lender["late_payments"]
        + 0.45 * (lender["employment"] == 4)
        + 0.65 * np.clip(instalment, 0, 1)
        - 0.25 * np.log(lender["income"] / 31_000)
        - 0.003 * np.minimum(lender["tenure_months"], 120)
        + 0.22 * (lender["purpose"] == 3)
    )
    recency = np.nan_to_num(np.exp(-bureau["months_since_delinquency"] / 18), nan=0.0)
    theirs = (
        0.11 * np.minimum(bureau["delinquencies"], 4)
        + 0.46 * recency
        + 0.07 * np.minimum(bureau["enquiries_6m"], 6)
        + 0.36 * np.nan_to_num(bureau["utilisation_elsewhere"], nan=0.3)
        + 0.02 * bureau["region_risk"]
        - 0.001 * np.nan_to_num(np.minimum(bureau["oldest_account_months"], 240), nan=0.0)
    )
    both = (
        0.95 * np.log1p(4 * bureau["external_debt"] / lender["income"])
        + 1.1 * (utilisation > 0.5) * (bureau["enquiries_6m"] >= 2)
        + 1.2 * unsteady * recency
        + 0.7 * (bureau["guarantor"] == 1) * (lender["income"] < 25_000)
    )
    return np.asarray(_SHARPNESS * (own + theirs + both))


def _probability(log_odds: _Floats) -> _Floats:
    """Probabilities with mean `DEFAULT_RATE`: bisect for the constant."""
    low, high = -50.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        if np.mean(1 / (1 + np.exp(-log_odds - middle))) < DEFAULT_RATE:
            low = middle
        else:
            high = middle
    return np.asarray(1 / (1 + np.exp(-log_odds - low)))


def _leave_out(
    rng: np.random.Generator, traits: _Traits, lender: dict[str, _Floats]
) -> dict[str, _Floats]:
    """Leave out incomes that were not stated, which people under strain do more often."""
    unstated = rng.random(len(traits.age)) < np.clip(0.04 * np.exp(0.5 * traits.strain), 0, 0.5)
    return {**lender, "income": np.where(unstated, np.nan, lender["income"])}


def _as_frame(columns: dict[str, _Floats], ids: pd.Index) -> pd.DataFrame:
    """Make a table with whole numbers as integers, so that a CSV of it reads 3 and not 3.0."""
    typed: dict[str, Any] = {
        name: values.astype(np.int64) if np.array_equal(values, np.round(values)) else values
        for name, values in columns.items()
    }
    return pd.DataFrame(typed, index=ids)


def _share(rng: np.random.Generator, logit: _Floats, concentration: float) -> _Floats:
    """Beta-distributed shares with mean ``1 / (1 + exp(-logit))``, to three digits."""
    mean = 1 / (1 + np.exp(-logit))
    return np.round(rng.beta(mean * concentration, (1 - mean) * concentration), 3)


def _rounded(values: _Floats, unit: float) -> _Floats:
    return np.asarray(np.round(values / unit) * unit)
