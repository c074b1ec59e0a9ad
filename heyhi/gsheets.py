"""The first HeyHi's import path `heyhi.gsheets`: a thin door to the Google Sheet, which doesn't exist yet."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def save_pandas_table(df: pd.DataFrame, project_name: str, table_name: str, offset: int = 1) -> None:
    """Say that no Google Sheet is written by this version; a script that ends with this call goes on and succeeds.

    Args:
        df: table.
        project_name: name of the spreadsheet.
        table_name: name of the worksheet.
        offset: first row of the table.
    """
    print(
        f"{len(df)} rows not exported: this version doesn't write Google Sheets yet ('{project_name}', '{table_name}')",
        file=sys.stderr,
    )
