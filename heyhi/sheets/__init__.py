"""Google Sheets: a table written into a worksheet beside what people have there."""
