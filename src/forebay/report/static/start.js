"use strict";
// Draws every chart of the page from the Vega-Lite text in its script element.
// ast: expressions are interpreted, so that the Content-Security-Policy need not allow eval.
// actions: off, because the menu leads to a web editor.
for (const script of document.querySelectorAll("script[data-chart]")) {
  const place = document.getElementById(script.dataset.chart);
  const options = {
    actions: false,
    renderer: "svg",
    ast: true,
    defaultStyle: false,
    tooltip: {disableDefaultStyle: true},
  };
  vegaEmbed(place, JSON.parse(script.textContent), options).catch((error) => {
    place.textContent = "This chart could not be drawn: " + error;
    console.error(error);
  });
}
