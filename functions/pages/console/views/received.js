// Mail that came in through one connection, by status, with search.

import { get, seg } from '../api.js';
import { add, h } from '../dom.js';
import { badge, form, link, pager, time } from '../widgets.js';
import { tabs } from './connection-tabs.js';

export const title = 'Received mail';
const STATUSES = ['stored', 'delivered', 'retrying', 'quarantined', 'failed', 'skipped', 'expired'];

export async function render(root, { id, query }) {
  const it = await get(`connections/${seg(id)}`);
  const list = pager('Received mail', `connections/${seg(id)}/received`, [
    ['Subject', (mail) => link(`received/${mail.id}`, mail.subject || '(no subject)')],
    ['From', (mail) => mail.sender],
    ['Status', (mail) => [badge(mail.status), mail.fault && h('div', { class: 'small' }, mail.fault.detail)]],
    ['Came', (mail) => time(mail.received_at || mail.stored_at)],
    ['Delivered', (mail) => time(mail.delivered_at, 'not yet')],
    ['Size', (mail) => bytes(mail.size)],
  ], { query: { status: query.status }, empty: 'No mail like this.' });
  await list.reload();
  add(root, h('h1', {}, it.name), tabs(it, 'received'), form({
    label: 'Search', className: 'search', action: 'Search', reads: true,
    fields: [
      { name: 'status', label: 'Status', type: 'select', value: query.status || '', options: [['', 'any'], ...STATUSES.map((each) => [each, each])] },
      { name: 'from', label: 'The sender’s address begins with' },
      { name: 'subject', label: 'The subject begins with' },
      { name: 'message_id', label: 'Message-ID', hint: 'As the mail’s header has it.' },
    ],
    submit: (values) => list.reload(values),
  }), list.root);
}

/** A number of bytes as people say it. */
export function bytes(count) {
  if (count < 1024) return `${count} B`;
  return count < 1024 ** 2 ? `${Math.round(count / 1024)} KB` : `${(count / 1024 ** 2).toFixed(1)} MB`;
}
