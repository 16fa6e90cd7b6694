// Elements without markup: whatever comes from mail or from the API becomes a text node or a checked attribute.

const SVG = 'http://www.w3.org/2000/svg';
const LINKS = /^(#|\/|https?:|mailto:|blob:)/i;
let numbers = 0;

/** Return an id that no other element of the page has. */
export function uid(prefix = 'x') {
  numbers += 1;
  return `${prefix}-${numbers}`;
}

/**
 * Make an element. `on*` members are listeners, `null`, `undefined` and `false` members are left out, `true` is an
 * empty attribute. Children are nodes, texts, numbers, arrays of them, or nothing. A link to anything but a page
 * (`javascript:`, `data:`) is left out.
 */
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Make an SVG element, as `h` does. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** Add children to *parent*, as `h` does; the DOM's own `append` would write "null" for what is not there. */
export function add(parent, ...children) {
  append(parent, children);
  return parent;
}

/** Put children in place of all that *parent* has. */
export function fill(parent, ...children) {
  parent.replaceChildren();
  append(parent, children);
  return parent;
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if ((name === 'href' || name === 'src') && !LINKS.test(String(value))) continue;
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  append(element, children);
  return element;
}

function append(parent, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}
