// Mail that goes out through one connection, by status, with search.

import { all, get, seg } from '../api.js';
import { add, fill, h } from '../dom.js';
import { announce, badge, form, link, note, pager, table, time } from '../widgets.js';
import { tabs } from './connection-tabs.js';

export const title = 'Outbox';
const STATUSES = ['queued', 'sending', 'accepted', 'sent', 'bounced', 'failed', 'outcome_unknown', 'cancelled'];
const MOST = 1000;

const COLUMNS = [
  ['Subject', (mail) => link(`outbox/${mail.id}`, mail.subject || '(no subject)')],
  ['To', (mail) => people(mail)],
  ['Status', (mail) => [badge(mail.status), mail.fault && h('div', { class: 'small' }, mail.fault.detail)]],
  ['Came', (mail) => time(mail.created_at)],
  ['Done', (mail) => time(mail.finished_at, 'not yet')],
];

function people(mail) {
  const known = [...mail.to, ...mail.cc, ...mail.bcc];
  return known.length > 3 ? `${known.slice(0, 3).join(', ')} and ${known.length - 3} more` : known.join(', ');
}

export async function render(root, { id, query }) {
  const path = `connections/${seg(id)}/outbox`;
  const it = await get(`connections/${seg(id)}`);
  const list = pager('Outbox', path, COLUMNS, { query: { status: query.status }, empty: 'No message like this.' });
  const place = h('div', {}, list.root);
  await list.reload();
  add(root, h('h1', {}, it.name), tabs(it, 'outbox'), form({
    label: 'Search', className: 'search', action: 'Search', reads: true,
    fields: [
      { name: 'status', label: 'Status', type: 'select', value: query.status || '',
        options: [['', 'any'], ...STATUSES.map((each) => [each, each.replaceAll('_', ' ')])] },
      { name: 'text', label: 'Recipient, subject or id has', hint: `Looks through the newest ${MOST}.` },
      { name: 'since', label: 'Since', type: 'moment' },
      { name: 'until', label: 'Until', type: 'moment' },
    ],
    async submit({ text, ...asked }) {
      if (!text) {
        await list.reload(asked);
        fill(place, list.root);
        return;
      }
      const seen = await all(path, asked, MOST);
      const found = seen.filter((mail) => has(mail, text.toLowerCase()));
      fill(place, table('Outbox', COLUMNS, found, 'No message like this.'),
        seen.length >= MOST && note('calm', h('p', {}, `Only the newest ${seen.length} were looked through. Narrow the time.`)));
      announce(`${found.length} found`);
    },
  }), place);
}

const has = (mail, text) => [mail.id, mail.subject, ...mail.to, ...mail.cc, ...mail.bcc].some((each) => each.toLowerCase().includes(text));
