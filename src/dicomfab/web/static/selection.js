// Choosing rows of a table: how many are chosen, all of a page at once, and the choice kept in the address.
// A form with data-selection="study" owns the checkboxes named study, which may stand anywhere by their form attribute.

const selectionForms = () => document.querySelectorAll("form[data-selection]");
const boxesOf = (form) => [...form.elements].filter((box) => box.name === form.dataset.selection && box.type === "checkbox");
let lastBox = null;

function showSelection(form) {
  const name = form.dataset.selection;
  const boxes = boxesOf(form);
  const chosen = boxes.filter((box) => box.checked);
  for (const box of boxes) box.closest("tr")?.classList.toggle("chosen", box.checked);
  const bar = form.querySelector("[data-selection-bar]");
  if (bar) bar.hidden = chosen.length === 0;
  for (const text of form.querySelectorAll("[data-selected-count]")) text.textContent = String(chosen.length);
  for (const what of form.querySelectorAll("[data-selected-what]")) what.textContent = chosen.length === 1 ? what.dataset.one : what.dataset.several;
  for (const all of document.querySelectorAll(`[data-select-all="${form.id}"]`)) {
    const shown = boxes.filter((box) => box.closest("table"));
    all.checked = shown.length > 0 && shown.every((box) => box.checked);
    all.indeterminate = !all.checked && shown.some((box) => box.checked);
  }
  const keep = (address) => {
    address.searchParams.delete(name);
    for (const box of chosen) address.searchParams.append(name, box.value);
    return address.pathname + address.search + address.hash;
  };
  for (const link of document.querySelectorAll("a[data-keeps-selection]")) link.setAttribute("href", keep(new URL(link.href)));
  history.replaceState(history.state, "", keep(new URL(location.href)));
}

document.addEventListener("change", (event) => {
  const box = event.target;
  if (!box.matches("input[type=checkbox]")) return;
  if (box.dataset.selectAll) {
    const form = document.getElementById(box.dataset.selectAll);
    for (const one of boxesOf(form)) if (one.closest("table")) one.checked = box.checked;
    showSelection(form);
  } else if (box.form?.dataset.selection === box.name) showSelection(box.form);
});

// Shift and click choose everything between two boxes, as file managers do.
document.addEventListener("click", (event) => {
  const box = event.target;
  if (!box.matches("input[type=checkbox]") || box.form?.dataset.selection !== box.name) return;
  const boxes = boxesOf(box.form);
  if (event.shiftKey && lastBox?.form === box.form) {
    const [from, to] = [boxes.indexOf(lastBox), boxes.indexOf(box)].sort((a, b) => a - b);
    for (const one of boxes.slice(from, to + 1)) one.checked = box.checked;
  }
  lastBox = box;
});

document.addEventListener("click", (event) => {
  const form = event.target.closest("[data-clear-selection]")?.form;
  if (!form) return;
  for (const box of boxesOf(form)) box.checked = false;
  showSelection(form);
});

const showAllSelections = () => selectionForms().forEach(showSelection);
document.addEventListener("htmx:afterSettle", showAllSelections);
showAllSelections();
