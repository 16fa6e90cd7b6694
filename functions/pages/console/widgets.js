// What views are made of: badges, times, facts, tables, lists by cursor, dialogs, copying, and what went wrong.

import { get, mayWrite } from './api.js';
import { fill, h, uid } from './dom.js';

export { form } from './forms.js';

/** Have screen readers say *text* when they are done with what they are saying. */
export function announce(text) {
  const live = document.getElementById('live');
  live.textContent = '';
  setTimeout(() => { live.textContent = text; }, 50);
}

const MOODS = {
  good: ['active', 'ready', 'delivered', 'accepted', 'sent', 'ok', 'done', 'valid', 'used', 'granted', 'proven'],
  warn: ['waiting', 'backing_off', 'propagating', 'pending', 'unconfirmed', 'unverifiable', 'partial', 'retrying', 'paused',
    'soon', 'sending', 'queued', 'expiring', 'unknown', 'outcome_unknown', 'excess'],
  bad: ['stopped', 'denied', 'revoked', 'failed', 'quarantined', 'bounced', 'expired', 'broken', 'missing', 'unhealthy',
    'refused'],
};

/** A status as a word in a coloured frame; the word alone says it, the colour only helps. */
export function badge(status, mood = '') {
  const known = mood || Object.keys(MOODS).find((name) => MOODS[name].includes(status)) || 'calm';
  return h('span', { class: `badge ${known}` }, String(status).replaceAll('_', ' '));
}

const STEPS = [[60, 'second', 1], [3600, 'minute', 60], [86400, 'hour', 3600], [86400 * 30, 'day', 86400]];
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
const absolute = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

/** A moment as people say it, with the exact one beside it on hover; *none* where there is none. */
export function time(text, none = 'never') {
  if (!text) return none;
  const moment = new Date(text);
  const seconds = Math.round((moment - Date.now()) / 1000);
  const step = STEPS.find(([limit]) => Math.abs(seconds) < limit);
  const words = step ? relative.format(Math.round(seconds / step[2]), step[1]) : absolute.format(moment);
  return h('time', { datetime: text, title: `${absolute.format(moment)} (${text})` }, words);
}

/** Pairs of a label and what it is; pairs without a value are left out. */
export function facts(pairs) {
  const given = pairs.filter(([, value]) => value !== null && value !== undefined && value !== '' && value !== false);
  return h('dl', { class: 'facts' }, given.map(([label, value]) => h('div', {}, h('dt', {}, label), h('dd', {}, value))));
}

/** A part of a page with a heading. */
export const section = (heading, ...children) => h('section', {}, h('h2', {}, heading), ...children);

/** The buttons and links of a page, in a row. */
export const actions = (...children) => h('div', { class: 'actions' }, ...children);

/** A sentence that stands out: *mood* is good, warn, bad or calm. */
export const note = (mood, ...children) => h('div', { class: `note ${mood}` }, ...children);

/** A link within the console; one to what makes something new is not there for viewers. */
export const link = (path, text, className = null) =>
  (mayWrite() || !/\/new(\?|$)/.test(path)) && h('a', { href: `#/${path}`, class: className }, text);

/** A fault of a record as answers show it, as a sentence with what support asks for; null for none. */
export function fault(given) {
  if (!given) return null;
  const ids = given.microsoft || {};
  return note(given.retryable ? 'warn' : 'bad', h('p', {}, given.detail), support([
    ['Code', given.code], ["Microsoft's code", ids.code], ['Request', ids.request_id], ['Trace', ids.trace_id],
    ['Correlation', ids.correlation_id], ['Since', given.at && time(given.at)],
  ]));
}

/** What went wrong with a request. */
export function problemBox(error) {
  const ids = error.microsoft || {};
  const named = (error.errors || []).map((item) => h('li', {}, item.pointer && [h('code', {}, item.pointer), ' '], item.message));
  return h('div', { class: 'note bad', role: 'alert' }, h('p', {}, error.message),
    named.length > 0 && h('ul', {}, named),
    support([['Code', error.code], ['Request', error.requestId], ["Microsoft's code", ids.code],
      ["Microsoft's request", ids.request_id], ['Trace', ids.trace_id]]));
}

function support(pairs) {
  const given = pairs.filter(([, value]) => value);
  if (!given.length) return null;
  return h('details', {}, h('summary', {}, 'For support'),
    facts(given.map(([label, value]) => [label, typeof value === 'string' ? h('code', {}, value) : value])));
}

/**
 * A table: *columns* are `[heading, row => cell]`; narrow screens show each row as a card. *caption* names it for screen
 * readers, *empty* is said where there are no rows.
 */
