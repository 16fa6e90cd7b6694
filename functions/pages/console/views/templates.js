// The templates by which payloads become mail of one connection.

import { get, seg } from '../api.js';
import { add, h } from '../dom.js';
import { go } from '../router.js';
import { form, link, pager, section, time } from '../widgets.js';
import { tabs } from './connection-tabs.js';

export const title = 'Templates';

export async function render(root, { id }) {
  const it = await get(`connections/${seg(id)}`);
  const list = pager('Templates', `connections/${seg(id)}/templates`, [
    ['Name', (each) => link(`connections/${id}/templates/${seg(each.name)}`, each.name)],
    ['Subject', (each) => h('code', {}, each.subject || '')],
    ['To', (each) => h('code', {}, each.to || '')],
    ['Changed', (each) => time(each.updated_at)],
  ], { empty: 'There is no template.' });
  await list.reload();
  add(root, h('h1', {}, it.name), tabs(it, 'templates'), list.root, section('New template', form({
    label: 'New template', action: 'Write it',
    fields: [{ name: 'name', label: 'Name', required: true, hint: 'Small letters, digits, - and _' }],
    submit: ({ name }) => go(`connections/${id}/templates/${seg(name)}`),
  })));
}
