"""Google Sheets: tables written into a worksheet beside what people have there.

Scripts call `heyhi.save_pandas_table` (heyhi/gsheets.py), which ends with one line where it fails. Code that wants the
result or the error calls `heyhi.sheets.export.save_pandas_table`.
"""
