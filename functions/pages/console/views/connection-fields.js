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
];

/** What goes out as `destination`, null for none. */
export function destinationOf({ destination_type: type, url, queue }) {
  if (type === 'webhook') return { type, url };
  if (type === 'queue') return { type, name: queue };
  return null;
}

/** How long mail is kept, and what is not handed over. */
export const keepingFields = (show = yes, now = {}) => [
  { name: 'automatic_mail', label: 'Answers of machines, bounces', type: 'select', value: now.automatic_mail || 'deliver', show, options: [
    ['deliver', 'hand them over like any mail'], ['skip', 'store them, but do not hand them over']] },
  { name: 'retention_days', label: 'Keep mail for … days', type: 'number', value: now.retention_days || 30, min: 1, show },
];

/** How mail goes out. */
export const sendingFields = (show = yes, now = {}) => [
  { name: 'hold_hours', label: 'While sending is not possible, hold mail for … hours', type: 'number', value: now.hold_hours || 72, min: 1, show },
  { name: 'max_message_mb', label: 'Largest message in MB', type: 'number', value: now.max_message_mb || 35, min: 1, max: 150, show },
  { name: 'send_rate', label: 'Most messages per minute', type: 'number', value: now.send_rate || 30, min: 1, show },
  { name: 'recipients', label: 'Only these recipients', type: 'textarea', pointer: '/recipient_allow_list', show, keepEmpty: true,
    value: (now.recipient_allow_list || []).join('\n'), hint: 'One address or domain in a line; empty: anybody.' },
];

/** The lines of a text that hold something. */
export const linesOf = (text = '') => text.split('\n').map((line) => line.trim()).filter(Boolean);
