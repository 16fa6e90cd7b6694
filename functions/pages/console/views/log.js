// What the runs of one connection did.

import { get, seg } from '../api.js';
import { add, h } from '../dom.js';
import { badge, fault, pager, time } from '../widgets.js';
import { tabs } from './connection-tabs.js';

export const title = 'Log';

export async function render(root, { id }) {
  const it = await get(`connections/${seg(id)}`);
  const list = pager('Runs', `connections/${seg(id)}/log`, [
    ['When', (run) => time(run.at)],
    ['Run', (run) => run.kind],
    ['Outcome', (run) => badge(run.outcome, run.outcome === 'more' ? 'calm' : '')],
    ['Mails', (run) => (run.kind === 'fetch' ? `${run.taken} taken, ${run.pages} pages looked at` : `${run.accepted} accepted`)],
    ['Requests', (run) => run.requests ?? 'not known'],
    ['Took', (run) => `${run.seconds.toFixed(1)} s`],
    ['Fault', (run) => fault(run.fault)],
  ], { empty: 'No run did anything in the last 30 days.' });
  await list.reload();
  add(root, h('h1', {}, it.name), tabs(it, 'log'),
    h('p', {}, 'Every run that did something, of the last 30 days. It holds no mail: no senders, subjects or bodies.'), list.root);
}
