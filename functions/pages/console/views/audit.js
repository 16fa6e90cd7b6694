// Who did what, when.

import { add, h } from '../dom.js';
import { badge, form, pager, time } from '../widgets.js';

export const title = 'Audit log';

export async function render(root) {
  const list = pager('Audit log', 'audit', [
    ['When', (it) => time(it.at)],
    ['Who', (it) => h('code', {}, it.actor)],
    ['What', (it) => h('code', {}, it.action)],
    ['Outcome', (it) => badge(it.outcome)],
    ['Of', (it) => Object.entries(it.targets).map(([name, value]) =>
      h('div', { class: 'small' }, `${name.replaceAll('_', ' ')}: `, h('code', {}, value)))],
  ], { empty: 'Nothing was done in this time.' });
  await list.reload();
  add(root, h('p', {}, 'Who is told by the first digits of a hash of the key, or by the id of the account.'), form({
    label: 'Time', className: 'search', action: 'Show', reads: true,
    fields: [{ name: 'since', label: 'Since', type: 'moment' }, { name: 'until', label: 'Until', type: 'moment' }],
    submit: (values) => list.reload(values),
  }), list.root);
}
