// One received mail: what became of it, and a look at it that can do no harm.

import { del, get, mayWrite, post, seg } from '../api.js';
import { add, fill, h } from '../dom.js';
import { go, show } from '../router.js';
import { actions, announce, badge, button, confirm, facts, fault, link, note, section, table, time } from '../widgets.js';
import { bytes } from './received.js';
import { save } from './saving.js';

export const title = 'Received mail';
const RETRIED = ['quarantined', 'retrying', 'failed'];
const MOST_HEADERS = 200;
const MOST_SHOWN = 2000;

export async function render(root, { id }) {
  const path = `received/${seg(id)}`;
  if (!mayWrite()) {
    add(root, note('calm', h('p', {}, 'Opening mail takes the role Mailgrant.Admin. This is what became of it:')), attempted((await get(`${path}/attempts`)).data));
    return;
  }
  const [it, attempts] = await Promise.all([get(path), get(`${path}/attempts`)]);
  add(root,
    h('h1', {}, it.subject || '(no subject)'),
    fault(it.fault), fault(it.after_fault),
    facts([
      ['Status', badge(it.status)], ['From', it.sender], ['Came', time(it.received_at, '')], ['Stored', time(it.stored_at)],
      ['Delivered', time(it.delivered_at, 'not yet')], ['Size', bytes(it.size)], ['Message-ID', it.internet_message_id],
      ['Content', it.content.replaceAll('_', ' ')], ['Why', it.content_reason], ['Left out because', it.skipped],
      ['Id', h('code', {}, it.id)], ['SHA-256', it.sha256 && h('code', {}, it.sha256)],
      ['Connection', link(`connections/${it.connection_id}/received`, 'its mail')],
    ]),
    actions(
      RETRIED.includes(it.status) && button('Fetch it again', () => again(`${path}/retry`, 'It is fetched again')),
      it.content !== 'expired' && button('Deliver it again', () => again(`${path}/redeliver`, 'It is delivered again'), 'quiet'),
      it.raw_url && button('Save the raw message', () => save(`${path}/raw`, 'message.eml', it.size), 'quiet'),
      button('Erase', () => erase(path, it), 'danger')),
    it.raw_url && section('Message', opening(path, it)),
    it.attachments.length > 0 && section('Attachments', attached(path, it)),
    it.message && section('Header', header(it.message)),
    attempted(attempts.data));
}

const attempted = (attempts) => section('Attempts', table('Attempts', [
  ['When', (each) => time(each.at)], ['What', (each) => each.kind], ['Outcome', (each) => badge(each.outcome)],
  ['Answer', (each) => each.status || ''], ['Why', (each) => (each.code || each.detail ? [h('code', {}, each.code), ' ', each.detail] : '')],
  ['Took', (each) => `${each.milliseconds} ms`],
], attempts, 'Nothing was tried yet.'));

async function again(path, said) {
  await post(path);
  announce(said);
  await show();
}

async function erase(path, it) {
  if (!await confirm('Erase this mail?', 'Its content, sender and subject go for good; its id and what became of it stay.', 'Erase')) return;
  await del(path);
  announce('Erased');
  go(`connections/${it.connection_id}/received`);
}

/** The frame has a policy and an origin of its own: nothing in it runs, nothing is loaded, no link leads anywhere. */
function opening(path, it) {
  const place = h('div');
  return [
    h('p', {}, 'It is shown without scripts, pictures of others and links. Opening it is written to the audit log.'),
    actions(button('Open the message', async () => {
      const { url } = await post(`${path}/page`);
      fill(place, h('iframe', { class: 'mail', sandbox: true, referrerpolicy: 'no-referrer', title: 'The message', src: new URL(url).pathname }));
      announce('The message is shown');
    })),
    place,
    it.parsed !== 'ok' && note('warn', h('p', {}, `It could be read in part only: ${it.parsed_reason || it.parsed}.`)),
  ];
}

function attached(path, it) {
  return table('Attachments', [
    ['Name', (each) => each.name || '(no name)'], ['Type', (each) => each.content_type], ['Size', (each) => bytes(each.size)],
    ['Action', (each) => {
      const number = it.attachments.indexOf(each);
      return actions(button('Save', () => save(`${path}/attachments/${number}`, each.name || `attachment-${number}`, each.size), 'quiet'));
    }],
  ], it.attachments);
}

function header(message) {
  const people = (list) => list.map((each) => (each.name ? `${each.name} <${each.address}>` : each.address)).join(', ');
  const rest = message.headers.slice(0, MOST_HEADERS);
  return [
    facts([['From', people(message.from)], ['To', people(message.to)], ['Cc', people(message.cc)], ['Reply to', people(message.reply_to)],
      ['Date', message.date && time(message.date)], ['Written by a machine', message.automatic !== 'none' && message.automatic.replaceAll('_', ' ')]]),
    h('details', {}, h('summary', {}, `Other fields (${message.headers.length})`), table('Header fields', [
      ['Field', (each) => each.name.slice(0, MOST_SHOWN)], ['Value', (each) => short(each.value)],
    ], rest), message.headers.length > rest.length && h('p', {}, 'The rest stands in the raw message.')),
  ];
}

const short = (text) => (text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)} … (${bytes(text.length)} in all)` : text);
