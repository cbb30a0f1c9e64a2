// What is around every page: the menu, the command palette, keyboard shortcuts, times that pass, a server that is away.

const byId = (id) => document.getElementById(id);

// The menu of a narrow screen.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-menu]");
  if (!button) return;
  const open = button.getAttribute("aria-expanded") !== "true";
  button.setAttribute("aria-expanded", String(open));
  byId("menu").classList.toggle("open", open);
});

// Dialogs.
function openDialog(id) {
  const dialog = byId(id);
  if (!dialog || dialog.open) return;
  dialog.showModal();
  if (id !== "palette") return;
  const input = byId("palette-input");
  input.select();
  htmx.trigger(input, "opened");
}
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-open]");
  if (opener) openDialog(opener.dataset.open);
  else if (event.target.matches("dialog[open]")) event.target.close(); // beside the box, which its padding does not reach
});

// The palette: arrows choose, Enter goes.
const choices = () => [...document.querySelectorAll("#palette-choices [role=option]")];
function choose(step) {
  const all = choices();
  if (!all.length) return;
  const now = all.findIndex((choice) => choice.getAttribute("aria-selected") === "true");
  const next = all[(now + step + all.length) % all.length];
  for (const choice of all) choice.setAttribute("aria-selected", String(choice === next));
  byId("palette-input").setAttribute("aria-activedescendant", next.id);
  next.scrollIntoView({ block: "nearest" });
}
byId("palette-input")?.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    choose(event.key === "ArrowDown" ? 1 : -1);
  } else if (event.key === "Enter") {
    event.preventDefault();
    byId("palette").querySelector("[aria-selected=true]")?.click();
  }
});
byId("palette-choices")?.addEventListener("click", () => byId("palette").close());
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id === "palette-choices") choose(0);
});

// Shortcuts: an element says with data-key which key is its own.
const isTyping = (target) => target.closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
function use(key) {
  const found = [...document.querySelectorAll(`[data-key~="${key}"]`)].find((element) => element.checkVisibility() || element.closest("nav"));
  if (!found || (key === "f" && document.activeElement === found)) return false;
  if (found.matches("input, select, textarea")) found.focus();
  else found.click();
  return true;
}
document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.shiftKey && event.key !== "?") return;
  const key = event.key.toLowerCase();
  const control = (event.ctrlKey || event.metaKey) && !event.altKey;
  if (document.querySelector("dialog[open]")) return;
  if (control && key === "k") openDialog("palette");
  else if (control || (event.altKey && key === "n")) {
    if (!/^[0-9a-z]$/.test(key) || !use(key)) return;
  } else if (isTyping(event.target) || event.altKey) return;
  else if (key === "/") {
    if (!use("f")) return;
  } else if (key === "?") openDialog("shortcuts");
  else return;
  event.preventDefault();
});

// "5 min ago" grows older while one looks at it.
const UNITS = [[90, 1, "s"], [5400, 60, "min"], [129600, 3600, "h"], [Infinity, 86400, "days"]];
function ageOf(moment) {
  const age = (Date.now() - Date.parse(moment)) / 1000;
  if (age < 5) return "just now";
  const [, size, unit] = UNITS.find(([limit]) => age < limit);
  return `${Math.round(age / size)} ${unit} ago`;
}
setInterval(() => {
  for (const time of document.querySelectorAll("time[datetime]")) {
    if (/^(just now|\d+ (s|min|h|days) ago)$/.test(time.textContent.trim())) time.textContent = ageOf(time.dateTime);
  }
}, 20000);

// What is typed into a search field is asked for at once; asking again when the field is left would replace the rows, and
// with them the button that somebody is about to press.
document.addEventListener("change", (event) => event.target.type === "search" && event.stopPropagation(), true);

// A server that is away: the page says so, keeps what was typed, and goes on when it is back.
async function isThere() {
  try {
    return (await fetch("/healthz", { cache: "no-store", signal: AbortSignal.timeout(5000) })).ok;
  } catch {
    return false;
  }
}
let waiting = null;
function sayAway() {
  byId("away").hidden = false;
  waiting ??= setInterval(async () => {
    if (!(await isThere())) return;
    clearInterval(waiting);
    waiting = null;
    byId("away").hidden = true;
    // A stream that was cut off has missed something: the page is loaded anew unless somebody is typing in it.
    if (document.querySelector("[sse-connect]") && !document.querySelector("main form :focus")) location.reload();
  }, 2000);
}
for (const failed of ["htmx:sendError", "htmx:timeout"]) document.addEventListener(failed, sayAway);
// What stands in front of the server answers for it while it is away, with a page that has no place in ours.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr } = event.detail;
  if (xhr.status < 500 || xhr.responseText.includes('class="notice')) return;
  event.detail.shouldSwap = false;
  sayAway();
});
document.addEventListener("htmx:sseError", async () => {
  if (!(await isThere())) sayAway();
});

// A form is sent only to a server that is there; else the browser would replace what was typed by its own error page.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  const method = event.submitter?.formMethod || form.method;
  if (event.defaultPrevented || method !== "post" || form.hasAttribute("hx-post") || form.dataset.sure) return;
  event.preventDefault();
  if (form.dataset.asks) return; // pressed twice
  form.dataset.asks = "1";
  const there = await isThere();
  delete form.dataset.asks;
  if (there) {
    form.dataset.sure = "1";
    form.requestSubmit(event.submitter);
    delete form.dataset.sure;
  } else {
    setBusy(form, false);
    sayAway();
  }
});
