// Saving stored bytes as a file: they need the key of this tab, so a plain link would not do.

import { request } from '../api.js';
import { h } from '../dom.js';

/** Read *path* to its end, in the pieces that the API hands out, and have the browser save it as *name*. */
export async function save(path, name, size) {
  const parts = [];
  let have = 0;
  do {
    const headers = { Accept: '*/*', ...(size > 0 ? { Range: `bytes=${have}-` } : {}) };
    const piece = await (await request('GET', path, { headers })).blob();
    parts.push(piece);
    have += piece.size;
    if (!piece.size) break;
  } while (have < size);
  const url = URL.createObjectURL(new Blob(parts, { type: 'application/octet-stream' }));
  h('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