export function table(caption, columns, rows, empty = 'There is nothing here yet.') {
  if (!rows.length) return h('p', { class: 'calm' }, empty);
  const body = h('tbody', { role: 'rowgroup' });
  body.append(...rows.map((row) => tableRow(columns, row)));
  // The roles say what `display: block` on narrow screens takes away.
  const heads = columns.map(([heading]) => h('th', { scope: 'col', role: 'columnheader' }, heading));
  return h('div', { class: 'scroll' }, h('table', { role: 'table' }, h('caption', { class: 'unseen' }, caption),
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, heads)), body));
}

function tableRow(columns, row) {
  return h('tr', { role: 'row' }, columns.map(([heading, cell], index) =>
    (index ? h('td', { 'data-label': heading, role: 'cell' }, cell(row))
      : h('th', { scope: 'row', role: 'rowheader' }, cell(row)))));
}

/** A list of the API as a table that grows by `next_cursor`; returns its element and `reload(query)`. */
export function pager(caption, path, columns, { query = {}, empty } = {}) {
  const root = h('div');
  async function reload(asked = query) {
    const found = await get(path, { limit: 50, ...asked });
    // A page may be empty though others follow: what is searched for stands further back.
    let shown = table(caption, columns, found.data, found.next_cursor ? 'Nothing among the newest; there is more to look through.' : empty);
    const more = h('button', { type: 'button', onclick: () => busy(more, next) }, 'Show more');
    let cursor = found.next_cursor;
    async function next() {
      const page = await get(path, { limit: 50, ...asked, cursor });
      const body = shown.querySelector('tbody');
      if (body) body.append(...page.data.map((row) => tableRow(columns, row)));
      else {
        const fresh = table(caption, columns, page.data, page.next_cursor ? shown.textContent : empty);
        shown.replaceWith(fresh);
        shown = fresh;
      }
      cursor = page.next_cursor;
      more.hidden = !cursor;
      announce(`${page.data.length} more`);
    }
    more.hidden = !cursor;
    fill(root, shown, actions(more));
  }
  return { root, reload };
}

/** Run *work* with *button* out of use meanwhile; what goes wrong is shown behind the button's row. */
export async function busy(button, work) {
  const row = button.closest('.actions') || button;
  if (row.nextElementSibling?.classList.contains('outcome')) row.nextElementSibling.remove();
  button.disabled = true;
  button.setAttribute('aria-busy', 'true');
  try {
    return await work();
  } catch (error) {
    row.after(h('div', { class: 'outcome' }, problemBox(error)));
    return undefined;
  } finally {
    button.disabled = false;
    button.removeAttribute('aria-busy');
  }
}

/** A button that runs *work*; see `busy`. It does more than read, so that viewers get none. */
export function button(label, work, className = null) {
  if (!mayWrite()) return null;
  const made = h('button', { type: 'button', class: className, onclick: () => busy(made, work) }, label);
  return made;
}

/** Copy *text* when pressed, and say so. */
export function copyButton(text, label = 'Copy') {
  const made = h('button', { type: 'button', class: 'quiet copy', onclick: async () => {
    try {
      await navigator.clipboard.writeText(text);
      made.textContent = 'Copied';
    } catch {
      made.textContent = 'Select it and copy it by hand';
    }
    announce(made.textContent);
    setTimeout(() => { made.textContent = label; }, 2000);
  } }, label);
  return made;
}

/** A line to be copied. */
export const copyLine = (text, label = 'Copy') =>
  h('div', { class: 'copyline' }, h('code', { tabindex: '0' }, text), copyButton(text, label));

/** Lines to be pasted elsewhere. */
export const codeBlock = (text) =>
  h('div', { class: 'codeblock' }, h('pre', { tabindex: '0' }, h('code', {}, text)), copyButton(text));

/** Show a dialog until it is closed; *build(close)* returns its content. Resolves to what `close` was given. */
export function dialog(heading, build) {
  return new Promise((resolve) => {
    const id = uid('heading');
    let outcome;
    const box = h('dialog', { 'aria-labelledby': id, onclose: () => {
      box.remove();
      resolve(outcome);
    } });
    const close = (value) => {
      outcome = value;
      box.close();
    };
    box.append(h('h2', { id }, heading), ...[build(close)].flat());
    document.body.append(box);
    box.showModal();
  });
}

/** Ask before something is done that cannot be undone at once; resolves to whether it was wanted. */
export async function confirm(heading, sentence, label, { danger = true } = {}) {
  return (await dialog(heading, (close) => [h('p', {}, sentence), actions(
    h('button', { type: 'button', class: danger ? 'danger' : null, onclick: () => close(true) }, label),
    h('button', { type: 'button', class: 'quiet', onclick: () => close(false) }, 'Cancel'))])) === true;
}

/** Show a secret that is never shown again. */
export const showOnce = (heading, sentence, secret) => dialog(heading, (close) => [
  h('p', {}, sentence), copyLine(secret), note('warn', h('p', {}, 'It is shown this once and never again.')),
  actions(h('button', { type: 'button', onclick: () => close() }, 'I have kept it'))]);
