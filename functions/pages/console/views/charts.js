// Bars by the hour as SVG, made of DOM functions; the same numbers as a table for whoever does not see them.

import { h, svg } from '../dom.js';
import { table } from '../widgets.js';

const WIDTH = 720;
const HEIGHT = 160;
const FOOT = 20;
const LEFT = 44;

/**
 * Draw a chart: *hours* are `{at, values}`, oldest first, with one value for each of *series* (`[name, class]`); bars of
 * one hour stand on one another. *say* writes a value.
 */
export function chart(heading, hours, series, say = String) {
  const sums = hours.map((hour) => hour.values.reduce((sum, value) => sum + value, 0));
  const top = Math.max(1, ...sums);
  const step = (WIDTH - LEFT) / hours.length;
  const bars = hours.flatMap((hour, index) => {
    let base = HEIGHT;
    return hour.values.map((value, kind) => {
      const high = (value / top) * (HEIGHT - 10);
      base -= high;
      return value > 0 && svg('rect', { x: LEFT + index * step + 1, y: base, width: step - 2, height: high, class: `bar ${series[kind][1]}` },
        svg('title', {}, `${clock(hour.at)}: ${say(value)}, ${series[kind][0]}`));
    });
  });
  const hints = hours.map((hour, index) => index % 4 === 0 && svg('text', { x: LEFT + index * step, y: HEIGHT + FOOT - 4, class: 'axis' }, clock(hour.at)));
  const total = sums.reduce((sum, value) => sum + value, 0);
  return h('figure', { class: 'chart' },
    h('figcaption', {}, h('strong', {}, heading), ' ', series.map(([name, mood]) => [h('span', { class: `key ${mood}` }, '■'), ` ${name} `])),
    total === 0 && h('p', { class: 'calm' }, 'None.'),
    total > 0 && svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT + FOOT}`, 'aria-hidden': 'true', focusable: 'false' },
      svg('text', { x: 0, y: 14, class: 'axis' }, say(top)), svg('text', { x: 0, y: HEIGHT, class: 'axis' }, say(0)),
      svg('line', { x1: LEFT, x2: WIDTH, y1: HEIGHT, y2: HEIGHT, class: 'base' }), bars, hints),
    total > 0 && h('details', {}, h('summary', {}, `${heading} as a table`), table(heading, [
      ['Hour', (hour) => clock(hour.at)], ...series.map(([name], kind) => [name, (hour) => say(hour.values[kind])]),
    ], hours)));
}

const clock = (at) => `${String(at.getHours()).padStart(2, '0')}:00`;
