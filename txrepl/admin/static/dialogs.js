// Questions to the user, one at a time, in the page's one dialog.

import { draw, h } from "./dom.js";

const dialog = document.getElementById("dialog");
const form = document.getElementById("form");
let last = Promise.resolve();

/**
 * Ask. `title`, `text`, `confirm` (the button), `danger`, `fields`: each with name, label, type (text, number, password,
 * checkbox, select), and what its input takes. Resolves to the fields' values by name; to null if the user says no.
 */
export function ask(question) {
  last = last.then(() => asked(question));
  return last;
}

function asked({ title, text, confirm, danger, fields = [] }) {
  form.reset();
  draw(
    form,
    h("h2", { id: "dialog-title", key: title }, title),
    h("p", { id: "dialog-text" }, text),
    fields.map((field) => h("div", { class: `field ${field.type}`, key: `${title} ${field.name}` }, ...parts(field))),
    h(
      "div",
      { class: "choices" },
      h("button", { type: "button", class: "plain", "data-close": true, key: "no" }, "Cancel"),
      h("button", { type: "submit", class: danger ? "danger" : "strong", key: "yes" }, confirm),
    ),
  );
  for (const field of fields) {
    const input = form.elements[field.name];
    if (field.type === "checkbox") {
      input.checked = Boolean(field.value);
    } else {
      input.value = field.value ?? "";
    }
  }
  dialog.returnValue = "";
  dialog.showModal();
  (fields.length ? form.elements[fields[0].name] : form.querySelector("[type=submit]")).focus();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        const values = dialog.returnValue === "yes" ? values_of(fields) : null;
        draw(form);
        resolve(values);
      },
      { once: true },
    );
  });
}

function parts({ name, label, type, hint, options, value, ...more }) {
  const id = `field-${name}`;
  const described = hint ? { "aria-describedby": `${id}-hint` } : {};
  const input =
    type === "select"
      ? h("select", { id, name, ...described }, options.map((one) => h("option", { value: one.value, key: one.value }, one.label)))
      : h("input", { id, name, type, ...described, ...more });
  return [
    h("label", { for: id }, label),
    input,
    hint && h("p", { id: `${id}-hint`, class: "hint" }, hint),
  ];
}

function values_of(fields) {
  return Object.fromEntries(
    fields.map(({ name, type }) => {
      const input = form.elements[name];
      return [name, type === "checkbox" ? input.checked : input.value.trim()];
    }),
  );
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  dialog.close("yes");
});
form.addEventListener("click", (event) => {
  if (event.target.closest("[data-close]")) {
    dialog.close();
  }
});
