// What script adds; every page works without it.

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

// A form is sent once: the second click on a slow connection would send it again.
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
}
window.addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});

// Keys of a list: j and k go to the next and the previous row, / to the filter.
const links = [...document.querySelectorAll(".row-link")];
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea")) return;
  const here = links.indexOf(document.activeElement);
  if (event.key === "j" && links.length) links[Math.min(here + 1, links.length - 1)].focus();
  else if (event.key === "k" && links.length) links[Math.max(here - 1, 0)].focus();
  else if (event.key === "/") {
    const filters = document.querySelector("details.filters");
    if (!filters) return;
    filters.open = true;
    filters.querySelector("input, select").focus();
    event.preventDefault();
  }
});

// A page that says how things are now is loaded again while it is looked at; what has the focus or is
// open stays as it is.
const now = document.querySelector("[data-refresh]");
if (now) {
  setInterval(async () => {
    if (document.hidden || now.contains(document.activeElement) || now.querySelector("details[open]")) return;
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
    if (!answer || !answer.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-refresh]");
    if (fresh) now.replaceChildren(...fresh.childNodes);
  }, Number(now.dataset.refresh) * 1000);
}
