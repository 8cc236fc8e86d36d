// Pictures of measurements: lines with their deviations, bars. Every number in them is in the table below them, too.
'use strict';

/** An element of SVG. */
function svg(tag, attributes, ...children) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const SERIES = ['var(--s1)', 'var(--s2)', 'var(--s3)', 'var(--s4)'];
const DASHES = ['', '6 4', '2 3', '8 3 2 3'];

/** A number in few letters. */
function short(value) {
  const size = Math.abs(value);
  if (value === 0) return '0';
  if (size >= 1e9) return `${+(value / 1e9).toPrecision(3)} G`;
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)} M`;
  if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)} k`;
  return size >= 1e-3 ? String(+value.toPrecision(3)) : value.toExponential(0);
}

/** Round values within a range. */
function ticks(low, high, logarithmic, most = 6) {
  if (logarithmic) {
    const from = Math.floor(Math.log10(low)), to = Math.ceil(Math.log10(high)), step = Math.ceil((to - from) / most) || 1;
    return Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, i) => 10 ** (from + i * step));
  }
  const rough = (high - low || 1) / most, ten = 10 ** Math.floor(Math.log10(rough));
  const step = ten * [1, 2, 5, 10].find((factor) => ten * factor >= rough);
  const first = Math.ceil(low / step), last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

/** As wide as the window lets a picture be, so that its letters keep their size. */
const room = () => Math.max(280, Math.min(640, innerWidth - 62));

/** A scale from values to pixels. */
function scale(low, high, from, to, logarithmic) {
  const of = logarithmic ? Math.log10 : (value) => value;
  return (value) => from + ((of(value) - of(low)) / (of(high) - of(low) || 1)) * (to - from);
}

/**
 * Lines: `series` are { name, points: [x, y, deviation], isDense }, dense ones without a mark for each point; of a logarithmic axis the deviation is in decades. `marked` is the x
 * of a line across.
 */
function lines({ title, x, y, series, marked }) {
  const [width, height, left, right, top, bottom] = [room(), 340, 74, 16, 14, 48];
  const all = series.flatMap((one) => one.points);
  const xs = all.map((point) => point[0]);
  const ends = all.flatMap(([, value, deviation = 0]) => y.logarithmic
    ? [value * 10 ** -deviation, value * 10 ** deviation] : [value - deviation, value + deviation]);
  let [low, high] = [Math.min(...ends), Math.max(...ends)];
  if (y.logarithmic) [low, high] = [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high))];
  else [low, high] = [Math.min(0, low), high * 1.05];
  const sx = scale(Math.min(...xs), Math.max(...xs), left + 8, width - right - 8, x.logarithmic);
  const sy = scale(low, high, height - bottom, top, y.logarithmic);
  const picture = svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': title, class: 'chart' });
  for (const tick of ticks(low, high, y.logarithmic)) {
    picture.append(svg('line', { x1: left, x2: width - right, y1: sy(tick), y2: sy(tick), class: 'grid' }),
      svg('text', { x: left - 8, y: sy(tick) + 4, 'text-anchor': 'end' }, short(tick)));
  }
  const shown = [...new Set(xs)].sort((a, b) => a - b);
  let previous = -Infinity;
  for (const tick of shown.length <= 12 ? shown : ticks(shown[0], shown.at(-1), false, 8)) {
    if (sx(tick) - previous < 24) continue;
    previous = sx(tick);
    picture.append(svg('text', { x: sx(tick), y: height - bottom + 20, 'text-anchor': 'middle' }, short(tick)));
  }
  picture.append(svg('line', { x1: left, x2: width - right, y1: height - bottom, y2: height - bottom, class: 'axis' }),
    svg('text', { x: (left + width - right) / 2, y: height - 6, 'text-anchor': 'middle', class: 'name' }, x.name),
    svg('text', { transform: `translate(14 ${(top + height - bottom) / 2}) rotate(-90)`, 'text-anchor': 'middle', class: 'name' }, y.name));
  if (marked !== undefined) picture.append(svg('line', { x1: sx(marked), x2: sx(marked), y1: top, y2: height - bottom, class: 'mark' }));
  series.forEach(({ points, isDense }, index) => {
    const color = SERIES[index % SERIES.length], clamp = (value) => Math.max(low, Math.min(high, value));
    for (const [at, value, deviation = 0] of points) {
      if (!deviation) continue;
      const [a, b] = y.logarithmic ? [value * 10 ** -deviation, value * 10 ** deviation] : [value - deviation, value + deviation];
      picture.append(svg('line', { x1: sx(at), x2: sx(at), y1: sy(clamp(a)), y2: sy(clamp(b)), stroke: color, class: 'deviation' }));
    }
    picture.append(svg('polyline', { points: points.map(([at, value]) => `${sx(at)},${sy(value)}`).join(' '), stroke: color,
      'stroke-dasharray': DASHES[index % DASHES.length], class: 'line' }));
    if (!isDense) for (const [at, value] of points) picture.append(svg('circle', { cx: sx(at), cy: sy(value), r: at === marked ? 6 : 3.5, fill: color }));
  });
  return [legend(series), picture];
}

