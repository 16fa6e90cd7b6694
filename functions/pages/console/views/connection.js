// One connection: how it fares and why, its test, its destination, and what can be changed.

import { del, get, patch, post, seg } from '../api.js';
import { add, fill, h } from '../dom.js';
import { go, show } from '../router.js';
import { actions, announce, badge, button, confirm, dialog, facts, fault, form, link, note, section, time } from '../widgets.js';
import { afterFields, afterOf, destinationFields, destinationOf, keepingFields, limitsOf, linesOf, sendingFields } from './connection-fields.js';
import { destination, statusWebhook } from './connection-destination.js';
import { tabs } from './connection-tabs.js';
import { folderField } from './pickers.js';

export const title = 'Connection';

export async function render(root, { id }) {
  const path = `connections/${seg(id)}`;
  const it = await get(path);
  const state = h('div');
  const timers = new Set();
  fill(state, standing(it));
  add(root,
    h('h1', {}, it.name), tabs(it, ''), state,
    actions(
      it.direction === 'incoming' && button('Fetch now', () => fetchNow(path, it, state, timers)),
      button(it.enabled ? 'Disable' : 'Enable', async () => {
        await patch(path, { enabled: !it.enabled }, it.version);
        announce(it.enabled ? 'Disabled' : 'Enabled');
        await show();
      }, 'quiet'),
      button('Change', () => change(path, it), 'quiet'),
      button('Delete', () => remove(path), 'danger')),
    section('Test', testing(path)),
    it.direction === 'incoming' ? destination(path, it) : it.status_webhook && statusWebhook(path, it.status_webhook),
    section('Settings', settings(it)),
  );
  return () => timers.forEach(clearTimeout);
}

function standing(it) {
  return [
    fault(it.fault),
    facts([
      ['Status', badge(it.status)],
      ['Mailbox', `${it.mailbox.address}${it.mailbox.name ? ` (${it.mailbox.name})` : ''}`],
      ['Folder', it.folder?.name],
      ['Last run', time(it.last_run_at)], ['Last success', time(it.last_success_at)],
      ['Next run', it.next_run_at && time(it.next_run_at)],
      ['Next attempt', it.next_attempt_at && time(it.next_attempt_at)],
      ['Fetched', it.fetched !== undefined && String(it.fetched)], ['Delivered', it.delivered !== undefined && String(it.delivered)],
      ['Found by the daily sweep', it.swept ? String(it.swept) : ''], ['Exchange cannot read', it.holes ? String(it.holes) : ''],
      ['Grant', link(`grants/${it.grant_id}`, 'see it')],
    ]),
  ];
}

/** Ask for a fetch, and look again until the run has come. */
async function fetchNow(path, it, state, timers) {
  const before = it.last_run_at;
  await post(`${path}/fetch`);
  announce('Fetching');
  for (let turns = 0; turns < 20; turns += 1) {
    await new Promise((resolve) => { timers.add(setTimeout(resolve, 1000)); });
    const now = await get(path);
    fill(state, standing(now));
    if (now.last_run_at !== before) {
      announce(`Done: ${now.fetched} mails fetched so far`);
      return;
    }
  }
}

const RIGHTS = {
  token: 'Microsoft issues a token', mailbox: 'The mailbox is found (User.Read.All)', read: 'Its folder can be read',
  mark: 'Mail can be marked or moved (Mail.ReadWrite)', draft: 'A draft can be made (Mail.ReadWrite)',
  send_as: 'It may send (Mail.Send)', unreachable: 'The other mailbox is shut',
};

function testing(path) {
  const outcome = h('div', { 'aria-live': 'polite' });
  return [h('p', {}, 'Tries each right apart. Nothing is sent, nobody’s mail is touched.'), form({
    label: 'Test', action: 'Test',
    fields: [{ name: 'unreachable_mailbox', label: 'A mailbox that must not be reachable',
      hint: 'Optional. The proof that Exchange keeps the app out of other mailboxes.' }],
    async submit(values) {
      const { checks } = await post(`${path}/test`, values);
      const bad = checks.filter((each) => each.ok === false).length;
      fill(outcome, h('ul', { class: 'plain' }, checks.map(check)));
      announce(bad ? `${bad} of ${checks.length} checks failed` : 'All checks passed');
    },
  }), outcome];
}

