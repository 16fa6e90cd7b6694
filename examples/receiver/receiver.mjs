// A receiver of Mailgrant's webhooks: verifies each event, drops repeats by webhook-id, stores it, then answers 204.
//
//   WEBHOOK_SECRET=whsec_… FOLDER=events PORT=9000 node receiver.mjs
//
// The secret is the `signing_secret` that creating the connection answered with. Needs Node 18 and no packages.

import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { link, mkdir, open, unlink } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';

const MAX_BYTES = 8 * 1024 * 1024;
const TOLERANCE_SECONDS = 5 * 60;
const { WEBHOOK_SECRET, FOLDER = 'events', PORT = '9000' } = process.env;
const key = Buffer.from((WEBHOOK_SECRET ?? '').replace(/^whsec_/, ''), 'base64');
if (!key.length) throw new Error('Set WEBHOOK_SECRET to the signing_secret of the connection.');

/** Whether the headers hold a signature of *body* by our secret that is not old (Standard Webhooks 1). */
function isSigned(headers, body) {
  const { 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': signatures } = headers;
  if (!id || !signatures || !/^\d{1,12}$/.test(time ?? '')) return false;
  if (Math.abs(Date.now() / 1000 - Number(time)) > TOLERANCE_SECONDS) return false;
  const right = createHmac('sha256', key).update(`${id}.${time}.`).update(body).digest();
  return signatures.split(' ').some((item) => {  // more than one while a secret is being changed
    const [version, text = ''] = item.split(',');
    const given = Buffer.from(text, 'base64');
    return version === 'v1' && given.length === right.length && timingSafeEqual(given, right);
  });
}

/** Put the event into the folder, whole or not at all; false where it is there already. */
async function store(id, body) {
  const part = join(FOLDER, `.${randomUUID()}.part`);
  const file = await open(part, 'wx');
  try {
    await file.writeFile(body);
    await file.sync();
    await link(part, join(FOLDER, `${id}.json`));  // in one step; fails where the name is taken
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  } finally {
    await file.close();
    await unlink(part);
  }
}

/** The body, null where it is too large. */
async function bodyOf(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_BYTES) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Take one request; return the status to answer. Any other than 2xx brings the event again later. */
async function take(request) {
  if (request.method !== 'POST') return 405;
  const body = await bodyOf(request);
  if (body === null) return 413;
  if (!isSigned(request.headers, body)) return 401;
  const id = request.headers['webhook-id'];
  if (!/^[A-Za-z0-9_][A-Za-z0-9._-]{0,199}$/.test(id)) return 400;
  console.log((await store(id, body)) ? 'stored' : 'repeat', id);
  return 204;
}

await mkdir(FOLDER, { recursive: true });
// Put a proxy with a certificate in front, for Mailgrant calls https.
createServer(async (request, response) => {
  response.statusCode = await take(request).catch((error) => (console.error(error.message), 500));
  response.end();
}).listen(Number(PORT), '127.0.0.1');
