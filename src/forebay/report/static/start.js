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

for (const script of document.querySelectorAll("script[data-chart]")) {
  const place = document.getElementById(script.dataset.chart);
  const options = {
    actions: false,
    renderer: "svg",
    ast: true,
    defaultStyle: false,
    tooltip: {disableDefaultStyle: true},
  };
  vegaEmbed(place, JSON.parse(script.textContent, readValue), options).catch((error) => {
    place.textContent = "This chart could not be drawn: " + error;
    console.error(error);
  });
}
