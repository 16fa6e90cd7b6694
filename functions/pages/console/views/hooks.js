// Addresses that turn webhooks of others into mail.

import { all, del, get, post, seg } from '../api.js';
import { add, h } from '../dom.js';
import { show } from '../router.js';
import { actions, announce, button, confirm, copyLine, dialog, form, link, note, pager, section, time } from '../widgets.js';
import { tabs } from './connection-tabs.js';

export const title = 'Hooks';
const SIGNED = { standard_webhooks: 'Standard Webhooks', hmac_sha256: 'HMAC with SHA-256' };

export async function render(root, { id }) {
  const path = `connections/${seg(id)}/hooks`;
  const [it, templates] = await Promise.all([get(`connections/${seg(id)}`), all(`connections/${seg(id)}/templates`)]);
  const list = pager('Hooks', path, [
    ['Hook', (each) => h('code', {}, each.id)],
    ['Template', (each) => link(`connections/${id}/templates/${seg(each.template)}`, each.template)],
    ['Signed', (each) => (each.verify ? `${SIGNED[each.verify.type]}${each.verify.header ? `, ${each.verify.header}` : ''}` : 'no; its address is the secret')],
    ['Known again by', (each) => each.dedupe_key || 'its webhook-id'],
    ['Made', (each) => time(each.created_at)],
    ['Action', (each) => actions(button('Revoke', () => revoke(path, each), 'danger'))],
  ], { empty: 'There is no hook.' });
  await list.reload();
  add(root, h('h1', {}, it.name), tabs(it, 'hooks'),
    h('p', {}, 'A hook is for software that posts a webhook and can set no headers. What it posts becomes mail by a template, and nothing else.'),
    list.root,
    section('New hook', templates.length ? making(path, templates)
      : [h('p', {}, 'A hook needs a template first.'), actions(link(`connections/${id}/templates`, 'Templates', 'button'))]));
}

function making(path, templates) {
  return form({
    label: 'New hook', action: 'Make a hook',
    fields: [
      { name: 'template', label: 'Template', type: 'select', required: true, options: templates.map((each) => [each.name, each.name]) },
      { name: 'verify', label: 'How its source signs', type: 'select', value: '', pointer: '/verify/type',
        options: [['', 'not at all'], ...Object.entries(SIGNED)] },
      { name: 'header', label: 'Header with the signature', pointer: '/verify/header', required: true, hint: 'Such as X-Hub-Signature-256',
        show: (now) => now.verify === 'hmac_sha256' },
      { name: 'secret', label: 'Its secret', type: 'password', autocomplete: 'off', pointer: '/verify/secret',
        hint: 'As the source shows it; empty: one is made and shown once.', show: (now) => now.verify !== '' },
      { name: 'dedupe_key', label: 'What tells one event from another', hint: 'A template of its own, such as {{ payload.id }}; the same result sends no second mail.' },
    ],
    async submit({ verify, header, secret, ...rest }) {
      const body = { ...rest, ...(verify ? { verify: { type: verify, ...(header && { header }), ...(secret && { secret }) } } : {}) };
      await shown(await post(path, body));
      await show();
    },
  });
}

const shown = (made) => dialog('The new hook', (close) => [
  h('p', {}, 'Let its source post to this address:'), copyLine(made.url),
  made.verify_secret && [h('p', {}, 'and sign with this secret:'), copyLine(made.verify_secret)],
  note('warn', h('p', {}, 'This is shown this once and never again.')),
  actions(h('button', { type: 'button', onclick: () => close() }, 'I have kept it'))].flat().filter(Boolean));

async function revoke(path, hook) {
  if (!await confirm('Revoke this hook?', 'Whatever posts to its address is refused at once.', 'Revoke')) return;
  await del(`${path}/${seg(hook.id)}`);
  announce('Revoked');
  await show();
}
