// What needs somebody, and how the service is.

import { Problem, all, get } from '../api.js';
import { add, h } from '../dom.js';
import { badge, facts, link, note, section, table } from '../widgets.js';

export const title = 'Overview';
const STATUSES = ['active', 'waiting', 'backing_off', 'stopped', 'disabled'];

export async function render(root) {
  const [page, grants, credentials, health] = await Promise.all([
    get('connections', { limit: 200 }), all('grants'), all('credentials'), details()]);
  const connections = page.data;
  if (!credentials.length) {
    add(root, note('calm', h('p', {}, 'Nothing is set up yet.'), h('p', {}, link('guide', 'Begin with the first steps', 'button'))));
  }
  const counts = STATUSES.map((status) => [status, connections.filter((each) => each.status === status).length]);
  add(root,
    section('Connections', h('ul', { class: 'cards' }, counts.filter(([status, count]) => count || status === 'active')
      .map(([status, count]) => h('li', {}, h('strong', {}, count), badge(status)))),
    page.next_cursor && h('p', { class: 'small' }, 'Counted among the newest 200. ', link('connections', 'All of them'))),
    section('Needs you', troubles(connections, grants, credentials)),
    section('Service', service(health)),
  );
}

/** Health is told with 503 as well, so the body of the refusal counts. */
async function details() {
  try {
    return await get('health/details');
  } catch (error) {
    if (error instanceof Problem && error.body.checks) return error.body;
    throw error;
  }
}

function troubles(connections, grants, credentials) {
  const rows = [
    ...credentials.filter((it) => it.fault || ['soon', 'expired'].includes(it.expiry)).map((it) => ({
      to: `credentials/${it.id}`, kind: 'Credential', name: it.name, status: it.fault ? it.status : it.expiry,
      detail: it.fault?.detail || ends(it) })),
    ...grants.filter((it) => it.fault || !['active'].includes(it.status)).map((it) => ({
      to: `grants/${it.id}`, kind: 'Grant', name: it.tenant_domain || it.tenant, status: it.status, detail: it.detail })),
    ...connections.filter((it) => !['active', 'disabled'].includes(it.status)).map((it) => ({
      to: `connections/${it.id}`, kind: 'Connection', name: it.name, status: it.status, detail: it.fault?.detail || '' })),
  ];
  return table('What needs somebody', [
    ['Name', (it) => link(it.to, it.name)], ['Kind', (it) => it.kind], ['Status', (it) => badge(it.status)],
    ['What to do', (it) => it.detail],
  ], rows, 'Everything works.');
}

const ends = (it) => (it.expires_in_days < 0 ? 'It has expired. Rotate it.' : `It ends in ${it.expires_in_days} days. Rotate it before.`);

function service(health) {
  const { storage = {}, vault = '', tick = {}, due = {}, poisoned } = health.checks || {};
  const word = (state) => badge(state, state === 'ok' ? 'good' : state === 'starting' || state === 'unknown' ? 'warn' : 'bad');
  return [
    health.status !== 'ok' && note('bad', h('p', {}, 'The service is not well: storage, vault or the timer does not answer.')),
    facts([
      ['Storage', [word(storage.tables || 'unknown'), ' ', storage.queues !== 'ok' && word(storage.queues || 'unknown')]],
      ['Key Vault', word(vault || 'unknown')],
      ['Timer', word(tick.state || 'unknown')],
      ['Most overdue work', due.late_seconds === null || due.late_seconds === undefined ? 'unknown' : `${Math.round(due.late_seconds)} s`],
      ['Work that keeps failing', poisoned ? `${poisoned.count}${poisoned.more ? ' and more' : ''}` : 'unknown'],
      ['Version', health.version],
    ]),
  ];
}
