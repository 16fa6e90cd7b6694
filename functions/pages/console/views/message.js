// One message of the outbox: what became of it, step by step; cancelling it, and sending it again.

import { get, post, request, seg } from '../api.js';
import { add, h } from '../dom.js';
import { go, show } from '../router.js';
import { actions, announce, badge, button, confirm, dialog, facts, fault, form, link, note, section, table, time } from '../widgets.js';
import { bytes } from './received.js';

export const title = 'Message';
const OPEN = ['queued', 'sending'];

export async function render(root, { id }) {
  const path = `outbox/${seg(id)}`;
  const it = await get(path);
  add(root,
    h('h1', {}, it.subject || '(no subject)'),
    fault(it.fault),
    it.status === 'outcome_unknown' && note('warn', h('p', {}, 'Nobody can tell whether it was sent. Ask a recipient before it is sent again.')),
    facts([
      ['Status', badge(it.status)], ['To', it.to.join(', ')], ['Cc', it.cc.join(', ')], ['Bcc', it.bcc.join(', ')],
      ['Recipients', String(it.recipients)], ['Size', bytes(it.size)], ['Came', time(it.created_at)],
      ['To be sent', it.send_at && time(it.send_at)], ['Done', time(it.finished_at, 'not yet')], ['Seen in Sent Items', it.sent_at && time(it.sent_at)],
      ['Attempts', String(it.attempts)], ['Message-ID', it.internet_message_id], ['Id', h('code', {}, it.id)],
      ['Draft', it.draft_id && h('code', {}, it.draft_id)], ['Hook', it.hook_id && h('code', {}, it.hook_id)],
      ['Sent again after', it.resend_of && link(`outbox/${it.resend_of}`, 'this one')],
      ['Connection', link(`connections/${it.connection_id}/outbox`, 'its outbox')],
    ]),
    actions(
      it.status === 'queued' && button('Cancel it', async () => {
        if (!await confirm('Cancel this message?', 'It will not be sent.', 'Cancel the message')) return;
        await post(`${path}/cancel`);
        announce('Cancelled');
        await show();
      }, 'danger'),
      !OPEN.includes(it.status) && button('Send it again', () => resend(path, it))),
    it.bounces.length > 0 && section('Whom it did not reach', table('Bounces', [
      ['Recipient', (each) => each.address], ['Code', (each) => each.status], ['Why', (each) => each.reason], ['When', (each) => time(each.at)],
    ], it.bounces)),
    section('Steps', table('Steps', [
      ['When', (each) => time(each.at)], ['Step', (each) => each.name.replaceAll('_', ' ')], ['Why', (each) => each.why],
    ], it.moves, 'Nothing was done yet.')));
}

function resend(path, it) {
  const key = crypto.randomUUID();  // a second press of the button, or a lost answer, sends no second copy
  return dialog('Send it again?', (close) => [
    h('p', {}, `A new message with the same content goes to ${it.recipients === 1 ? 'its recipient' : `its ${it.recipients} recipients`}.`),
    form({
      label: 'Send it again', action: 'Send',
      fields: [{ name: 'accept_duplicate', label: 'They may get it twice', type: 'checkbox',
        hint: 'Needed where it was sent, or where nobody can tell.' }],
      extra: [h('button', { type: 'button', class: 'quiet', onclick: () => close() }, 'Leave it')],
      async submit(values) {
        const answer = await request('POST', `${path}/resend`, { body: values, headers: { 'Idempotency-Key': key } });
        const made = await answer.json();
        close();
        announce('It is in line');
        go(`outbox/${made.id}`);
      },
    })]);
}
