// A form from a description: labels, hints, faults of the API beside the fields that they name.

import { mayWrite } from './api.js';
import { fill, h, uid } from './dom.js';
import { announce, busy, problemBox } from './widgets.js';

/**
 * Make a form. *fields* are `{name, label, type, hint, required, value, options, rows, min, max, step, autocomplete,
 * pointer, show}`:
 * `type` is text (also email, url, password, number), textarea, select (`options`: `[[value, label]]`), checkbox,
 * moment (a local time; its value is RFC 3339), or custom (`element` and `read()`).
 * `show(values)` tells whether a field is there; those that are not, and empty ones that are not required, are no values.
 * `className` `search` sets the fields beside one another.
 * `pointer` is the JSON pointer of the field in the body that `submit(values, form)` sends, `/<name>` unless given.
 * *reads* tells that submitting changes nothing. Other forms say to a viewer that they are not theirs; with *shown* their
 * fields stand there, to be read.
 */
export function form({ label, fields, action, submit, extra = [], className = null, reads = false, shown = false }) {
  const made = fields.map(field);
  const trouble = h('div');
  const send = h('button', { type: 'submit' }, action);
  const open = reads || mayWrite();
  const values = () => Object.fromEntries(made.filter((it) => !it.root.hidden)
    .map((it) => [it.spec.name, it.read()]).filter(([, value]) => value !== undefined));
  const arrange = () => {
    const now = Object.fromEntries(made.map((it) => [it.spec.name, it.read()]));
    for (const it of made) {
      it.root.hidden = Boolean(it.spec.show) && !it.spec.show(now);
      it.enable(!it.root.hidden);
    }
  };
  const root = h('form', { class: className, 'aria-label': label, novalidate: true, onchange: arrange, onsubmit: (event) => {
    event.preventDefault();
    busy(send, () => attempt(made, trouble, () => submit(values(), root)));
  } }, open || shown ? made.map((it) => it.root) : null, trouble, open ? h('div', { class: 'actions' }, send, extra) : NOT_YOURS());
  root.values = values;
  root.arrange = arrange;
  root.check = () => lacking(made, trouble);
  root.fault = (error) => told(error, made, trouble);
  arrange();
  if (!open) made.forEach((it) => it.lock());
  return root;
}

const NOT_YOURS = () => h('p', { class: 'calm' }, 'This takes the role Mailgrant.Admin.');

function lacking(made, trouble) {
  clear(made, trouble);
  const bad = made.filter((it) => !it.root.hidden && it.spec.required && [undefined, ''].includes(it.read()));
  bad.forEach((it) => it.fault('This is needed.'));
  bad[0]?.focus();
  if (bad.length) announce(`${bad.length} fields are needed`);
  return bad.length === 0;
}

async function attempt(made, trouble, work) {
  if (!lacking(made, trouble)) return;
  try {
    await work();
  } catch (error) {
    told(error, made, trouble);
  }
}

/** Put what the API refuses beside the fields that it names, the rest above the button. */
function told(error, made, trouble) {
  const named = (error.errors || []).map((item) => [item, made.find((it) => !it.root.hidden && it.takes(item.pointer))]);
  named.forEach(([item, it]) => it?.fault(item.message));
  const open = named.filter(([, it]) => !it).map(([item]) => item);
  const shown = Object.create(error, { errors: { value: open } });
  if (named.length && !open.length) Object.defineProperty(shown, 'message', { value: 'Look at the marked fields again.' });
  fill(trouble, problemBox(shown));
  named.find(([, it]) => it)?.[1].focus();
}

function clear(made, trouble) {
  made.forEach((it) => it.fault(''));
  fill(trouble);
}

function field(spec) {
  const id = uid('field');
  const hint = spec.hint ? h('p', { class: 'hint', id: `${id}-hint` }, spec.hint) : null;
  const bad = h('p', { class: 'fieldfault', id: `${id}-bad`, hidden: true });
  const input = spec.type === 'custom' ? spec.element : control(spec, id);
  const focusable = input.matches('input, select, textarea') ? input : input.querySelector('input, select, textarea') || input;
  if (spec.type === 'custom' && focusable !== input && !focusable.id) focusable.id = id;
  if (hint) focusable.setAttribute('aria-describedby', hint.id);
  const caption = h('label', { for: focusable.id || id }, spec.label, spec.required && h('span', { class: 'calm' }, ' (needed)'));
  const parts = spec.type === 'checkbox' ? [h('div', { class: 'check' }, input, caption), hint] : [caption, hint, input];
  const root = h('div', { class: 'field' }, parts, bad);
  const pointer = spec.pointer || `/${spec.name}`;
  return {
    spec,
    root,
    read: () => (spec.type === 'custom' ? spec.read() : value(spec, input)),
    takes: (named) => named === pointer || (named || '').startsWith(`${pointer}/`),
    focus: () => focusable.focus(),
    enable: (on) => root.querySelectorAll('input, select, textarea').forEach((each) => { each.disabled = !on; }),
    lock: () => root.querySelectorAll('input, select, textarea').forEach((each) => {
      each[each.matches('input, textarea') ? 'readOnly' : 'disabled'] = true;
    }),
    fault(text) {
      fill(bad, text);
      bad.hidden = !text;
      const described = [hint?.id, text && bad.id].filter(Boolean).join(' ');
      if (described) focusable.setAttribute('aria-describedby', described);
      else focusable.removeAttribute('aria-describedby');
      if (text) focusable.setAttribute('aria-invalid', 'true');
      else focusable.removeAttribute('aria-invalid');
    },
  };
}

function control(spec, id) {
  const common = { id, name: spec.name, 'aria-required': spec.required ? 'true' : null, autocomplete: spec.autocomplete };
  if (spec.type === 'select') {
    const made = h('select', common, spec.options.map(([each, label]) => h('option', { value: each }, label)));
    if (spec.value !== undefined) made.value = spec.value;
    return made;
  }
  if (spec.type === 'textarea') {
    const made = h('textarea', { ...common, rows: spec.rows || 4, spellcheck: 'false' });
    made.value = spec.value ?? '';
    return made;
  }
  if (spec.type === 'checkbox') return h('input', { ...common, type: 'checkbox', checked: Boolean(spec.value) });
  const made = h('input', { ...common, type: spec.type === 'moment' ? 'datetime-local' : spec.type || 'text',
    min: spec.min, max: spec.max, step: spec.step, spellcheck: 'false' });
  made.value = spec.type === 'moment' && spec.value ? local(spec.value) : spec.value ?? '';
  return made;
}

function value(spec, input) {
  if (spec.type === 'checkbox') return input.checked;
  if (spec.type === 'select') return input.value;
  if (input.value === '') return spec.keepEmpty ? '' : undefined;
  if (spec.type === 'number') return Number(input.value);
  if (spec.type === 'moment') return new Date(input.value).toISOString();
  return input.value;
}

function local(text) {
  const moment = new Date(text);
  return new Date(moment - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
