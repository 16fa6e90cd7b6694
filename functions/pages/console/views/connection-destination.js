// Where a connection's mail goes: how the destination fares, a test event, the signing secret, mail delivered once more.

import { patch, post } from '../api.js';
import { fill, h } from '../dom.js';
import { show } from '../router.js';
import { actions, announce, badge, button, confirm, facts, fault, form, note, section, showOnce, time } from '../widgets.js';

/** The section about the destination of *it*. */
export function destination(path, it) {
  const to = it.destination;
  if (!to) return section('Destination', h('p', {}, 'Mail is handed to nobody. It is stored, to be asked for with a token (GET inbox).'), again(path, it));
  const outcome = h('div', { 'aria-live': 'polite' });
  return section('Destination', fault(to.fault),
    facts([
      ['Status', badge(to.status)], ['Kind', to.type], ['Address', to.url && h('code', {}, to.url)], ['Queue', to.name && h('code', {}, to.name)],
      ['Failing since', to.failing_since && time(to.failing_since)], ['Events', to.events.join(', ')],
      ['Secret rotated', to.signing_secret_rotated_at && time(to.signing_secret_rotated_at)],
      ['Secret before is good until', to.signing_overlap_until && time(to.signing_overlap_until)],
    ]),
    to.status === 'disabled' && note('warn', h('p', {}, 'Nothing is sent to it. Mend the receiver, then enable it: all that was not delivered goes out.')),
    actions(
      button('Send a test event', async () => {
        const done = await post(`${path}/destination/test`);
        const words = done.ok ? `It took the event${done.status ? ` (${done.status})` : ''} in ${done.milliseconds} ms.` : done.detail;
        fill(outcome, note(done.ok ? 'good' : 'bad', h('p', {}, words), facts([['Event', h('code', {}, done.event_id)], ['Code', done.code]])));
      }, 'quiet'),
      to.status === 'disabled' && button('Enable it again', async () => {
        await patch(path, { enabled: true });
        await show();
      }),
      to.type === 'webhook' && rotation(path)),
    outcome, again(path, it));
}

/** The section about the webhook *to* that is told what became of an outgoing connection's mail. */
export const statusWebhook = (path, to) => section('Status webhook',
  facts([
    ['Address', h('code', {}, to.url)], ['Secret rotated', to.signing_secret_rotated_at && time(to.signing_secret_rotated_at)],
    ['Secret before is good until', to.signing_overlap_until && time(to.signing_overlap_until)],
  ]),
  actions(rotation(path)));

const rotation = (path) => button('Rotate the signing secret', async () => {
  if (!await confirm('Rotate the signing secret?', 'For 24 hours every event bears signatures by both secrets, so that the receiver can '
    + 'change over.', 'Rotate', { danger: false })) return;
  const made = await post(`${path}/signing-secret/rotate`);
  await showOnce('The new signing secret', 'Give it to your receiver.', made.signing_secret);
  await show();
}, 'quiet');

function again(path, it) {
  const running = it.redelivery;
  const outcome = h('div', { 'aria-live': 'polite' });
  return h('details', { open: Boolean(running && !running.finished_at) }, h('summary', {}, 'Deliver mail once more'),
    running && note('calm', h('p', {}, running.finished_at ? 'The last one has ended: ' : 'One is under way: ', `${running.selected} mails put in line.`)),
    form({
      label: 'Deliver once more', action: 'Deliver',
      fields: [
        { name: 'status', label: 'All mail that is', type: 'select', value: 'failed', options: ['failed', 'retrying', 'stored', 'skipped', 'delivered'].map((each) => [each, each]) },
        { name: 'since', label: 'Stored since', type: 'moment' },
        { name: 'until', label: 'Stored until', type: 'moment' },
      ],
      async submit(values) {
        const found = await post(`${path}/redeliver`, { ...values, dry_run: true });
        if (!found.selected) {
          fill(outcome, note('calm', h('p', {}, 'There is no such mail with content left to deliver.')));
          return;
        }
        const about = found.exact ? '' : 'more than ';
        if (!await confirm('Deliver once more?', `${about}${found.selected} mails go out again, with the ids and bytes of before.`, 'Deliver', { danger: false })) return;
        await post(`${path}/redeliver`, values);
        announce('Put in line');
        await show();
      },
    }), outcome);
}
