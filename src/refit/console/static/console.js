// Comfort only: without it every form has its button.
for (const form of document.querySelectorAll("form[data-sends-itself]")) {
  const range = form.querySelector("input[type=range]");
  const output = form.querySelector("output");
  range.addEventListener("input", () => { output.value = Number(range.value).toPrecision(3); });
  range.addEventListener("change", () => form.requestSubmit());
}
