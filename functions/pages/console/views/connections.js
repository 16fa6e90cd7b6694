// All connections: how each fares, in a sentence.

import { add, h } from '../dom.js';
import { actions, badge, link, pager, time } from '../widgets.js';

export const title = 'Connections';

export async function render(root, { query }) {
  const list = pager('Connections', 'connections', [
    ['Name', (it) => link(`connections/${it.id}`, it.name)],
    ['Mailbox', (it) => it.mailbox.address],
    ['Mail', (it) => (it.direction === 'incoming' ? `comes in from ${it.folder.name || 'a folder'}` : 'goes out')],
    ['Status', (it) => [badge(it.status), it.fault && h('div', { class: 'small' }, it.fault.detail)]],
    ['Last run', (it) => time(it.last_run_at)],
    ['Next', (it) => (it.next_attempt_at || it.next_run_at ? time(it.next_attempt_at || it.next_run_at) : '')],
  ], { query: { grant_id: query.grant }, empty: 'No mailbox is connected yet.' });
  await list.reload();
  add(root, actions(link('connections/new', 'Connect a mailbox', 'button')), list.root);
}
