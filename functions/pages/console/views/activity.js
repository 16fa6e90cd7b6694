// The last day by the hour: mail, runs that failed, and how long mail took; of one connection or of all of them.

import { all, get, seg } from '../api.js';
import { add, h } from '../dom.js';
import { note } from '../widgets.js';
import { chart } from './charts.js';
import { tabs } from './connection-tabs.js';

export const title = 'Activity';
const HOUR = 3_600_000;
const HOURS = 24;
const MOST_CONNECTIONS = 40;
const MOST_LINES = 2000;
const MOST_MAILS = 400;
const TAKEN = ['accepted', 'sent', 'bounced'];
const AT_ONCE = 6;

export async function render(root, { id }) {
  const known = id ? [await get(`connections/${seg(id)}`)] : await all('connections');
  const shown = known.slice(0, MOST_CONNECTIONS);
  const first = Math.floor(Date.now() / HOUR) * HOUR - (HOURS - 1) * HOUR;
  const told = await inTurn(shown, (it) => dayOf(it, new Date(first).toISOString()));
  const cut = told.filter((each) => each.cut).length;
  const runs = told.flatMap((each) => each.runs);
  const waits = told.flatMap((each) => each.waits);
  const by = (items, at, ...counts) => Array.from({ length: HOURS }, (_, index) => {
    const mine = items.filter((each) => Math.floor((new Date(at(each)) - first) / HOUR) === index);
    return { at: new Date(first + index * HOUR), values: counts.map((count) => count(mine)) };
  });
  const total = (member) => (lines) => lines.reduce((sum, line) => sum + (line[member] || 0), 0);
  add(root, id && h('h1', {}, known[0].name), id && tabs(known[0], 'activity'),
    h('p', {}, 'The last day, by the hour of this browser’s clock.'),
    known.length > shown.length && note('calm', h('p', {}, `Only the newest ${shown.length} of ${known.length} connections are counted here; each has an activity page of its own.`)),
    cut > 0 && note('calm', h('p', {}, `Of ${cut === 1 && id ? 'this connection' : `${cut} of the connections`} only the newest ${MOST_LINES} runs and the newest ${MOST_MAILS} mails are counted, so that the earlier hours show too little.`)),
    chart('Mail', by(runs, (run) => run.at, total('taken'), total('accepted')), [['fetched', 'first'], ['sent', 'second']]),
    chart('Runs that failed', by(runs, (run) => run.at, (lines) => lines.filter((line) => line.outcome === 'failed').length), [['failed', 'bad']]),
    chart('How long mail took', by(waits, (wait) => wait.at, (mine) => median(mine.map((each) => each.seconds))), [['half took less than', 'first']], span),
    h('p', { class: 'small' }, 'Incoming: from its arrival in the mailbox until it was handed over. Outgoing: ',
      'from when it was to be sent until Exchange had it. Mail that is still on its way is not in it.'));
}

/** Work on *items*, a few at once, and return what came, in their order. */
async function inTurn(items, work) {
  const came = [];
  for (let at = 0; at < items.length; at += AT_ONCE) came.push(...await Promise.all(items.slice(at, at + AT_ONCE).map(work)));
  return came;
}

async function dayOf(it, since) {
  const path = `connections/${seg(it.id)}`;
  const incoming = it.direction === 'incoming';
  const [runs, mails] = await Promise.all([all(`${path}/log`, { since }, MOST_LINES), all(`${path}/${incoming ? 'received' : 'outbox'}`, { since }, MOST_MAILS)]);
  const waits = mails.map((mail) => (incoming
    ? wait(mail.received_at, mail.delivered_at)
    : wait(mail.send_at || mail.created_at, took(mail))));
  // Old mail that a new connection took waited for the connection, not for us.
  return { runs, cut: runs.length >= MOST_LINES || mails.length >= MOST_MAILS, waits: waits.filter((each) => each && each.began >= since) };
}

const took = (mail) => (TAKEN.includes(mail.status) ? mail.finished_at : null);
const wait = (began, ended) => began && ended && { began, at: ended, seconds: Math.max(0, (new Date(ended) - new Date(began)) / 1000) };

function median(numbers) {
  const sorted = numbers.toSorted((one, other) => one - other);
  return sorted.length ? sorted[Math.floor(sorted.length / 2)] : 0;
}

function span(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}
