"use strict";
// Follows the server: an event, or a look every few minutes, replaces the content of the page without a reload.
// A page without contact says since when, and becomes stale by its own clock.

const EVENTS = "/api/v1/events";
const LOOK_MS = 5 * 60 * 1000;
const LOOK_WITHOUT_EVENTS_MS = 30 * 1000;
const live = document.getElementById("content").dataset.live;
const contact = {last: new Date(), texts: [], period: LOOK_MS, timer: 0, isBusy: false, isDue: false};

function showContact(isLost) {
  const place = document.getElementById("contact");
  const staleAt = document.getElementById("content").dataset.staleAt;
  const isStale = staleAt && new Date(staleAt) <= new Date();
  const time = contact.last.toISOString().slice(0, 16).replace("T", " ");
  place.hidden = !isLost;
  if (!isLost) return;
  const stale = isStale ? " The forecast on this page is STALE: it is no current forecast." : "";
  place.textContent = `No contact with the server since ${time} UTC: this page shows the state of that time.${stale}`;
  if (isStale && !document.title.startsWith("STALE")) document.title = `STALE: ${document.title}`;
}

// Text of each part of the content as the server sent it, before charts and order change it.
const textsOf = (content) => [...content.children].map((part) => part.outerHTML);

// Rows that differ are replaced, so that the others keep their place and their focus.
function replaceRows(before, after) {
  const rows = [...after.querySelectorAll("tbody tr[id]")];
  const old = new Map([...before.querySelectorAll("tbody tr[id]")].map((row) => [row.id, row]));
  if (!rows.length || rows.length !== old.size || !rows.every((row) => old.has(row.id))) return false;
  for (const row of rows) {
    const text = old.get(row.id).outerHTML.replace(/ hidden=""/, "");
    if (text !== row.outerHTML) old.get(row.id).replaceWith(document.adoptNode(row));
  }
  return true;
}

// Replaces a part; what the reader has opened or pressed stays so.
function replacePart(before, after) {
  if (replaceRows(before, after)) return;
  const open = [...before.querySelectorAll("details")].map((part) => part.open);
  const days = before.querySelector('[data-spans] [aria-pressed="true"]')?.dataset.days;
  const focus = before.contains(document.activeElement) ? document.activeElement.id : "";
  before.replaceWith(document.adoptNode(after));
  after.querySelectorAll("details").forEach((part, k) => { part.open = open[k] ?? part.open; });
  if (typeof startCharts === "function") startCharts(after);
  const button = days && after.querySelector(`[data-spans] button[data-days="${days}"]`);
  if (button && button.getAttribute("aria-pressed") !== "true") button.click();
  if (focus) document.getElementById(focus)?.focus({preventScroll: true});
}

function replaceContent(page) {
  const before = document.getElementById("content");
  const after = page.getElementById("content");
  const texts = textsOf(after);
  document.title = page.title;
  document.querySelector("footer").replaceWith(document.adoptNode(page.querySelector("footer")));
  before.dataset.staleAt = after.dataset.staleAt;
  const height = window.scrollY;
  if (texts.length === contact.texts.length) {
    const parts = [...before.children];
    [...after.children].forEach((part, k) => { if (texts[k] !== contact.texts[k]) replacePart(parts[k], part); });
  } else {
    before.replaceChildren(...[...after.children].map((part) => document.adoptNode(part)));
    if (typeof startCharts === "function") startCharts(before);
  }
  contact.texts = texts;
  window.scrollTo(0, height);
  document.dispatchEvent(new Event("content-replaced"));
}

async function look() {
  clearTimeout(contact.timer);
  if (contact.isBusy) {
    contact.isDue = true;
    return;
  }
  contact.isBusy = true;
  try {
    const answer = await fetch(location.href, {cache: "no-cache"});
    if (!answer.ok) throw new Error(answer.statusText);
    replaceContent(new DOMParser().parseFromString(await answer.text(), "text/html"));
    contact.last = new Date();
    showContact(false);
  } catch (error) {
    showContact(true);
  }
  contact.isBusy = false;
  contact.timer = setTimeout(look, contact.isDue ? 0 : contact.period);
  contact.isDue = false;
}

function follow() {
  const source = new EventSource(EVENTS);
  source.addEventListener("dam", (event) => {
    const {dam} = JSON.parse(event.data);
    if (live !== "*" && dam !== live) return;
    clearTimeout(contact.timer);
    contact.timer = setTimeout(look, 200);
  });
  source.addEventListener("open", () => { contact.period = LOOK_MS; });
  source.addEventListener("error", () => {
    contact.period = LOOK_WITHOUT_EVENTS_MS;
    clearTimeout(contact.timer);
    contact.timer = setTimeout(look, 1000);
  });
}

if (live) {
  contact.texts = textsOf(document.getElementById("content")); // this script runs first
  contact.timer = setTimeout(look, LOOK_MS);
  follow();
  window.addEventListener("online", look);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
}
