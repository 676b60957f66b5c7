"use strict";
// Draws every chart of the page from the Vega-Lite text in its script element.
// ast: expressions are interpreted, so that the Content-Security-Policy need not allow eval.
// actions: off, because the menu leads to a web editor.

// The rows of a CSV text without quotes. Vega's own reader creates a function from text, which the policy forbids.
function readCsv(text) {
  const [names, ...lines] = text.trimEnd().split("\n").map((line) => line.split(","));
  return lines.map((cells) => Object.fromEntries(names.map((name, k) => [name, cells[k] === "" ? null : cells[k]])));
}

// JSON.parse calls this for each value: CSV texts become rows, and their format becomes JSON.
function readValue(key, value) {
  if (key === "format" && value.type === "csv") return {...value, type: "json"};
  if (key !== "datasets") return value;
  const rows = Object.entries(value).map(([name, data]) => [name, typeof data === "string" ? readCsv(data) : data]);
  return Object.fromEntries(rows);
}

// Draws the chart of one script element; `days` sets the parameter `span` of a chart that has it.
function drawChart(script, days) {
  const place = document.getElementById(script.dataset.chart);
  const spec = JSON.parse(script.textContent, readValue);
  for (const param of spec.params ?? []) if (param.name === "span" && days) param.value = days;
  // Vega sets the label of the place to the description of the chart.
  spec.description = place.getAttribute("aria-label");
  // Charts below each other have no width of their container; 90 pixels are for the axis.
  for (const part of spec.concat ?? []) part.width = Math.max(place.clientWidth - 90, 150);
  const options = {
    actions: false,
    renderer: "svg",
    ast: true,
    defaultStyle: false,
    tooltip: {disableDefaultStyle: true},
  };
  vegaEmbed(place, spec, options).catch((error) => {
    place.textContent = "This chart could not be drawn: " + error;
    console.error(error);
  });
}

for (const script of document.querySelectorAll("script[data-chart]")) drawChart(script);

for (const group of document.querySelectorAll("[data-spans]")) {
  const script = document.querySelector(`script[data-chart="${group.dataset.spans}"]`);
  group.addEventListener("click", (event) => {
    const chosen = event.target.closest("button");
    if (!chosen) return;
    for (const button of group.querySelectorAll("button")) button.setAttribute("aria-pressed", button === chosen);
    drawChart(script, Number(chosen.dataset.days));
  });
}

// A tap: Vega shows tooltips on pointer moves and hides them when the finger leaves. The click comes after both.
for (const place of document.querySelectorAll(".chart")) {
  place.addEventListener("click", (event) => {
    if (event.pointerType !== "touch") return;
    const {clientX, clientY} = event;
    const move = new PointerEvent("pointermove", {bubbles: true, pointerType: "touch", clientX, clientY});
    document.elementFromPoint(clientX, clientY)?.dispatchEvent(move);
  });
}

// Paper shows what the page folds.
const folded = [];
window.addEventListener("beforeprint", () => {
  folded.push(...document.querySelectorAll("details:not([open])"));
  for (const part of folded) part.open = true;
});
window.addEventListener("afterprint", () => {
  for (const part of folded.splice(0)) part.open = false;
});
