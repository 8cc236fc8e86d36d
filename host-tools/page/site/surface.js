// Surfaces that can be turned, and small images.
'use strict';

/** From blue through grey-green to orange, as a share of the way. */
function shade(share) {
  const mix = (from, to) => Math.round(from + (to - from) * share);
  return `rgb(${mix(0, 230)},${mix(114, 159)},${mix(178, 0)})`;
}

/**
 * A surface over a square: `heights` row by row, drawn between `low` and `high`, turned by `yaw` degrees and seen from `pitch`
 * degrees above the ground.
 */
function surface({ title, heights, low, high, yaw, pitch, width }) {
  const side = Math.sqrt(heights.length), height = Math.round(width * 0.8);
  const [turn, tilt] = [yaw, pitch].map((degrees) => (degrees * Math.PI) / 180);
  const size = width / 1.5;
  const point = (row, column) => {
    const x = column / (side - 1) - 0.5, y = row / (side - 1) - 0.5;
    const share = Math.max(0, Math.min(1, (heights[row * side + column] - low) / (high - low || 1)));
    const [across, deep] = [x * Math.cos(turn) - y * Math.sin(turn), x * Math.sin(turn) + y * Math.cos(turn)];
    return { share, deep, at: [width / 2 + across * size, height * 0.5 + deep * size * Math.sin(tilt) - (share - 0.5) * 0.6 * size * Math.cos(tilt)] };
  };
  const points = Array.from({ length: side }, (_, row) => Array.from({ length: side }, (_, column) => point(row, column)));
  const cells = [];
  for (let row = 0; row + 1 < side; row++) {
    for (let column = 0; column + 1 < side; column++) {
      const corners = [points[row][column], points[row][column + 1], points[row + 1][column + 1], points[row + 1][column]];
      const mean = (of) => corners.reduce((sum, corner) => sum + of(corner), 0) / 4;
      cells.push({ corners, deep: mean(({ deep }) => deep), share: mean(({ share }) => share) });
    }
  }
  // What is behind is drawn first.
  cells.sort((a, b) => a.deep - b.deep);
  const picture = svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': title, class: 'surface' });
  for (const { corners, share } of cells) {
    picture.append(svg('polygon', { points: corners.map(({ at }) => at.map((v) => v.toFixed(1)).join(',')).join(' '), fill: shade(share) }));
  }
  return picture;
}

/** An image of shares of white, row by row. */
function tile(pixels, label) {
  const side = pixels.length;
  const picture = svg('svg', { viewBox: `0 0 ${side} ${side}`, role: 'img', 'aria-label': label, class: 'tile', 'shape-rendering': 'crispEdges' });
  pixels.forEach((row, y) => row.forEach((share, x) => {
    const grey = Math.round(255 * share);
    picture.append(svg('rect', { x, y, width: 1, height: 1, fill: `rgb(${grey},${grey},${grey})` }));
  }));
  return picture;
}
