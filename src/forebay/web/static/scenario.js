"use strict";
// Asks the server for the forecast of a scenario while a slider moves, and draws the answer in the same chart.

const form = document.getElementById("scenario");
const status = document.getElementById("scenario-status");
const numbers = document.getElementById("scenario-rows");
const notes = document.getElementById("scenario-notes");
const PAUSE_MS = 120; // after an answer: a moving slider must not exceed the rate that needs no token
const request = {number: 0, isBusy: false, isDue: false, view: null};

// A release has no steps: today's value is one of them. What is sent is what is displayed.
const valueOf = (input) => Number(Number(input.value).toPrecision(4));
const valuesOf = (name) => [...form.querySelectorAll(`input[data-kind="${name}"]`)].map(valueOf);

function question() {
  const rain = valuesOf("rain");
  const plans = form.elements.planned?.checked
    ? {release: valuesOf("release"), release_unit: form.dataset.releaseUnit} : {};
  return {rain, rain_unit: form.dataset.rainUnit, ...plans};
}

function showValues() {
  for (const input of form.querySelectorAll('input[type="range"]')) {
    input.parentElement.querySelector("output").textContent = `${valueOf(input)} ${input.dataset.unit}`;
  }
  const isPlanned = form.elements.planned?.checked ?? false;
  for (const input of form.querySelectorAll('input[data-kind="release"]')) input.disabled = !isPlanned;
}

// A row per day with its quantiles: q05, q50 and so on.
function rowsOf(forecast) {
  const days = new Map();
  for (const {valid_date: date, quantile, level} of forecast) {
    const row = days.get(date) ?? {date: `${date}T00:00:00`};
    row[`q${String(Math.round(quantile * 100)).padStart(2, "0")}`] = level;
    days.set(date, row);
  }
  return [...days.values()];
}

const decimals = Number(form?.dataset.decimals ?? 3);
const format = (value) => (value === null || value === undefined ? "–"
  : value.toLocaleString("en", {minimumFractionDigits: decimals, maximumFractionDigits: decimals}).replace("-", "−"));

function probability(value) {
  const percent = Math.round(100 * value);
  return percent < 1 ? "< 1%" : percent > 99 ? "> 99%" : `${percent}%`;
}

// Probabilities of a level at or above each threshold by the last day; one that is below the level has none to show.
function chances(rows, start) {
  const last = Math.max(0, ...rows.map((row) => row.lead));
  const own = rows.filter((row) => row.kind === "by" && row.lead === last && !row.threshold.startsWith("level+"));
  return own.map((row) => {
    const name = row.threshold === "full_supply" ? "full supply" : row.threshold;
    return `${name}: ${start >= row.threshold_level ? "at or above it now" : probability(row.probability).replace(" ", "\u00a0")}`;  // on one line of a phone
  });
}

function showAnswer(answer) {
  const rows = rowsOf(answer.forecast);
  const start = {date: `${answer.init_date}T00:00:00`};
  for (const name of ["q05", "q10", "q50", "q90", "q95"]) start[name] = answer.start_level;
  const values = [start, ...rows].map((row) => ({...row, date: new Date(row.date)}));
  request.view?.data("scenario", values).run();
  numbers.replaceChildren(...rows.map((row) => {
    const line = document.createElement("tr");
    const cells = [row.date.slice(0, 10), format(row.q50), `${format(row.q05)} to ${format(row.q95)}`];
    const labels = ["Day", "Median", "90% interval"];
    cells.forEach((text, k) => {
      const cell = line.insertCell();
      cell.textContent = text;
      cell.dataset.label = labels[k];
      if (k) cell.className = "number";
    });
    return line;
  }));
  const events = chances(answer.probabilities, answer.start_level);
  status.textContent = events.length
    ? `If this rain falls, probability of a level at or above these by the last day: ${events.join("; ")}.`
    : "If this rain falls, the level is as in the chart.";
  notes.replaceChildren(...answer.notes.map((text) => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  }));
}

async function ask() {
  if (request.isBusy) {
    request.isDue = true;
    return;
  }
  request.isBusy = true;
  let wait = 0;
  try {
    const response = await fetch(form.dataset.url, {
      method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(question()),
    });
    const answer = await response.json().catch(() => ({detail: response.statusText}));
    if (response.ok) showAnswer(answer);
    else status.textContent = `No scenario: ${answer.detail}`;
    if ([429, 503].includes(response.status)) wait = 1000 * (Number(response.headers.get("Retry-After")) || 5);
  } catch (error) {
    status.textContent = "No scenario: the server does not answer.";
  }
  setTimeout(() => {
    request.isBusy = false;
    if (!wait && !request.isDue) return;
    request.isDue = false;
    ask();
  }, wait || PAUSE_MS);
}

async function startScenario() {
  const script = document.querySelector('script[data-scenario]');
  const place = document.getElementById(script.dataset.scenario);
  const spec = JSON.parse(script.textContent, readValue);
  spec.description = place.getAttribute("aria-label");
  const options = {actions: false, renderer: "svg", ast: true, defaultStyle: false, tooltip: {disableDefaultStyle: true},
    logLevel: 1}; // errors only: the scenario has no data before its first answer
  request.view = (await vegaEmbed(place, spec, options)).view;
  place.dataset.complete = "";
  showValues();
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => {
    showValues();
    ask();
  });
  ask();
}

if (form) startScenario();
