"use strict";
// Live parts: lists that renew themselves by server-sent events, durations that tick, the text of buttons
// while a form is under way.

for (const list of document.querySelectorAll("[data-stream]")) {
  const stream = new EventSource(list.dataset.stream);
  const lost = document.querySelector("[data-stream-lost]");
  stream.addEventListener("calls", (event) => {
    const held = list.contains(document.activeElement) ? document.activeElement : null;
    list.innerHTML = event.data; // rendered and escaped by the server
    tick();
    const same = held && [...list.querySelectorAll("button, a")].find((one) =>
      held.value ? one.value === held.value : one.href && one.href === held.href);
    if (same) same.focus(); // who uses the keyboard stays where they were
  });
  stream.addEventListener("open", () => { if (lost) lost.hidden = true; });
  stream.addEventListener("error", () => { if (lost) lost.hidden = false; });
  addEventListener("pagehide", () => stream.close());
}

function tick() {
  const now = Date.now() / 1000;
  for (const element of document.querySelectorAll("[data-since]")) {
    const all = Math.max(0, Math.floor(now - Number(element.dataset.since)));
    const [hours, minutes, seconds] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
    const two = (number) => String(number).padStart(2, "0");
    element.textContent = hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
  }
}
setInterval(tick, 1000);
tick();

// Lists that are fetched anew now and then, but not while somebody works in them.
setInterval(() => {
  for (const list of document.querySelectorAll("[data-renew]")) {
    const worked = list.contains(document.activeElement) || list.querySelector("details[open]");
    if (!document.hidden && !worked) htmx.trigger(list, "renew");
  }
}, 15000);
addEventListener("htmx:beforeSwap", (event) => {
  const list = event.detail.target;
  if (!list.matches("[data-renew]") || event.detail.serverResponse.includes(`id="${list.id}"`)) return;
  event.detail.shouldSwap = false; // it is another page: whoever was signed in is no longer
  location.reload();
});

addEventListener("submit", (event) => {
  const button = event.submitter;
  if (button && button.dataset.confirm) {
    if (!confirm(button.dataset.confirm)) {
      event.preventDefault();
      return;
    }
    if (event.target.elements.sure) event.target.elements.sure.value = "yes";
  }
  if (button && button.dataset.busy) button.setAttribute("aria-busy", "true");
});

addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("[data-busy]")) button.removeAttribute("aria-busy");
});
