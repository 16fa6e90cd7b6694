// From the address behind `#/` to a view: loads it, gives it an empty root, and moves the focus to its heading.

import { address } from './api.js';
import { fill, h } from './dom.js';
import { areas, routes } from './routes.js';
import { announce, problemBox } from './widgets.js';

let turn = 0;
let leave = null;

/** Return the address of the page behind `#/`, split from its query. */
export function here() {
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
  return { path: path.replace(/\/$/, ''), query: Object.fromEntries(new URLSearchParams(query || '')) };
}

/** Go to an address of the console, such as `connections/conn_x`. */
export function go(path) {
  if (location.hash === `#/${path}`) show();
  else location.hash = `#/${path}`;
}

/** Show the view of the address; *signIn* shows what asks for a key where the API refuses. */
export async function show(signIn = onRefused) {
  onRefused = signIn;
  const mine = ++turn;
  const root = document.getElementById('main');
  const first = mine === 1;
  leave?.();
  leave = null;
  mark(here().path);
  const stage = h('div', { class: 'view' });
  try {
    const [view, params] = await found();
    if (mine !== turn) return;
    document.title = `${view.title} · Mailgrant`;
    fill(stage, h('h1', { tabindex: '-1' }, view.title), h('p', { class: 'calm', 'aria-busy': 'true' }, 'Loading …'));
    fill(root, stage);
    const body = h('div', { class: 'view' });
    const left = await view.render(body, params);
    if (mine !== turn) {
      if (typeof left === 'function') left();
      return;
    }
    leave = typeof left === 'function' ? left : null;
    if (!body.querySelector('h1')) body.prepend(h('h1', { tabindex: '-1' }, view.title));
    fill(root, body);
    arrive(root, first);
  } catch (error) {
    if (mine !== turn) return;
    if (error.status === 401 && onRefused) {
      onRefused(root, error);
      return;
    }
    fill(root, h('div', { class: 'view' }, h('h1', { tabindex: '-1' }, 'This cannot be shown'), problemBox(error),
      h('p', {}, h('button', { type: 'button', onclick: () => show() }, 'Try again'))));
    arrive(root, false);
  }
}

let onRefused = null;

function arrive(root, first) {
  const heading = root.querySelector('h1');
  heading.setAttribute('tabindex', '-1');
  document.title = `${heading.textContent} · Mailgrant`;
  if (first) return;
  heading.focus({ preventScroll: true });
  window.scrollTo(0, 0);
  announce(heading.textContent);
}

async function found() {
  const { path, query } = here();
  for (const [pattern, load] of routes) {
    const params = match(pattern, path);
    if (!params) continue;
    try {
      return [await load(), { ...params, query }];
    } catch {
      throw new Error('This part of the console could not be loaded. It may have been updated: load the page again.');
    }
  }
  throw new Error('There is no such page. Choose an area of the navigation.');
}

function match(pattern, path) {
  const wanted = pattern.split('/');
  const given = path.split('/');
  if (wanted.length !== given.length) return null;
  const params = {};
  for (const [index, part] of wanted.entries()) {
    if (part.startsWith(':') && given[index]) params[part.slice(1)] = decodeURIComponent(given[index]);
    else if (part !== given[index]) return null;
  }
  return params;
}

/** Draw the navigation, the current area marked. */
function mark(path) {
  const top = path.split('/')[0];
  const area = ['received', 'outbox'].includes(top) ? 'connections' : top;
  fill(document.getElementById('nav'), h('ul', {}, areas.map(([to, label]) =>
    h('li', {}, h('a', { href: `#/${to}`, 'aria-current': to === area ? 'page' : null }, label))),
  h('li', {}, h('a', { href: address('reference') }, 'API reference'))));
}
