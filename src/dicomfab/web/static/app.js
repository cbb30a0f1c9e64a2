// Small conveniences; every page works on the server and says everything without them.

document.addEventListener("click", (event) => {
  const target = event.target.closest("button");
  if (!target) return;
  if (target.matches("[data-theme-switch]")) switchTheme();
  else if (target.matches("[data-copy]")) copy(target);
  else if (target.matches("[data-check-all], [data-check-none]")) checkAll(target);
});

function switchTheme() {
  const theme = document.documentElement.dataset.bsTheme === "dark" ? "light" : "dark";
  document.documentElement.dataset.bsTheme = theme;
  localStorage.setItem("theme", theme);
}

async function copy(button) {
  await navigator.clipboard.writeText(button.dataset.copy);
  const icon = button.querySelector(".bi");
  icon.classList.replace("bi-copy", "bi-check2");
  document.getElementById("copied").textContent = "Copied";
  setTimeout(() => {
    icon.classList.replace("bi-check2", "bi-copy");
    document.getElementById("copied").textContent = "";
  }, 1500);
}

function checkAll(button) {
  const on = "checkAll" in button.dataset;
  const name = button.dataset.checkAll ?? button.dataset.checkNone;
  for (const box of button.form.querySelectorAll(`input[type=checkbox][name="${name}"]`)) box.checked = on;
}

// The row below a study: one button opens it, the same button closes it.
document.addEventListener("htmx:beforeRequest", (event) => {
  const button = event.detail.elt;
  if (!button.matches("[data-detail]")) return;
  const slot = document.getElementById(button.getAttribute("aria-controls"));
  const row = slot.closest(".detail-row");
  const opened = button.getAttribute("aria-expanded") === "true";
  for (const other of button.closest("td").querySelectorAll("[data-detail]")) other.setAttribute("aria-expanded", "false");
  row.hidden = opened;
  slot.textContent = opened ? "" : "Asking …";
  if (opened) event.preventDefault();
  else button.setAttribute("aria-expanded", "true");
  const stale = opened && button.closest("#results[data-stale]");
  if (stale && !isOpen(stale)) htmx.trigger(stale, "sse:changed");
});

// Results that renew themselves as servers answer wait while somebody has a row open.
const isOpen = (results) => results.querySelector("[data-detail][aria-expanded=true]") !== null;
for (const [name, stop] of [
  ["htmx:beforeRequest", (event) => event.preventDefault()],
  ["htmx:beforeSwap", (event) => (event.detail.shouldSwap = false)], // it was opened while the answer was on its way
]) {
  document.addEventListener(name, (event) => {
    const { elt = event.detail.requestConfig?.elt } = event.detail;
    if (elt?.id !== "results" || event.detail.requestConfig?.elt?.id !== "results" || !isOpen(elt)) return;
    elt.dataset.stale = "";
    stop(event);
  });
}

// Consent for production is asked for only while a production server is chosen.
function showConsent(form) {
  const chosen = [...form.querySelectorAll("select")].map((select) => select.selectedOptions[0]);
  const isProduction = chosen.some((option) => option?.dataset.environment === "prod");
  for (const part of form.querySelectorAll("[data-production-only]")) part.hidden = !isProduction;
}

function prepare(root) {
  for (const form of root.querySelectorAll("[data-destination-form]")) showConsent(form);
}

document.addEventListener("change", (event) => {
  const form = event.target.closest("[data-destination-form]");
  if (form) showConsent(form);
});
document.addEventListener("htmx:afterSwap", (event) => prepare(event.target));
prepare(document);

// What renews itself is left alone while somebody's focus is in it.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt.matches("[data-left-in-use]") && event.detail.elt.contains(document.activeElement)) event.preventDefault();
});

// A stream that is refused: whoever is not signed in any more is taken to where one signs in, by loading the page again.
document.addEventListener("htmx:sseError", async (event) => {
  if (event.detail.source?.readyState !== EventSource.CLOSED) return;
  const answer = await fetch(location.href, { redirect: "manual" });
  if (answer.type === "opaqueredirect") location.reload();
});

// A form that takes a moment is sent once; whoever comes back to the page, or sent it in vain, can send it again.
function setBusy(form, isBusy) {
  if (form.matches("[data-busy]")) for (const button of form.querySelectorAll("button:not([type])")) {
    button.toggleAttribute("aria-disabled", isBusy);
    if (isBusy) button.setAttribute("aria-disabled", "true");
    button.classList.toggle("disabled", isBusy);
  }
}
document.addEventListener("submit", (event) => setBusy(event.target, true));
addEventListener("pageshow", () => document.querySelectorAll("form[data-busy]").forEach((form) => setBusy(form, false)));

// What is typed while an answer is on its way stays when the answer brings the form anew.
const typedMeanwhile = new Map();
let isAwaited = false;
const keeps = (event) => event.detail.target?.matches("[data-keeps-typing]");
document.addEventListener("htmx:beforeRequest", (event) => {
  if (!keeps(event)) return;
  typedMeanwhile.clear();
  isAwaited = true;
});
document.addEventListener("input", ({ target }) => {
  if (isAwaited && target.id && target.closest("[data-keeps-typing]")) typedMeanwhile.set(target.id, [target.value, target.checked]);
});
document.addEventListener("htmx:afterSettle", (event) => {
  if (!keeps(event)) return;
  isAwaited = false;
  for (const [id, [value, checked]] of typedMeanwhile) {
    const field = document.getElementById(id);
    if (!field) continue;
    field.value = value;
    field.checked = checked;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
});

// Contents that are longer than the window: begin where the reader is.
const here = document.querySelector(".contents [aria-current]");
if (here) here.closest(".contents").scrollTop = here.offsetTop - 120;
