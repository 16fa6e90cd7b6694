// One credential: whether it works, until when; consent links, verification, rotation.

import { del, get, patch, post, seg } from '../api.js';
import { add, fill, h } from '../dom.js';
import { go, show } from '../router.js';
import { actions, announce, badge, button, confirm, copyLine, dialog, facts, fault, form, link, note, section, table, time } from '../widgets.js';
import { ending } from './credentials.js';
import { proofFields } from './proof-fields.js';

export const title = 'Credential';

export async function render(root, { id }) {
  const path = `credentials/${seg(id)}`;
  const it = await get(path);
  const byLink = it.grant_type === 'admin_consent';
  add(root,
    h('h1', {}, it.name), fault(it.fault),
    it.unproven_secret && note('warn', h('p', {}, 'A new secret or certificate is stored, and no tenant could prove it yet. The old one works '
      + 'meanwhile; verify a grant to try it.')),
    facts([
      ['Status', badge(it.status)], ['Proves itself by', it.auth_method], ['Ends', ending(it)],
      ['Client ID', h('code', {}, it.client_id)], ['Cloud', it.cloud],
      ['Tenants', it.account_type === 'multitenant' ? 'any that consents' : it.tenant],
      ['Consent', byLink ? 'by link' : 'given in the portal'],
      ['Managed identity', it.managed_identity_client_id && h('code', {}, it.managed_identity_client_id)],
      ['Created', time(it.created_at)],
    ]),
  );
  if (byLink) add(root, await authorizing(path, it));
  add(root, verifying(path, it), rotating(path, it), changing(path, it));
}

async function authorizing(path, it) {
  const list = h('div');
  const fresh = h('div');
  const reload = async () => {
    const links = await get(`${path}/consent-links`, { limit: 50 });
    fill(list, table('Consent links', [
      ['For', (each) => each.label || each.expected_tenant || 'any tenant'],
      ['Status', (each) => badge(each.status)],
      ['Ends', (each) => time(each.expires_at)],
      ['Grant', (each) => (each.grant_id ? link(`grants/${each.grant_id}`, 'see it') : '')],
      ['Action', (each) => (each.status === 'open' ? button('Withdraw', async () => {
        await del(`${path}/consent-links/${seg(each.id)}`);
        announce('Withdrawn');
        await reload();
      }, 'quiet') : '')],
    ], links.data, 'No link was made yet.'));
  };
  await reload();
  const made = form({
    label: 'New consent link',
    action: 'Authorize',
    fields: [
      { name: 'label', label: 'For whom', hint: 'Only you see it.' },
      { name: 'expected_tenant', label: 'Only this tenant may answer', hint: 'ID or domain; then its consent needs no confirmation.' },
      { name: 'expires_in_hours', label: 'Valid for hours', type: 'number', value: 168, min: 1, max: 720 },
    ],
    async submit(values) {
      const link_ = await post(`${path}/consent-links`, values);
      fill(fresh, note('good', h('p', {}, 'Send this link to an administrator of the tenant. It is shown this once.'),
        copyLine(link_.url, 'Copy link'), h('p', {}, h('a', { href: link_.url, target: '_blank', rel: 'noopener' }, 'Open it here'))));
      announce('The link is made');
      await reload();
    },
  });
  return section('Authorize', h('p', {}, it.account_type === 'multitenant'
    ? 'A consent link takes an administrator of a tenant to Microsoft’s page and back.'
    : `A consent link takes an administrator of ${it.tenant} to Microsoft’s page and back.`), made, fresh, h('h3', {}, 'Links'), list);
}

function verifying(path, it) {
  const outcome = h('div', { 'aria-live': 'polite' });
  return section('Verify', h('p', {}, 'Fetches a token in a tenant and compares the rights in it with those that are needed.'), form({
    label: 'Verify',
    action: 'Verify',
    fields: [
      { name: 'tenant', label: 'Tenant', required: it.account_type === 'multitenant',
        hint: it.account_type === 'multitenant' ? 'ID or domain.' : 'Left empty: its own.' },
      { name: 'mailbox', label: 'A mailbox to read', hint: 'Where Exchange limits the app: one of the chosen mailboxes.' },
    ],
    async submit(values) {
      const grant = await post(`${path}/verify`, values);
      fill(outcome, note(grant.usable ? 'good' : 'warn', h('p', {}, badge(grant.status), ' ', grant.detail || 'Every right that is needed is there. ',
        ' ', link(`grants/${grant.id}`, 'See the grant'))));
    },
  }), outcome);
}

function rotating(path, it) {
  const outcome = h('div', { 'aria-live': 'polite' });
  return section('Rotate', h('details', {}, h('summary', {}, 'Replace the secret, the certificate or the identity'),
    h('p', {}, 'What is new is put to use once it has fetched a token; until then the old one works.'),
    form({
      label: 'Rotate',
      action: 'Rotate',
      fields: proofFields(it.auth_method),
      async submit(values) {
        const done = await post(`${path}/secret`, values);
        fill(outcome, note(done.proven ? 'good' : 'warn', h('p', {}, done.detail || 'The new one works and is in use.')));
      },
    }), outcome));
}

function changing(path, it) {
  return section('Change or delete', actions(
    button('Rename', () => dialog('Rename', (close) => form({
      label: 'Rename', action: 'Rename', fields: [{ name: 'name', label: 'Name', required: true, value: it.name }],
      async submit(values) {
        await patch(path, values, it.version);
        close();
        await show();
      },
    })), 'quiet'),
    button('Delete', async () => {
      if (!await confirm('Delete this credential?', 'Its grants go with it. It is refused while connections use it.', 'Delete')) return;
      await del(path);
      announce('Deleted');
      go('credentials');
    }, 'danger')));
}