function check(each) {
  const word = each.ok === null ? badge('cannot tell', 'warn') : badge(each.ok ? 'ok' : 'failed');
  return h('li', {}, word, ' ', RIGHTS[each.name] || each.name,
    each.detail && h('div', { class: 'small' }, each.detail),
    each.ok === false && h('div', { class: 'small' }, 'Code ', h('code', {}, each.code),
      each.request_id && [', Microsoft’s request ', h('code', {}, each.request_id)]));
}

function settings(it) {
  if (it.direction === 'outgoing') {
    return facts([['Held for', `${it.hold_hours} hours`], ['Largest message', `${it.max_message_mb} MB`],
      ['Most messages', `${it.send_rate} per minute`], ['Recipients', it.recipient_allow_list.join(', ') || 'anybody']]);
  }
  const began = typeof it.start === 'string' ? it.start : it.start.since || 'where another connection stopped';
  const after = { none: 'left as it is', read: 'marked read', move: `moved to ${it.after_fetch.folder?.name}`, delete: 'moved to Deleted Items' };
  return facts([['Looks every', `${it.interval_minutes} min`], ['Began with', began], ['In the mailbox, mail is', after[it.after_fetch.action]],
    ['Answers of machines', it.automatic_mail === 'skip' ? 'not handed over' : 'handed over'], ['Mail is kept', `${it.retention_days} days`],
    ['Largest mail', `${it.limits.max_message_mb} MB`], ['Most in a day', `${it.limits.max_stored_mb_per_day} MB`]]);
}

function change(path, it) {
  const place = () => ({ grant: it.grant_id, mailbox: it.mailbox.id });
  const fields = it.direction === 'outgoing' ? sendingFields(undefined, it) : [
    { name: 'interval_minutes', label: 'Look every … minutes', type: 'number', value: it.interval_minutes, min: 1, max: 60 },
    ...afterFields(() => true, folderField(place, it.after_fetch.folder?.name || 'Archive'), it.after_fetch),
    ...destinationFields(undefined, it.destination), ...keepingFields(undefined, it),
  ];
  return dialog('Change the connection', (close) => [
    note('calm', h('p', {}, 'Tenant, mailbox, direction and folder cannot change: delete the connection and make it anew; it can go on '
      + 'where this one stopped.')),
    form({
      label: 'Change', action: 'Change', fields: [{ name: 'name', label: 'Name', required: true, value: it.name }, ...fields],
      extra: [h('button', { type: 'button', class: 'quiet', onclick: () => close() }, 'Cancel')],
      async submit(values) {
        await patch(path, changes(values, it), it.version);
        close();
        announce('Changed');
        await show();
      },
    })]);
}

function changes(values, it) {
  const { action, after_folder, destination_type, url, queue, events, largest, daily, recipients, status_url, ...rest } = values;
  if (it.direction === 'outgoing') {
    const told = status_url === (it.status_webhook?.url ?? '') ? {} : { status_webhook: status_url ? { url: status_url } : null };
    return { ...rest, ...told, recipient_allow_list: linesOf(recipients) };
  }
  const after = afterOf(values);
  const same = after.action === 'move' && it.after_fetch.action === 'move' && after_folder === it.after_fetch.folder?.name;
  if (same) after.folder = it.after_fetch.folder.id;
  return { ...rest, after_fetch: after, limits: limitsOf(values), destination: destinationOf(values) };
}

async function remove(path) {
  if (!await confirm('Delete this connection?', 'What it kept is erased after 30 days; until then a new connection of the same folder can go '
    + 'on where this one stopped.', 'Delete')) return;
  try {
    await del(path);
  } catch (error) {
    if (error.code !== 'work_pending') throw error;
    if (!await confirm('Work is pending', error.message, 'Delete it all the same')) return;
    await del(path, { discard: 'true' });
  }
  announce('Deleted');
  go('connections');
}
