// The fields that creating and changing a connection share, and how they become what the API takes.

const yes = () => true;

/** What becomes of a message in the mailbox; *folder* is a picker. */
export const afterFields = (show, folder, now = {}) => [
  { name: 'action', label: 'After a mail is stored, in the mailbox', type: 'select', value: now.action || 'none', pointer: '/after_fetch/action', show,
    options: [['none', 'leave it as it is'], ['read', 'mark it read'], ['move', 'move it to a folder'], ['delete', 'move it to Deleted Items']] },
  { name: 'after_folder', label: 'Folder to move it to', type: 'custom', pointer: '/after_fetch/folder', ...folder,
    show: (it) => show(it) && it.action === 'move' },
];

/** What goes out as `after_fetch`. */
export const afterOf = ({ action, after_folder: folder }) => (action === 'move' ? { action, folder } : { action: action || 'none' });

/** Where fetched mail goes. */
export const destinationFields = (show = yes, now = {}) => [
  { name: 'destination_type', label: 'Hand it to', type: 'select', value: now.type || 'webhook', pointer: '/destination/type', show, options: [
    ['webhook', 'a webhook (https, signed)'], ['queue', 'a queue of the storage account']] },
  { name: 'url', label: 'Address of the webhook', type: 'url', required: true, value: now.url, pointer: '/destination/url',
    hint: 'https, on the public internet; others only where DELIVERY_ALLOW names them.',
    show: (it) => show(it) && it.destination_type === 'webhook' },
  { name: 'queue', label: 'Name of the queue', required: true, value: now.name, pointer: '/destination/name', hint: 'It begins with out-',
    show: (it) => show(it) && it.destination_type === 'queue' },
  { name: 'events', label: 'Events that it gets', type: 'textarea', pointer: '/destination/events', value: (now.events || []).join('\n'),
    hint: 'One type in a line, message.received among them; empty: message.received and message.quarantined.', show },
];

const USUAL = ['message.received', 'message.quarantined'];

/** What goes out as `destination`. */
export function destinationOf({ destination_type: type, url, queue, events }) {
  const wanted = linesOf(events);
  return { type, ...(type === 'queue' ? { name: queue } : { url }), events: wanted.length ? wanted : USUAL };
}

/** How long mail is kept, and what is not handed over. */
export const keepingFields = (show = yes, now = {}) => [
  { name: 'automatic_mail', label: 'Answers of machines, bounces', type: 'select', value: now.automatic_mail || 'deliver', show, options: [
    ['deliver', 'hand them over like any mail'], ['skip', 'store them, but do not hand them over']] },
  { name: 'retention_days', label: 'Keep mail for … days', type: 'number', value: now.retention_days || 30, min: 1, show },
  { name: 'largest', label: 'Largest mail to store, in MB', type: 'number', value: now.limits?.max_message_mb ?? 250, min: 1, show,
    pointer: '/limits/max_message_mb', hint: 'Larger mail is announced, and stays in the mailbox.' },
  { name: 'daily', label: 'Most to store in a day, in MB', type: 'number', value: now.limits?.max_stored_mb_per_day ?? 10240, min: 1, show,
    pointer: '/limits/max_stored_mb_per_day' },
];

/** What goes out as `limits`; a field that was emptied takes its default again. */
export const limitsOf = ({ largest = null, daily = null }) => ({ max_message_mb: largest, max_stored_mb_per_day: daily });

/** How mail goes out. */
export const sendingFields = (show = yes, now = {}) => [
  { name: 'hold_hours', label: 'While sending is not possible, hold mail for … hours', type: 'number', value: now.hold_hours || 72, min: 1, show },
  { name: 'max_message_mb', label: 'Largest message in MB', type: 'number', value: now.max_message_mb || 35, min: 1, max: 150, show },
  { name: 'send_rate', label: 'Most messages per minute', type: 'number', value: now.send_rate || 30, min: 1, show },
  { name: 'recipients', label: 'Only these recipients', type: 'textarea', pointer: '/recipient_allow_list', show, keepEmpty: true,
    value: (now.recipient_allow_list || []).join('\n'), hint: 'One address, or @domain for everybody there, in a line; empty: anybody.' },
  { name: 'status_url', label: 'Webhook that is told what became of each mail', type: 'url', pointer: '/status_webhook/url', show, keepEmpty: true,
    value: now.status_webhook?.url, hint: 'Optional; https, and signed as incoming mail is.' },
];

/** The lines of a text that hold something. */
export const linesOf = (text = '') => text.split('\n').map((line) => line.trim()).filter(Boolean);
