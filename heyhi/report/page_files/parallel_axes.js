// The axes of parallel coordinates: where a value is on its axis, and which of its values have a label there.

/**
 * Return an axis from 0 to 1: numbers by size or logarithm, texts by their order.
 *
 * What isn't there, such as a key of what wasn't chosen, has a place of its own below the numbers.
 */
function parallelAxis(column, rows) {
  const values = rows.map((row) => column.values[row]);
  const text = (row) => plotText(`${column.name} ${cut(exactText(column.values[row]) || "–", 40)}`);
  const between = (low, high) => (value) => (high > low ? (value - low) / (high - low) : 0.5);
  const given = values.filter((value) => value !== null).map(asNumber);
  if (!column.numeric || given.some((value) => !Number.isFinite(value))) {
    const order = sortedTexts([...new Set(values.map(exactText))]);
    const scale = between(0, order.length - 1);
    const place = new Map(order.map((text, i) => [text, scale(i)]));
    return {
      name: column.name,
      text,
      place: (row) => place.get(exactText(column.values[row])),
      ticks: spread(order.length, 10).map((i) => [scale(i), cut(order[i], 14) || "–"]),
    };
  }
  const distinct = [...new Set(given)].sort((a, b) => a - b);
  const [low, high] = [distinct[0], distinct.at(-1)];
  const bend = spansOrders(distinct) ? Math.log10 : (value) => value;
  const gap = given.length < values.length ? 0.15 : 0;
  const within = between(bend(low), bend(high));
  const scale = (value) => gap + (1 - gap) * within(value);
  const few = distinct.length <= 5;
  const ticks = few
    ? distinct
    : [0, 0.25, 0.5, 0.75, 1].map((part) =>
        bend === Math.log10 ? low * (high / low) ** part : low + part * (high - low),
      );
  return {
    name: column.name,
    text,
    place: (row) => (column.values[row] === null ? 0 : scale(bend(asNumber(column.values[row])))),
    ticks: [
      ...(gap ? [[0, "–"]] : []),
      ...ticks.map((tick) => [scale(bend(tick)), String(Number(tick.toPrecision(few ? 4 : 3)))]),
    ],
  };
}

// ---- Labels ----

const TICK_SIZE = 11; // pixels
const TICK_GAP = 8; // between two labels
const pen = document.createElement("canvas").getContext("2d");

/** Return how wide a text is, in pixels. */
function textWidth(text, size) {
  pen.font = `${size}px ${css("--font")}`;
  return pen.measureText(text).width;
}

const widthOf = (text) => textWidth(text, TICK_SIZE);
const widestOf = (axis) => Math.max(0, ...axis.ticks.map(([, text]) => widthOf(text)));

const sumOf = (values) => values.reduce((sum, value) => sum + value, 0);

/**
 * Return those labels of an axis that have room beside each other, both ends among them.
 *
 * @param ticks [place from 0 to 1, text] each, in order
 * @param extentOf returns from where to where a label reaches, in pixels along the axis
 */
function ticksWithRoom(ticks, extentOf) {
  const last = ticks.at(-1);
  const kept = [];
  for (const tick of ticks) {
    const [low, high] = extentOf(tick);
    const isFree = !kept.length || low >= extentOf(kept.at(-1))[1];
    const leavesEnd = tick === last || !kept.length || high <= extentOf(last)[0];
    if (isFree && leavesEnd) kept.push(tick);
  }
  return kept;
}

/** Return on which side of its place a label of a level axis begins: at the ends it stays above the axis. */
const sideOf = (place) => (place < 0.1 ? "right" : place > 0.9 ? "left" : "center");

/** Return from where to where a label reaches on a level axis, with what it keeps free. */
function levelExtent([place, text], length) {
  const [at, width] = [place * length, widthOf(text)];
  const low = { right: at, left: at - width, center: at - width / 2 }[sideOf(place)];
  return [low, low + width + TICK_GAP];
}
