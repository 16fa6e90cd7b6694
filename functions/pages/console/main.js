// Start of the console: takes a key out of the address, asks for one where there is none, shows the first view.

import { actAs, easyAuth, get, key, useKey } from './api.js';
import { fill, h } from './dom.js';
import { here, show } from './router.js';
import { codeBlock, form } from './widgets.js';

const AZ = 'az functionapp keys set --resource-group RESOURCE_GROUP --name FUNCTION_APP \\\n'
  + '  --key-type functionKeys --key-name mailgrant-console --query value --output tsv';

/** Take `?code=` out of the address at once, so that it stays in no history; it serves as key where there is none. */
function takeCode() {
  const url = new URL(location.href);
  const code = url.searchParams.get('code');
  if (code === null) return;
  url.searchParams.delete('code');
  history.replaceState(null, '', url);
  if (code && !key()) useKey(code);
}

/** Ask for a key, in place of the view. */
function signIn(root, error) {
  document.title = 'Sign in · Mailgrant';
  if (easyAuth) {
    const back = encodeURIComponent(location.pathname);
    fill(root, h('div', { class: 'view' }, h('h1', { tabindex: '-1' }, 'Sign in'),
      h('p', {}, error?.message || ''), h('a', { class: 'button', href: `/.auth/login/aad?post_login_redirect_uri=${back}` },
        'Sign in with your organisation')));
    return;
  }
  const refused = key() !== '';
  useKey('');
  const asked = form({
    label: 'Sign in',
    action: 'Sign in',
    fields: [{ name: 'key', label: 'Function key', type: 'password', required: true, autocomplete: 'off',
      hint: 'It is kept in this tab only, and forgotten when you close it.' }],
    async submit(values) {
      useKey(values.key.trim());
      try {
        await get('system');
      } catch (problem) {
        useKey('');
        throw problem;
      }
      ready();
    },
  });
  fill(root, h('div', { class: 'view narrow' },
    h('h1', { tabindex: '-1' }, 'Sign in'),
    h('p', {}, refused ? 'The key is not accepted (any more). Enter another one.'
      : 'This console shows nothing without a key of the function app.'),
    asked,
    h('h2', {}, 'Where the key comes from'),
    h('p', {}, 'Make one key for people of its own, so that it can be changed alone. This line prints it:'),
    codeBlock(AZ),
    h('p', { class: 'small' }, 'Locally, ', h('code', {}, 'make run'), ' prints it as FUNCTIONS_HOST_KEY.')));
  root.querySelector('input').focus();
}

async function ready() {
  if (easyAuth) {
    try {
      actAs((await get('system')).role);
    } catch {
      // The view that is shown now meets the same refusal, and says it.
    }
  }
  document.body.classList.add('ready');
  signOut.hidden = false;
  show(refuse);
}

function refuse(root, error) {
  document.body.classList.remove('ready');
  signOut.hidden = true;
  signIn(root, error);
}

const menu = document.getElementById('menu');
const nav = document.getElementById('nav');
const main = document.getElementById('main');
const signOut = h('button', { type: 'button', class: 'quiet', hidden: true, onclick: () => {
  useKey('');
  if (easyAuth) location.assign(`/.auth/logout?post_logout_redirect_uri=${encodeURIComponent(location.pathname)}`);
  else refuse(main);
} }, 'Sign out');
menu.before(signOut);
menu.addEventListener('click', () => {
  const open = nav.classList.toggle('open');
  menu.setAttribute('aria-expanded', String(open));
});
document.getElementById('skip').addEventListener('click', (event) => {
  event.preventDefault();  // `#main` is no address of a view
  main.focus();
});
window.addEventListener('hashchange', () => {
  nav.classList.remove('open');
  menu.setAttribute('aria-expanded', 'false');
  if (document.body.classList.contains('ready')) show(refuse);
});

takeCode();
if (key() || easyAuth) ready();
else refuse(main);
if (!location.hash) history.replaceState(null, '', `#/${here().path}`);
