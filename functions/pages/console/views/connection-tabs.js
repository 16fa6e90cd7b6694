// The navigation beside one connection: what routes.js says belongs to it.

import { h } from '../dom.js';
import { connectionTabs } from '../routes.js';

/** Draw it for *connection*; *current* is the end of the address of the view that is shown. */
export function tabs(connection, current) {
  const shown = connectionTabs.filter(([, , direction]) => direction === 'both' || direction === connection.direction);
  if (shown.length < 2) return null;
  return h('nav', { class: 'tabs', 'aria-label': 'Connection' }, h('ul', {}, shown.map(([end, label]) => h('li', {},
    h('a', { href: `#/connections/${connection.id}${end && `/${end}`}`, 'aria-current': end === current ? 'page' : null }, label)))));
}
