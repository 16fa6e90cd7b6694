// A new credential: which app registration, and how it proves itself.

import { get, post } from '../api.js';
import { add, h } from '../dom.js';
import { go } from '../router.js';
import { copyLine, form, link } from '../widgets.js';
import { proofFields } from './proof-fields.js';

export const title = 'Create a credential';

export async function render(root) {
  const system = await get('system');
  add(root,
    h('p', {}, 'A credential stands for one app registration in Entra. ', link('guide', 'How to register it')),
    h('p', {}, 'The registration must have this redirect URI:'), copyLine(system.redirect_uri, 'Copy redirect URI'),
    form({
      label: 'New credential',
      action: 'Create',
      fields: [
        { name: 'name', label: 'Name', required: true, hint: 'Tenants see it on the consent page.' },
        { name: 'client_id', label: 'Client ID', required: true, hint: 'Application (client) ID of the registration.' },
        { name: 'grant_type', label: 'Consent', type: 'select', value: 'admin_consent', options: [
          ['admin_consent', 'Tenants consent by a link'],
          ['client_credentials', 'Consent was given in the portal; only verify it']] },
        { name: 'cloud', label: 'Cloud', type: 'select', value: 'global', options: system.clouds.map((it) => [it.name, `${it.name} (${it.login_host})`]) },
        { name: 'tenant', label: 'Tenant', required: true, value: 'organizations',
          hint: '“organizations” where any tenant may consent, else its ID or domain.' },
        ...proofFields(),
      ],
      async submit(values) {
        const made = await post('credentials', values);
        go(`credentials/${made.id}`);
      },
    }),
  );
}
