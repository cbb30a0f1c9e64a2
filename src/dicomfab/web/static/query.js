// The query page: servers chosen with one click, the UIDs of chosen rows, and what a move will do.

document.addEventListener("click", (event) => {
  const preset = event.target.closest("button[data-choose]");
  if (preset) {
    event.preventDefault();
    const ids = preset.dataset.choose.split(" ");
    for (const box of preset.form.querySelectorAll("input[name=pacs]")) box.checked = ids.includes(box.value);
  }
  const copier = event.target.closest("button[data-copy-chosen]");
  if (!copier) return;
  const rows = [...copier.form.elements].filter((box) => box.name === "row" && box.checked);
  const uids = [...new Set(rows.map((box) => box.value.split("|").at(-1)))];
  navigator.clipboard.writeText(uids.join("\n")).then(() => {
    document.getElementById("copied").textContent = `Copied ${uids.length} UID${uids.length === 1 ? "" : "s"}`;
  });
});

document.addEventListener("change", (event) => {
  const name = event.target.form?.querySelector("[data-destination-name]");
  if (name && event.target.name === "destination") name.textContent = event.target.selectedOptions[0].dataset.name ?? "the server that you choose";
});

// Chosen series stay chosen when the row that shows them is closed, and are ticked when it is opened again.
const seriesBoxes = (slot) => slot.querySelectorAll("input[name=row]");
document.addEventListener("htmx:beforeRequest", (event) => {
  const slot = event.detail.elt.matches("[data-detail]") && document.getElementById(event.detail.elt.getAttribute("aria-controls"));
  for (const box of slot ? seriesBoxes(slot) : []) {
    if (!box.checked || !box.form) continue;
    const kept = Object.assign(document.createElement("input"), { type: "checkbox", name: "row", value: box.value, checked: true, hidden: true });
    box.form.append(kept);
  }
}, true);
document.addEventListener("htmx:afterSwap", (event) => {
  for (const box of seriesBoxes(event.target)) {
    const twin = box.form && [...box.form.querySelectorAll("input[name=row][hidden]")].find((one) => one.value === box.value);
    if (!twin) continue;
    box.checked = twin.checked;
    twin.remove();
  }
});
