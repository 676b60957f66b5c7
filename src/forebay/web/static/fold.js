"use strict";
// Folded sections: a link to one opens it, and a chart that was drawn at another width is drawn again.

function openTarget() {
  const section = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const fold = section && section.querySelector(":scope > details.fold");
  if (!fold || fold.open) return;
  fold.open = true;
  section.scrollIntoView({behavior: "instant"});
}

document.addEventListener("toggle", (event) => {
  if (!event.target.matches("details.fold[open]")) return;
  for (const script of event.target.querySelectorAll("script[data-chart]")) {
    const place = document.getElementById(script.dataset.chart);
    if (place.dataset.width !== String(place.clientWidth)) drawChart(script);
  }
}, true);
document.addEventListener("click", (event) => {
  if (event.target.closest('a[href*="#"]')) setTimeout(openTarget); // also if the address stays the same
});
window.addEventListener("hashchange", openTarget);
openTarget();
