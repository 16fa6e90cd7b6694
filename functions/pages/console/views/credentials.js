// All credentials: how each proves the app, until when, and whether it works.

import { add, h } from '../dom.js';
import { actions, badge, link, pager } from '../widgets.js';

export const title = 'Credentials';

export async function render(root) {
  const list = pager('Credentials', 'credentials', [
    ['Name', (it) => link(`credentials/${it.id}`, it.name)],
    ['Proves itself by', (it) => it.auth_method],
    ['Tenants', (it) => (it.account_type === 'multitenant' ? 'any that consents' : it.tenant)],
    ['Status', (it) => [badge(it.status), it.fault && h('div', { class: 'small' }, it.fault.detail)]],
    ['Ends', (it) => ending(it)],
  ], { empty: 'There is no credential yet. It stands for the app registration in Entra.' });
  await list.reload();
  add(root, actions(link('credentials/new', 'Create a credential', 'button'), link('guide', 'First steps')), list.root);
}

/** When a credential ends, as a badge and words. */
export function ending(it) {
  if (it.auth_method === 'federated') return 'never';
  if (it.expiry === 'unknown') return [badge('unknown'), ' nobody typed it in'];
  const days = it.expires_in_days;
  return [badge(it.expiry), days < 0 ? ` ${-days} days ago` : ` in ${days} days`];
}
