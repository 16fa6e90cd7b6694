// The admin API: the key of this tab, the mark on writes, and problem details as errors.

const page = document.documentElement.dataset;
const KEY = 'mailgrant-key';

/** Whether administrators sign in with the organisation's accounts instead of a key. */
export const easyAuth = page.auth === 'easyauth';

/** A refusal: *message* is a sentence for people; the rest is as answered, *body* all of it. */
export class Problem extends Error {
  constructor(status, body = {}, requestId = '') {
    super(body.detail || sentences[status] || `The server answered ${status || 'nothing'}.`);
    this.status = status;
    this.code = body.code || '';
    this.requestId = body.request_id || requestId;
    this.errors = body.errors || [];
    this.microsoft = body.microsoft || null;
    this.body = body;
  }
}

const sentences = {
  0: 'The server cannot be reached. Check the connection, then try again.',
  401: 'This key is not accepted. Enter a key of the function app.',
  404: 'There is no such thing here.',
  503: 'The service is busy or its storage gives no answer. Try again in a moment.',
};

/** Return the key of this tab, '' for none. */
export const key = () => sessionStorage.getItem(KEY) || '';

/** Keep *value* as the key of this tab; '' forgets it. */
export function useKey(value) {
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
}

let role = 'admin';

/** Whether the caller may do more than read; the API refuses what a viewer may not do, so that it need not be offered. */
export const mayWrite = () => role !== 'viewer';

/** Take *given* as the caller's role, `admin` or `viewer`. */
export function actAs(given) {
  role = given;
}

/** Return the path of the API with *query* (empty members are left out). */
export function address(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== '' && value !== null && value !== undefined);
  const text = new URLSearchParams(given).toString();
  return `${page.api}/${path}${text ? `?${text}` : ''}`;
}

/** Make a request and return the fetch response; raises `Problem` for everything but 2xx. */
export async function request(method, path, { query, body, headers } = {}) {
  const sent = { Accept: 'application/json', ...headers };
  if (key()) sent['x-functions-key'] = key();
  if (method !== 'GET') sent['X-Mailgrant-Request'] = '1';
  if (body !== undefined) sent['Content-Type'] = 'application/json';
  let answer;
  try {
    answer = await fetch(address(path, query), {
      method, headers: sent, body: body === undefined ? undefined : JSON.stringify(body),
      cache: 'no-store', credentials: easyAuth ? 'same-origin' : 'omit', redirect: 'error',
    });
  } catch {
    throw new Problem(0);
  }
  if (answer.ok) return answer;
  throw new Problem(answer.status, await plain(answer), answer.headers.get('X-Request-Id') || '');
}

async function plain(answer) {
  try {
    return JSON.parse(await answer.text()) || {};
  } catch {
    return {};
  }
}

async function json(method, path, options) {
  const answer = await request(method, path, options);
  return answer.status === 204 ? null : answer.json();
}

/** Read; names in a path are put in with `seg`. */
export const get = (path, query) => json('GET', path, { query });
/** Make or do something. */
export const post = (path, body = {}, query = undefined) => json('POST', path, { body, query });
/** Put something in place. */
export const put = (path, body) => json('PUT', path, { body });
/** Change something; with *version* only if nobody has changed it meanwhile. */
export const patch = (path, body, version) =>
  json('PATCH', path, { body, headers: version === undefined ? {} : { 'If-Match': `"${version}"` } });
/** Delete something. */
export const del = (path, query) => json('DELETE', path, { query });
/** Return one part of a path, encoded. */
export const seg = (text) => encodeURIComponent(text);

/** Return every item of a list, page by page, at most *most* of them. */
export async function all(path, query = {}, most = 1000) {
  const items = [];
  let cursor = '';
  do {
    const found = await get(path, { limit: 200, ...query, cursor });
    items.push(...found.data);
    cursor = found.next_cursor;
  } while (cursor && items.length < most);
  return items;
}
