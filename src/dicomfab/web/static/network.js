// Escape leaves the form in a cell of the routing matrix, as its Cancel does.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  event.target.closest("[data-escape-cancels]")?.querySelector("[data-cancel]").click();
});
