"use strict";
// Acknowledges an alert. The token stays in this tab only, until it is closed.

const TOKEN = "forebay-token";

async function acknowledge(form) {
  const answer = form.querySelector("output");
  const token = form.elements.token.value || sessionStorage.getItem(TOKEN) || "";
  answer.textContent = "";
  try {
    const response = await fetch(form.dataset.url, {method: "POST", headers: {Authorization: `Bearer ${token}`}});
    if (response.ok) {
      sessionStorage.setItem(TOKEN, token);
      answer.textContent = "Acknowledged.";
      form.elements.token.value = "";
      look();
    } else {
      const problem = await response.json().catch(() => ({detail: response.statusText}));
      if (response.status === 401 || response.status === 403) sessionStorage.removeItem(TOKEN);
      answer.textContent = `Not acknowledged: ${problem.detail}`;
    }
  } catch (error) {
    answer.textContent = "Not acknowledged: the server does not answer. Try again.";
  }
  showFields();
}

function showFields() {
  const hasToken = sessionStorage.getItem(TOKEN) !== null;
  for (const form of document.querySelectorAll("form[data-url]")) {
    form.hidden = false;
    form.querySelector("label").hidden = hasToken;
    form.elements.token.required = !hasToken;
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-url]");
  if (!form) return;
  event.preventDefault();
  acknowledge(form);
});
document.addEventListener("content-replaced", showFields);
showFields();
