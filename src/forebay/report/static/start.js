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
  const finish = () => {
    // A group of marks without a mark has no name for a screen reader.
    for (const group of place.querySelectorAll('g[role="graphics-symbol"]:empty')) group.removeAttribute("role");
    place.dataset.complete = "";
  };
  delete place.dataset.complete;
  place.dataset.width = place.clientWidth;
  vegaEmbed(place, spec, options).then(finish).catch((error) => {
    place.textContent = "This chart could not be drawn: " + error;
    console.error(error);
  });
}

// Folded charts wait until the page has time; paper shows them, too.
function drawLater(scripts) {
  if (!scripts.length) return;
  (window.requestIdleCallback ?? setTimeout)(() => {
    if (scripts[0].isConnected) drawChart(scripts[0]);
    drawLater(scripts.slice(1));
  });
}

// Draws the charts below `root` and connects their buttons; a page that replaces a part of itself calls it again.
function startCharts(root) {
  const scripts = [...root.querySelectorAll("script[data-chart]")];
  const isFolded = (script) => script.closest("details:not([open])") !== null;
  for (const script of scripts.filter((each) => !isFolded(each))) drawChart(script);
  drawLater(scripts.filter(isFolded));
  for (const group of root.querySelectorAll("[data-spans]")) {
    const script = root.querySelector(`script[data-chart="${group.dataset.spans}"]`);
    group.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      for (const each of group.querySelectorAll("button")) each.setAttribute("aria-pressed", each === button);
      drawChart(script, Number(button.dataset.days));
    });
  }
  for (const place of root.querySelectorAll(".chart")) {
    place.addEventListener("click", (event) => {
      // A tap: Vega shows tooltips on pointer moves and hides them when the finger leaves. The click comes after both.
      if (event.pointerType === "touch") movePointer(event.clientX, event.clientY, "touch");
    });
    if (root.querySelector(`script[data-chart="${place.id}"]`)?.textContent.includes('"nearest_day"')) followKeys(place);
  }
}

function movePointer(clientX, clientY, pointerType) {
  const move = new PointerEvent("pointermove", {bubbles: true, pointerType, clientX, clientY});
  document.elementFromPoint(clientX, clientY)?.dispatchEvent(move);
}

// Arrow keys move over the days of a chart, as a pointer does; a screen reader reads the values of the day.
function followKeys(place) {
  const values = document.createElement("p");
  values.className = "for-readers";
  values.setAttribute("aria-live", "polite");
  place.after(values);
  place.tabIndex = 0;
  let index = -1;
  place.addEventListener("keydown", (event) => {
    const cells = [...place.querySelectorAll('g[class$="_voronoi"] path')];
    const steps = {ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: cells.length - 1};
    if (!(event.key in steps) || !cells.length) return;
    event.preventDefault();
    place.scrollIntoView({block: "nearest", behavior: "instant"});
    const boxes = cells.map((cell) => cell.getBoundingClientRect()).sort((one, two) => one.left - two.left);
    const frame = place.querySelector("svg").getBoundingClientRect();
    index = Math.min(Math.max(index < 0 && event.key === "ArrowLeft" ? cells.length - 1 : steps[event.key], 0),
      cells.length - 1);
    const {left, right} = boxes[index];
    movePointer((left + right) / 2, frame.top + frame.height / 2, "mouse");
    setTimeout(() => { values.textContent = document.getElementById("vg-tooltip-element")?.innerText ?? ""; }, 50);
  });
  place.addEventListener("blur", () => {
    index = -1;
    values.textContent = "";
    document.getElementById("vg-tooltip-element")?.classList.remove("visible");
  });
}

startCharts(document);

// Paper shows what the page folds.
const folded = [];
window.addEventListener("beforeprint", () => {
  folded.push(...document.querySelectorAll("details:not([open])"));
  for (const part of folded) part.open = true;
});
window.addEventListener("afterprint", () => {
  for (const part of folded.splice(0)) part.open = false;
});