/** What the lines are. */
function legend(series) {
  return element('ul', { class: 'legend' }, ...series.map(({ name }, index) => {
    const sample = svg('svg', { width: 28, height: 12, 'aria-hidden': 'true' }, svg('line', { x1: 0, x2: 28, y1: 6, y2: 6,
      stroke: SERIES[index % SERIES.length], 'stroke-width': 3, 'stroke-dasharray': DASHES[index % DASHES.length] }));
    return element('li', {}, sample, name);
  }));
}

/** Bars from left to right: `rows` are { name, value, deviation, text, marked }. Where names leave no room they stand above. */
function bars({ title, rows, from = 0 }) {
  const widest = (of) => 7.6 * Math.max(...rows.map((row) => String(of(row)).length));
  const width = room(), before = 24 + widest(({ name }) => name), right = 20 + widest(({ value, text }) => text ?? short(value));
  const isAbove = before + right + 80 > width, left = isAbove ? 4 : before, above = isAbove ? 20 : 0, row = 30 + above;
  const height = rows.length * row + 6;
  const most = Math.max(...rows.map(({ value, deviation = 0 }) => value + deviation));
  const sx = scale(from, most, left, width - right);
  const picture = svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': title, class: 'chart' });
  rows.forEach(({ name, value, deviation = 0, text, marked }, index) => {
    const top = index * row + 4, y = top + above, middle = y + 10;
    picture.append(
      svg('text', isAbove ? { x: left, y: top + 14, class: marked ? 'strong' : '' } : { x: left - 10, y: y + 16, 'text-anchor': 'end', class: marked ? 'strong' : '' }, name),
      svg('rect', { x: left, y, width: Math.max(1, sx(value) - left), height: 20, rx: 3, fill: marked ? SERIES[1] : SERIES[0] }));
    if (deviation) {
      picture.append(svg('line', { x1: sx(Math.max(from, value - deviation)), x2: sx(value + deviation), y1: middle, y2: middle, class: 'whisker' }));
    }
    picture.append(svg('text', { x: sx(value + deviation) + 8, y: y + 16 }, text ?? short(value)));
  });
  return [picture];
}

/** Rows and letters of a cell that a table shows at most; the files have all. */
const MOST_ROWS = 200, MOST_LETTERS = 60;

/** A table of a measurement. */
function table({ columns, rows }) {
  const numeric = (cell) => /^[-+\d.,e]+$/.test(cell);
  const cut = (cell) => (cell.length > MOST_LETTERS ? `${cell.slice(0, MOST_LETTERS)}…` : cell);
  const line = (row) => element('tr', {}, ...row.map((cell) => element('td', { class: numeric(cell) ? 'n' : null }, cut(cell))));
  return element('div', { class: 'wide', tabindex: 0, role: 'region', 'aria-label': 'the measurements' }, element('table', {},
    element('thead', {}, element('tr', {}, ...columns.map((column) => element('th', { scope: 'col' }, column)))),
    element('tbody', {}, ...rows.slice(0, MOST_ROWS).map(line))),
  rows.length > MOST_ROWS ? element('p', { class: 'soft' }, `The first ${MOST_ROWS} of ${rows.length} rows; the file has all.`) : null);
}

/** A table that is made when it is opened. */
function folded(name, of) {
  // What is of a study has its file's name; the rest is put together of others.
  const details = element('details', {}, element('summary', {}, name.includes('-') ? `The measurements: ${name}.csv` : 'All figures'));
  details.addEventListener('toggle', () => { if (details.children.length === 1) details.append(table(of())); });
  return details;
}
