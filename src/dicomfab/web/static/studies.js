// Through the instances of a series with the arrow keys left and right, through the frames of one with up and down.

const steps = { ArrowLeft: "a[rel=prev]", ArrowRight: "a[rel=next]", ArrowUp: "a[data-frame=before]", ArrowDown: "a[data-frame=after]" };

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || event.target.closest("input, select, textarea, summary")) return;
  const isFrame = event.key === "ArrowUp" || event.key === "ArrowDown";
  if (isFrame && !event.target.closest("#instance .instance-picture")) return; // else the page scrolls as ever
  const link = steps[event.key] && document.querySelector(`.instance-picture ${steps[event.key]}`);
  if (!link) return;
  event.preventDefault();
  link.click();
});
