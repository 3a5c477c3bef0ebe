"""Write what each company would bring: its own tables, and nothing of the other's.

    python make_tables.py FOLDER [ROWS]

makes, from the embedded synthetic portfolio,

    FOLDER/lender/customers.csv    columns of the lender, and who defaulted
    FOLDER/lender/applicants.csv   the same columns for later customers
    FOLDER/bureau/customers.csv    columns of the bureau for the same people, in the same order
    FOLDER/bureau/applicants.csv

One row in five is an applicant. Nobody in the tables exists.
"""

import sys
from pathlib import Path

from secureboost.portfolio import make_portfolio

ROWS = 2_500


def main(folder: Path, rows: int) -> None:
    """Write both companies' tables."""
    portfolio = make_portfolio(rows)
    n_customers = rows * 4 // 5
    for company, table in (("lender", portfolio.lender), ("bureau", portfolio.bureau)):
        (folder / company).mkdir(parents=True, exist_ok=True)
        table.iloc[:n_customers].to_csv(folder / company / "customers.csv")
        table.iloc[n_customers:].to_csv(folder / company / "applicants.csv")
        print(f"{folder / company}: {n_customers:,} customers, {rows - n_customers:,} applicants")


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) == 3 else ROWS)
