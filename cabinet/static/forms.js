"use strict";
// Forms of settings (cabinet/forms/form.py): “Apply changes” can be pressed when something was changed, and what was
// changed isn't lost by a stray click. What a field showed at first is in the field itself (defaultValue), so
// forms that come later are followed too.

const left = (field) => {
  if (!field.name || field.disabled) return false;
  if (field.type === "hidden") return "was" in field.dataset && field.value !== field.dataset.was;
  if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
  if (field.tagName === "SELECT") {
    const first = [...field.options].find((option) => option.defaultSelected) || field.options[0];
    return Boolean(first) && field.value !== first.value;
  }
  return "defaultValue" in field && field.value !== field.defaultValue;
};

const changed = (form) => "typed" in form.dataset || [...form.elements].some(left);

function follow(form) {
  const button = form.querySelector("[data-apply]");
  if (button) button.disabled = !changed(form);
}

function followAll() {
  for (const form of document.querySelectorAll("form[data-form]")) follow(form);
}

// Employees who are rung one after another: in the order in which they are ticked.
document.addEventListener("change", (event) => {
  const step = event.target.type === "checkbox" && event.target.closest("[data-step]");
  if (!step) return;
  const order = step.querySelector("[data-order]");
  const { value, checked } = event.target;
  const codes = order.value.split(",").filter((code) => code && code !== value);
  order.value = (checked ? [...codes, value] : codes).join(",");
  for (const box of step.querySelectorAll("input[type=checkbox]")) {
    box.closest("label").querySelector("[data-turn]").textContent = box.checked
      ? order.value.split(",").indexOf(box.value) + 1 : "";
  }
});

for (const kind of ["input", "change", "reset"]) {
  document.addEventListener(kind, (event) => {
    const form = event.target.closest("form[data-form]");
    if (!form) return;
    if (kind === "reset") setTimeout(() => follow(form)); // it is done after its event
    else follow(form); // at once: Enter right after a letter finds the button as it should be
  });
}

let sent = null;
document.addEventListener("submit", (event) => {
  const stays = event.submitter && event.submitter.formTarget; // what it is sent for opens elsewhere
  sent = event.defaultPrevented || stays ? sent : event.target;
});

addEventListener("beforeunload", (event) => {
  const forms = [...document.querySelectorAll("form[data-form]")];
  if (forms.some((form) => form !== sent && changed(form))) {
    event.preventDefault();
    event.returnValue = ""; // older browsers ask only so
  }
});

addEventListener("pageshow", () => {
  sent = null;
  followAll();
});
document.addEventListener("htmx:load", followAll);

// A part of the page that htmx is about to replace may hold a form with changes. What comes without being
// asked for gives way to a form that is open there, or is about to be.
document.addEventListener("htmx:beforeSwap", (event) => {
  const from = event.detail.requestConfig && event.detail.requestConfig.elt;
  if (from && "unasked" in from.dataset && event.detail.target.querySelector("form[data-form], .htmx-request")) {
    event.detail.shouldSwap = false;
    return;
  }
  const own = from && from.closest("form[data-form]");
  const target = event.detail.target;
  const forms = target ? [...target.querySelectorAll("form[data-form]")] : [];
  const lost = forms.find((form) => form !== own && changed(form));
  if (lost && !confirm(lost.dataset.leave)) event.detail.shouldSwap = false;
});

// What asks without leaving the page shows that it is under way.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt.dataset.busy) event.detail.elt.setAttribute("aria-busy", "true");
});
document.addEventListener("htmx:afterRequest", (event) => event.detail.elt.removeAttribute("aria-busy"));

// That it is saved is said once: not again when the page is loaded again.
if (new URLSearchParams(location.search).has("saved")) {
  const address = new URL(location.href);
  address.searchParams.delete("saved");
  history.replaceState(history.state, "", address);
}
followAll();
