"use strict";
// Buttons that copy a text of the page: <button type="button" data-copy="id of what is copied" hidden>. Where the
// browser keeps the clipboard from pages without HTTPS, the text is selected and copied the older way.

async function copied(element) {
  const text = "value" in element ? element.value : element.textContent;
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection().selectAllChildren(element);
    return document.execCommand("copy");
  }
}

for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  const element = button && document.getElementById(button.dataset.copy);
  if (!element || !(await copied(element))) return;
  const before = button.dataset.before || button.textContent;
  button.dataset.before = before;
  button.textContent = button.dataset.done;
  setTimeout(() => { button.textContent = before; }, 2000);
});
