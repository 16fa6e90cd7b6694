// The tokens with which other software sends or reads mail of one connection.

import { del, get, post, seg } from '../api.js';
import { add, h } from '../dom.js';
import { show } from '../router.js';
import { actions, announce, button, confirm, pager, showOnce, time } from '../widgets.js';
import { tabs } from './connection-tabs.js';

export const title = 'Tokens';

export async function render(root, { id }) {
  const path = `connections/${seg(id)}/tokens`;
  const it = await get(`connections/${seg(id)}`);
  const scope = it.direction === 'outgoing' ? 'send' : 'receive';
  const list = pager('Tokens', path, [
    ['Token', (each) => h('code', {}, each.id)],
    ['It may', (each) => (each.scope === 'send' ? 'send through this mailbox' : 'read what was fetched from this mailbox')],
    ['Made', (each) => time(each.created_at)],
    ['Last used', (each) => time(each.last_used_at)],
    ['Action', (each) => actions(button('Revoke', () => revoke(path, each), 'danger'))],
  ], { empty: 'There is no token.' });
  await list.reload();
  add(root, h('h1', {}, it.name), tabs(it, 'tokens'),
    h('p', {}, scope === 'send' ? 'With a token, software posts to ' : 'With a token, software asks ', h('code', {}, scope === 'send' ? 'POST /api/messages' : 'GET /api/inbox'),
      '. Two can be valid at a time, so that one can be changed for another without a gap.'),
    actions(button('Make a token', async () => {
      const made = await post(path, { scope });
      await showOnce('The new token', 'Give it to the software as Authorization: Bearer …, or as X-Mailgrant-Token.', made.token);
      await show();
    })), list.root);
}

async function revoke(path, token) {
  if (!await confirm('Revoke this token?', 'Whatever uses it is refused at once.', 'Revoke')) return;
  await del(`${path}/${seg(token.id)}`);
  announce('Revoked');
  await show();
}
