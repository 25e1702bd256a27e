// Comfort only: without it every form has its button, and the browser prints as well.
for (const form of document.querySelectorAll("form[data-sends-itself]")) {
  const range = form.querySelector("input[type=range]");
  const output = form.querySelector("output");
  let isByKey = false;
  range.addEventListener("keydown", () => { isByKey = true; });
  range.addEventListener("pointerdown", () => { isByKey = false; });
  range.addEventListener("input", () => { output.value = Number(range.value).toPrecision(3); });
  // Each press of an arrow is a change: sent at once it would take the focus away. Enter sends it.
  range.addEventListener("change", () => { if (!isByKey) form.requestSubmit(); });
}
for (const button of document.querySelectorAll("[data-prints]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
