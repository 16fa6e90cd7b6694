// Choosing a mailbox by searching, and a folder from the mailbox's tree, as fields of a form.

import { get } from '../api.js';
import { add, fill, h, uid } from '../dom.js';
import { announce, busy, problemBox } from '../widgets.js';

/** A field for a mailbox of the grant that *grant()* names; *chosen(person)* hears of a choice. */
export function mailboxField(grant, chosen) {
  const results = h('ul', { class: 'choices', hidden: true });
  const input = h('input', { id: uid('mailbox'), type: 'text', autocomplete: 'off', spellcheck: 'false' });
  let wait = 0;
  let turn = 0;
  const search = async () => {
    const mine = ++turn;
    const text = input.value.trim();
    if (!grant() || text.length < 2) {
      results.hidden = true;
      return;
    }
    try {
      const found = await get('mailboxes', { grant_id: grant(), search: text, limit: 20 });
      if (mine !== turn) return;
      fill(results, found.data.map((person) => h('li', {}, h('button', { type: 'button', onclick: () => choose(person) },
        h('strong', {}, person.name || person.address), ' ', person.address))));
      announce(`${found.data.length} mailboxes found`);
    } catch (error) {
      if (mine !== turn) return;
      fill(results, h('li', {}, problemBox(error)));
    }
    results.hidden = !results.children.length;
  };
  const choose = (person) => {
    turn += 1;
    input.value = person.address;
    results.hidden = true;
    input.focus();
    chosen(person);
  };
  input.addEventListener('input', () => {
    clearTimeout(wait);
    wait = setTimeout(search, 300);
  });
  return { element: h('div', {}, input, results), read: () => input.value.trim() || undefined };
}

/** A field for a folder of the mailbox that *place()* names as `{grant, mailbox}`; *first* is what stands in it. */
export function folderField(place, first = 'inbox') {
  const input = h('input', { id: uid('folder'), type: 'text', autocomplete: 'off', spellcheck: 'false', value: first });
  const tree = h('div');
  let picked = null;
  const browse = h('button', { type: 'button', class: 'quiet', onclick: () => busy(browse, async () => {
    const { grant, mailbox } = place();
    if (!grant || !mailbox) throw new Error('Choose the grant and the mailbox first.');
    fill(tree, await level(''));
  }) }, 'Choose from the mailbox');
  const level = async (parent, path = '') => {
    const { grant, mailbox } = place();
    const found = await get('folders', { grant_id: grant, mailbox, parent });
    if (!found.data.length) return h('p', { class: 'calm small' }, 'No folders below.');
    return h('ul', { class: parent ? null : 'choices' }, found.data.map((folder) => row(folder, `${path}${folder.name}`)));
  };
  const row = (folder, path) => {
    const below = h('div');
    const open = h('button', { type: 'button', class: 'open', 'aria-expanded': 'false', 'aria-label': `Folders below ${folder.name}`,
      onclick: () => busy(open, async () => {
        const shown = open.getAttribute('aria-expanded') === 'true';
        fill(below, shown ? null : await level(folder.id, `${path}/`));
        open.setAttribute('aria-expanded', String(!shown));
        open.textContent = shown ? '▸' : '▾';
      }) }, '▸');
    const take = h('button', { type: 'button', onclick: () => {
      picked = { id: folder.id, path };
      input.value = path;
      fill(tree);
      input.focus();
    } }, folder.name);
    return h('li', {}, h('div', { class: 'folder' }, open, take), below);
  };
  const element = add(h('div'), input, h('div', { class: 'actions' }, browse), tree);
  const read = () => (picked && picked.path === input.value ? picked.id : input.value.trim() || undefined);
  return { element, read };
}
