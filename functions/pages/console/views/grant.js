// One grant: whose it is, which rights came, and what is to be done about it.

import { all, del, get, post, seg } from '../api.js';
import { add, fill, h } from '../dom.js';
import { go, show } from '../router.js';
import { actions, announce, badge, button, codeBlock, confirm, facts, fault, form, link, note, section, table, time } from '../widgets.js';
import { removeTenantWide, scopeMailboxes } from './commands.js';

export const title = 'Grant';
const GONE = ['revoked', 'denied'];

export async function render(root, { id }) {
  const path = `grants/${seg(id)}`;
  const it = await get(path);
  const [credential, connections] = await Promise.all([
    get(`credentials/${seg(it.credential_id)}`), all('connections', { grant_id: id })]);
  add(root,
    h('h1', {}, it.tenant_domain || it.tenant),
    note(it.usable && !it.fault ? 'good' : GONE.includes(it.status) ? 'bad' : 'warn',
      h('p', {}, badge(it.status), ' ', it.detail || 'Every right that is needed was granted.')),
    it.fault?.detail === it.detail ? null : fault(it.fault) || '',
    confirming(path, it),
    facts([
      ['Tenant', h('code', {}, it.tenant)], ['Domain', it.tenant_domain],
      ['Credential', link(`credentials/${credential.id}`, credential.name)],
      ['Signed in', it.signed_in_as && [it.signed_in_as, ' ', time(it.signed_in_at)]],
      ['Consented', time(it.consented_at)], ['Checked', time(it.checked_at)],
      ['Next check', it.next_check_at && time(it.next_check_at)],
      ['Limited by Exchange', it.scoped && 'yes, to chosen mailboxes'],
    ]),
    section('Rights', roles(it)),
    verifying(path),
    section('Connections', table('Connections', [
      ['Name', (each) => link(`connections/${each.id}`, each.name)], ['Mailbox', (each) => each.mailbox.address],
      ['Status', (each) => badge(each.status)],
    ], connections, 'No mailbox of this tenant is connected.'),
    it.usable && actions(link(`connections/new?grant=${seg(id)}`, 'Connect a mailbox', 'button'))),
    section('Limit it to chosen mailboxes', h('details', {}, h('summary', {}, 'Lines for an Exchange administrator of the tenant'),
      codeBlock(scopeMailboxes(credential.client_id)), h('p', {}, 'Then take the rights for all mailboxes away:'),
      codeBlock(removeTenantWide(credential.client_id)))),
    ending(path, it),
  );
}

function roles(it) {
  const line = (role, state) => h('li', {}, badge(state), ' ', h('code', {}, role));
  return h('ul', { class: 'plain' }, it.roles.granted.map((role) => line(role, 'granted')),
    it.roles.missing.map((role) => line(role, 'missing')), it.roles.excess.map((role) => line(role, 'excess')));
}

function confirming(path, it) {
  if (it.status !== 'unconfirmed') return null;
  return section('Do you know this tenant?',
    h('p', {}, 'Consent works, but nobody proved to be an administrator of this tenant. Compare the tenant and who signed in with whom you '
      + 'sent the link to, then confirm.'),
    actions(button('Confirm this tenant', async () => {
      await post(`${path}/confirm`);
      announce('Confirmed');
      await show();
    })));
}

function verifying(path) {
  return section('Verify', form({
    label: 'Verify',
    action: 'Verify now',
    fields: [{ name: 'mailbox', label: 'A mailbox to read', hint: 'Only needed where Exchange limits the app: one of the chosen mailboxes.' }],
    async submit(values) {
      await post(`${path}/verify`, values);
      announce('Verified');
      await show();
    },
  }));
}

function ending(path, it) {
  const outcome = h('div', { 'aria-live': 'polite' });
  const report = (purged) => fill(outcome, note('calm', h('p', {}, `Erasing: ${purged.status}`),
    facts(Object.entries(purged.erased))));
  return section('End it', h('p', {}, 'A tenant takes its consent back in its own Entra admin center: Enterprise applications, the app, Delete. '
    + 'Mailgrant notices by itself, or at once with Verify.'), actions(
    button('Delete the record', async () => {
      if (!await confirm('Delete this grant?', 'It is refused while connections use it.', 'Delete')) return;
      await del(path);
      announce('Deleted');
      go('grants');
    }, 'quiet'),
    GONE.includes(it.status) && button('Erase all that is kept of this tenant', async () => {
      const sure = await confirm('Erase everything of this tenant?',
        'All its connections, mails, records and logs are erased here. Nothing brings them back.', 'Erase');
      if (sure) report(await del(path, { purge: 'true' }));
    }, 'danger'),
    GONE.includes(it.status) && button('How far erasing is', async () => report(await get(`${path}/purge`)), 'quiet')), outcome);
}
