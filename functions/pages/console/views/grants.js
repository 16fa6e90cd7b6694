// What each tenant has given.

import { add, h } from '../dom.js';
import { badge, link, pager, time } from '../widgets.js';

export const title = 'Grants';

export async function render(root) {
  const list = pager('Grants', 'grants', [
    ['Tenant', (it) => link(`grants/${it.id}`, it.tenant_domain || it.tenant)],
    ['Status', (it) => badge(it.status)],
    ['What it means', (it) => it.detail || 'Every right that is needed was granted.'],
    ['Missing', (it) => it.roles.missing.join(', ') || 'nothing'],
    ['Checked', (it) => time(it.checked_at)],
  ], { empty: 'No tenant has consented yet. Open a credential and press Authorize.' });
  await list.reload();
  add(root, h('p', {}, 'A grant is what one tenant has given one credential. Connections of its mailboxes stand on it.'), list.root);
}
