// A new connection: whose mailbox, which way, what would be taken, where it goes.

import { all, post } from '../api.js';
import { add, fill, h } from '../dom.js';
import { go } from '../router.js';
import { announce, busy, form, link, note, showOnce } from '../widgets.js';
import { afterFields, afterOf, destinationFields, destinationOf, keepingFields, limitsOf, linesOf, sendingFields } from './connection-fields.js';
import { folderField, mailboxField } from './pickers.js';

export const title = 'Connect a mailbox';
const incoming = (now) => now.direction === 'incoming';

export async function render(root, { query }) {
  const grants = (await all('grants')).filter((it) => it.usable);
  if (!grants.length) {
    add(root, note('calm', h('p', {}, 'No tenant has consented yet, so that there is no mailbox to connect.'),
      h('p', {}, link('guide', 'First steps', 'button'))));
    return;
  }
  const outcome = h('div', { 'aria-live': 'polite' });
  const preview = h('button', { type: 'button', class: 'quiet', onclick: () => busy(preview, () => count(made, outcome)) },
    'Preview: what would be taken');
  const made = form({
    label: 'New connection', action: 'Connect', fields: fields(grants, query.grant, () => made), extra: [preview],
    submit: (values) => create(values),
  });
  made.addEventListener('change', () => {
    preview.hidden = made.values().direction !== 'incoming';
    fill(outcome);
  });
  add(root, made, outcome);
}

function fields(grants, first, current) {
  const now = () => current()?.values() ?? {};
  const mailbox = mailboxField(() => now().grant_id, (person) => {
    const name = current().querySelector('[name="name"]');
    if (!name.value) name.value = person.name || person.address;
  });
  const place = () => ({ grant: now().grant_id, mailbox: now().mailbox });
  return [
    { name: 'direction', label: 'Mail', type: 'select', value: 'incoming', options: [
      ['incoming', 'comes in: fetch new mail and hand it over'], ['outgoing', 'goes out: send what your software posts']] },
    { name: 'grant_id', label: 'Tenant', type: 'select', value: grants.some((it) => it.id === first) ? first : grants[0].id,
      options: grants.map((it) => [it.id, `${it.tenant_domain || it.tenant} (${it.status})`]) },
    { name: 'mailbox', label: 'Mailbox', type: 'custom', required: true, hint: 'Type the beginning of a name or address.', ...mailbox },
    { name: 'name', label: 'Name of the connection', required: true },
    { name: 'folder', label: 'Folder', type: 'custom', show: incoming, ...folderField(place),
      hint: '“inbox” is right in every language; or a path such as Inbox/Support.' },
    { name: 'start', label: 'Begin with', type: 'select', value: 'now', show: incoming, options: [
      ['now', 'mail that comes from now on'], ['since', 'mail since a moment'], ['all', 'all mail of the folder'],
      ['continue', 'where a deleted connection of this folder stopped']] },
    { name: 'since', label: 'Since', type: 'moment', required: true, pointer: '/start', show: (it) => incoming(it) && it.start === 'since' },
    { name: 'continue_from', label: 'The deleted connection', required: true, pointer: '/start/continue_from', hint: 'Its id, conn_…',
      show: (it) => incoming(it) && it.start === 'continue' },
    { name: 'interval_minutes', label: 'Look every … minutes', type: 'number', value: 5, min: 1, max: 60, show: incoming },
    ...afterFields(incoming, folderField(place, 'deleteditems')),
    ...destinationFields(incoming),
    ...keepingFields(incoming),
    ...sendingFields((it) => it.direction === 'outgoing'),
  ];
}

function body(values) {
  const { since, continue_from, action, after_folder, destination_type, url, queue, events, largest, daily, recipients, status_url, ...rest } = values;
  const sent = { ...rest };
  if (values.direction === 'incoming') {
    sent.start = { since: { since }, continue: { continue_from } }[values.start] || values.start;
    sent.after_fetch = afterOf(values);
    sent.limits = limitsOf(values);
    sent.destination = destinationOf(values);
  } else {
    sent.recipient_allow_list = linesOf(recipients);
    if (status_url) sent.status_webhook = { url: status_url };
  }
  return sent;
}

async function create(values) {
  const made = await post('connections', body(values));
  if (made.signing_secret) {
    await showOnce('The signing secret of its webhooks', 'Your receiver verifies with it that a webhook came from here and is whole '
      + '(Standard Webhooks).', made.signing_secret);
  }
  go(`connections/${made.id}`);
}

async function count(made, outcome) {
  fill(outcome);
  if (!made.check()) return;
  try {
    const found = await post('connections', body(made.values()), { dry_run: 'true' });
    const about = found.exact ? '' : 'about ';
    const words = found.would_take === 0 ? 'Nothing would be taken now; mail that comes later is.'
      : `At its start it would take ${about}${found.would_take} mails.`;
    fill(outcome, note('good', h('p', {}, words)));
    announce(words);
  } catch (error) {
    made.fault(error);
  }
}
