// First steps: from nothing to mail that comes and goes, each step with what is to be pasted, and whether it is done.

import { get } from '../api.js';
import { add, h } from '../dom.js';
import { badge, codeBlock, copyLine, link, note, table } from '../widgets.js';
import { PERMISSIONS, azRegister, powershellRegister, removeTenantWide, scopeMailboxes } from './commands.js';

export const title = 'First steps';

export async function render(root) {
  const [system, credentials, grants, connections] = await Promise.all([
    get('system'), get('credentials', { limit: 200 }), get('grants', { limit: 200 }), get('connections', { limit: 1 })]);
  const usable = grants.data.some((grant) => grant.usable);
  const clientId = credentials.data[0]?.client_id;
  add(root,
    h('p', {}, 'Five steps, about a quarter of an hour. You need somebody who may register apps in your Entra tenant, and for '
      + 'each tenant whose mailboxes are to be used a Privileged Role Administrator or Global Administrator.'),
    h('ol', { class: 'steps' },
      h('li', {}, head('Register the app in Microsoft Entra', credentials.data.length > 0), registration(system)),
      h('li', {}, head('Tell Mailgrant of the app', credentials.data.length > 0),
        h('p', {}, 'Create a credential with the client ID and the secret (or a certificate, or a managed identity, which needs '
          + 'no renewal). The secret goes to Key Vault and is never shown again.'),
        h('p', {}, link('credentials/new', 'Create a credential', 'button'))),
      h('li', {}, head('Let a tenant consent', usable), consent(credentials.data)),
      h('li', {}, head('Limit the app to chosen mailboxes (optional, recommended)', grants.data.some((grant) => grant.scoped)),
        scoping(clientId)),
      h('li', {}, head('Connect a mailbox', connections.data.length > 0),
        h('p', {}, 'Incoming: new mail of a folder goes to your software as a signed webhook or on a queue. Outgoing: your software '
          + 'posts a message with a token, and it is sent from the mailbox.'),
        h('p', {}, link('connections/new', 'Connect a mailbox', 'button')))),
  );
}

const head = (text, done) => h('h2', {}, text, ' ', done && badge('done'));

function registration(system) {
  return [
    h('p', {}, 'The registration needs this redirect URI, of the platform ', h('em', {}, 'Web'), ':'),
    copyLine(system.redirect_uri, 'Copy redirect URI'),
    h('p', {}, 'and these ', h('strong', {}, 'application permissions'), ' of Microsoft Graph (not delegated ones):'),
    table('Permissions', [
      ['Permission', ([, name]) => h('code', {}, name)],
      ['Used to', ([, , use]) => use],
      ['Id', ([id]) => h('code', {}, id)],
    ], PERMISSIONS),
    h('details', { open: true }, h('summary', {}, 'Azure CLI'), codeBlock(azRegister(system.redirect_uri))),
    h('details', {}, h('summary', {}, 'PowerShell (Microsoft.Graph)'), codeBlock(powershellRegister(system.redirect_uri))),
    h('details', {}, h('summary', {}, 'By hand in the portal'), h('ol', {},
      h('li', {}, 'Microsoft Entra admin center → App registrations → New registration. Accounts in any organizational directory '
        + '(for one tenant only: accounts in this directory). Redirect URI: Web, as above.'),
      h('li', {}, 'API permissions → Add a permission → Microsoft Graph → Application permissions: the three above. '
        + 'Grant no consent here; the consent link does that.'),
      h('li', {}, 'Certificates & secrets → New client secret. Copy the column ', h('em', {}, 'Value'), ', not the Secret ID, and note '
        + 'when it expires.'),
      h('li', {}, 'Manifest: set ', h('code', {}, 'groupMembershipClaims'), ' to ', h('code', {}, 'DirectoryRole'), ', so that a sign-in '
        + 'proves an administrator.'))),
  ];
}

function consent(credentials) {
  const where = credentials.length === 1 ? `credentials/${credentials[0].id}` : 'credentials';
  return [
    h('p', {}, 'Open the credential, press ', h('em', {}, 'Authorize'), ', and send the link to an administrator of the tenant (or open it '
      + 'yourself, if you are one). They accept on Microsoft’s page and see what was granted. Microsoft may take minutes, '
      + 'seldom hours, until the rights work everywhere; Mailgrant waits and looks again by itself.'),
    h('p', {}, credentials.length ? link(where, 'Authorize', 'button') : 'This needs a credential first.', ' ',
      link('grants', 'See the grants')),
  ];
}

function scoping(clientId) {
  return [
    h('p', {}, 'What a tenant accepts covers all its mailboxes. Exchange’s RBAC for Applications gives the app the same rights for the '
      + 'members of a group only. An Exchange administrator of the tenant pastes this into PowerShell:'),
    codeBlock(scopeMailboxes(clientId)),
    note('warn', h('p', {}, 'Rights add up: as long as the consent of Entra stands as well, every mailbox stays open. So remove it then, '
      + 'all but User.Read.All:')),
    codeBlock(removeTenantWide(clientId)),
    h('p', {}, 'Exchange takes 30 minutes to 2 hours to follow. Then verify the grant with one of the mailboxes, and have the test of a '
      + 'connection prove that another one is shut.'),
  ];
}
