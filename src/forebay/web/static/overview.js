"use strict";
// Sorts and filters the rows of the overview. Without JavaScript the rows are in the order of the names.

const tools = document.getElementById("tools");
const filter = document.getElementById("filter");
const order = document.getElementById("sort");
const attention = document.getElementById("attention");

function valueOf(row, key) {
  if (key === "name") return row.dataset.name.toLocaleLowerCase();
  const text = row.dataset[key === "fall" ? "change" : key];
  if (key === "age" && text === "") return Infinity; // no forecast at all
  return text === "" ? null : Number(text);
}

function compare(one, two) {
  if (one === null || two === null) return (one === null) - (two === null); // unknown values come last
  return one < two ? -1 : one > two ? 1 : 0;
}

function arrange() {
  const body = document.querySelector(".overview tbody");
  if (!body) return;
  const rows = [...body.rows];
  const sign = order.selectedOptions[0].dataset.descending ? -1 : 1;
  const keyed = rows.map((row) => [valueOf(row, order.value), row.dataset.name.toLocaleLowerCase(), row]);
  keyed.sort((one, two) => {
    const isUnknown = one[0] === null || two[0] === null;
    return compare(one[0], two[0]) * (isUnknown ? 1 : sign) || compare(one[1], two[1]);
  });
  body.append(...keyed.map((entry) => entry[2]));
  const words = filter.value.toLocaleLowerCase().split(/\s+/);
  let count = 0;
  for (const row of rows) {
    const name = row.dataset.name.toLocaleLowerCase();
    row.hidden = !words.every((word) => name.includes(word)) || (attention.checked && row.dataset.attention !== "1");
    count += !row.hidden;
  }
  document.getElementById("count").textContent = `${count} of ${rows.length} dams`;
}

if (tools) {
  tools.hidden = false;
  tools.addEventListener("submit", (event) => event.preventDefault());
  for (const part of [filter, order, attention]) part.addEventListener("input", arrange);
  document.addEventListener("content-replaced", arrange);
  arrange();
}
