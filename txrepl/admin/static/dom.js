// Elements described, and a page changed to match: what is there already stays, and with it focus and selection.

const SVG = "http://www.w3.org/2000/svg";
const keys = new WeakMap();

/** An element. `attrs.key` tells it from its siblings; `attrs.vars` are CSS properties. Empty children are left out. */
export function h(tag, attrs, ...children) {
  const kept = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  return { tag, attrs: attrs ?? {}, children: kept.map((child) => (typeof child === "object" ? child : String(child))) };
}

/** Make these the children of an element. */
export function draw(parent, ...children) {
  patchChildren(parent, h("", null, children).children);
}

function patchChildren(parent, wanted) {
  let at = parent.firstChild;
  for (const one of wanted) {
    const found = fitting(at, one);
    if (found === null) {
      parent.insertBefore(made(one, parent), at);
      continue;
    }
    at = removedUpTo(at, found);
    patch(at, one);
    at = at.nextSibling;
  }
  removedUpTo(at, null);
}

function removedUpTo(at, end) {
  while (at !== end) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
  return at;
}

function fitting(node, one) {
  while (node !== null && !fits(node, one)) {
    node = node.nextSibling;
  }
  return node;
}

function fits(node, one) {
  if (typeof one === "string") {
    return node.nodeType === Node.TEXT_NODE;
  }
  return node.nodeType === Node.ELEMENT_NODE && node.localName === one.tag && keys.get(node) === one.attrs.key;
}

function made(one, parent) {
  if (typeof one === "string") {
    return document.createTextNode(one);
  }
  const isSvg = one.tag === "svg" || parent.namespaceURI === SVG;
  const node = isSvg ? document.createElementNS(SVG, one.tag) : document.createElement(one.tag);
  keys.set(node, one.attrs.key);
  patch(node, one);
  return node;
}

function patch(node, one) {
  if (typeof one === "string") {
    if (node.data !== one) {
      node.data = one;
    }
    return;
  }
  for (const name of node.getAttributeNames()) {
    if (name !== "style" && !isSet(one.attrs[name])) {
      node.removeAttribute(name);
    }
  }
  for (const [name, value] of Object.entries(one.attrs)) {
    if (name === "vars") {
      for (const [property, text] of Object.entries(value)) {
        node.style.setProperty(property, text);
      }
    } else if (name !== "key" && isSet(value)) {
      const text = value === true ? "" : String(value);
      if (node.getAttribute(name) !== text) {
        node.setAttribute(name, text);
      }
    }
  }
  patchChildren(node, one.children);
}

function isSet(value) {
  return value !== undefined && value !== null && value !== false;
}
