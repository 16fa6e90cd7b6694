// One template with a preview that follows what is typed.

import { del, get, mayWrite, post, request, seg } from '../api.js';
import { add, fill, h } from '../dom.js';
import { go, show } from '../router.js';
import { actions, announce, button, codeBlock, confirm, facts, form, link, note, problemBox, section, time } from '../widgets.js';

export const title = 'Template';
const PAUSE = 400;
const SAMPLE = '{\n  "name": "Ann",\n  "id": 42\n}';
const PARTS = [
  ['to', 'To', 1], ['cc', 'Cc', 1], ['bcc', 'Bcc', 1], ['reply_to', 'Reply to', 1], ['subject', 'Subject', 1], ['text', 'Text', 8], ['html', 'Html', 8],
];

export async function render(root, { id, name }) {
  const path = `connections/${seg(id)}/templates/${seg(name)}`;
  const it = await stored(path);
  const outcome = h('div', { 'aria-live': 'polite' });
  const edited = form({
    label: 'Template', action: it ? 'Change' : 'Create', shown: true,
    fields: [
      ...PARTS.map(([part, label, rows]) => ({ name: part, label, type: rows > 1 ? 'textarea' : 'text', rows, value: it?.[part], keepEmpty: true,
        hint: part === 'to' ? 'Addresses separated by commas, or {{ payload.… }} where the connection limits its recipients.' : null })),
      { name: 'payload', label: 'A payload to try', type: 'textarea', rows: 6, value: it ? sample(it) : SAMPLE, hint: 'JSON. It is not stored.' },
    ],
    extra: [link(`connections/${id}/templates`, 'All templates')],
    async submit({ payload, ...parts }) {
      await request('PUT', path, { body: parts, headers: it ? { 'If-Match': `"${it.version}"` } : {} });
      announce('Stored');
      await show();
    },
  });
  const preview = following(edited, path, outcome);
  edited.addEventListener('input', preview.soon);
  if (mayWrite()) await preview.now();
  add(root, h('h1', {}, name), it && facts([['Version', String(it.version)], ['Changed', time(it.updated_at)]]),
    h('p', {}, 'Parts are Jinja templates; what was posted is ', h('code', {}, 'payload'), '.'),
    edited, mayWrite() && section('Preview', outcome), it && actions(button('Delete', async () => {
      if (!await confirm('Delete this template?', 'Hooks that use it must be revoked first.', 'Delete')) return;
      await del(path);
      announce('Deleted');
      go(`connections/${id}/templates`);
    }, 'danger')));
  return preview.stop;
}

/** A payload with every name that the template's parts ask for. */
function sample(parts) {
  const made = Object.create(null);
  const asked = PARTS.map(([part]) => parts[part] || '').join('\n').matchAll(/\bpayload((?:\.[A-Za-z_]\w*)+)/g);
  for (const [, path] of asked) {
    const names = path.slice(1).split('.');
    const last = names.pop();
    let place = made;
    for (const name of names) {
      if (typeof place[name] !== 'object') place[name] = Object.create(null);
      place = place[name];
    }
    place[last] ??= /mail|address/i.test(last) ? 'ann@example.com' : last;
  }
  return JSON.stringify(made, null, 2);
}

async function stored(path) {
  try {
    return await get(path);
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/** Ask for the preview a moment after the last key, and show only the answer to what was asked last. */
function following(edited, path, outcome) {
  let timer = 0;
  let turn = 0;
  async function now() {
    const mine = ++turn;
    const { payload, ...template } = edited.values();
    let shown;
    try {
      shown = mail(await post(`${path}/preview`, { template, payload: JSON.parse(payload || 'null') }));
    } catch (error) {
      shown = error instanceof SyntaxError ? note('warn', h('p', {}, 'The payload is no JSON yet.')) : problemBox(error);
    }
    if (mine === turn) fill(outcome, shown);
  }
  return {
    now,
    soon() {
      clearTimeout(timer);
      timer = setTimeout(now, PAUSE);
    },
    stop() {
      clearTimeout(timer);
      turn += 1;
    },
  };
}

const mail = (made) => [
  facts([['To', (made.to || []).join(', ')], ['Cc', (made.cc || []).join(', ')], ['Bcc', (made.bcc || []).join(', ')],
    ['Reply to', (made.reply_to || []).join(', ')], ['Subject', made.subject]]),
  made.text && [h('h3', {}, 'Text'), codeBlock(made.text)],
  made.html && [h('h3', {}, 'Html'), codeBlock(made.html)],
];
