// When the stream of the job ends, the study is here, or the job's page says why not.

document.addEventListener("htmx:sseClose", (event) => {
  const { then } = event.target.dataset;
  if (then && event.detail.type === "message") location.replace(then);
});
