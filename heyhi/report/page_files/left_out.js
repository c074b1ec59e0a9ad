// What a plot can't show, and how that is said.

/** Count the values of lines that a logarithmic axis has no place for; what only lies behind them isn't counted. */
function leftOutOf(traces, { logX, logY }) {
  const found = { count: 0, isAll: false };
  if (!logX && !logY) return found;
  let left = 0;
  const isOff = (value, log) => log && value <= 0 && value !== null;
  for (const { x, y, hoverinfo } of traces) {
    if (hoverinfo === "skip") continue;
    y.forEach((value, i) => {
      if (!Number.isFinite(value)) return;
      if (isOff(value, logY) || isOff(x[i], logX)) found.count += 1;
      else left += 1;
    });
  }
  return { ...found, isAll: found.count > 0 && left === 0 };
}

const logText = (count) =>
  `${count} ${count === 1 ? "value at or below 0 is" : "values at or below 0 are"} not on a logarithmic axis`;
const NOTHING_ABOVE = "no value above 0, as a logarithmic axis needs";

/** Say why rows aren't in the plot of the overrides, each by one reason. */
function rowsLeftOut(rows, x, y, log) {
  const counts = new Map();
  const reason = (row) => {
    for (const column of [x, y]) {
      if (!column) continue;
      if (column.values[row] === null) return `without ${column.name}`;
      if (column.numeric && !Number.isFinite(asNumber(column.values[row]))) return `with NaN or infinity in ${column.name}`;
    }
    return null;
  };
  for (const row of rows) {
    const why = reason(row);
    if (why) counts.set(why, (counts.get(why) ?? 0) + 1);
  }
  const notes = [...counts].map(([why, count]) => `${count} ${why}`);
  const off = log ? rows.filter((row) => !reason(row) && asNumber(x.values[row]) <= 0).length : 0;
  return off ? [...notes, logText(off)] : notes;
}
