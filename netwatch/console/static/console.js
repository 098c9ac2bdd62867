// What script adds; every page works without it.

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", () =>
    navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent));
}

// The time zone of the browser, where nobody has chosen another one.
for (const field of document.querySelectorAll("[data-zone]")) {
  field.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "";
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

// Keys of a list: j and k go to the next and the previous row, / to the filter. Whoever speaks to the
// machine can switch them off (WCAG 2.1.4).
const links = [...document.querySelectorAll(".row-link")];
for (const box of document.querySelectorAll("[data-keys]")) {
  box.closest("[hidden]").hidden = false;
  box.checked = localStorage.getItem("keys") !== "off";
  box.addEventListener("change", () => localStorage.setItem("keys", box.checked ? "on" : "off"));
}
const isTyped = (event) =>
  localStorage.getItem("keys") === "off" ||
  event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea");
document.addEventListener("keydown", (event) => {
  if (isTyped(event)) return;
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

// Who opens a filter types into it.
for (const filters of document.querySelectorAll("details.filters")) {
  filters.querySelector("summary").addEventListener("click", () => {
    setTimeout(() => filters.open && filters.querySelector("input:not([type=hidden]), select").focus());
  });
}

// Bars of a list that are dragged over are the new period. Without script each is a link.
for (const picture of document.querySelectorAll("[data-bars]")) {
  const bars = [...picture.querySelectorAll("a")];
  let first = -1;
  let last = -1;
  const at = (event) => {
    const { left, width } = picture.getBoundingClientRect();
    const place = Math.floor(((event.clientX - left) / width) * bars.length);
    return Math.max(0, Math.min(bars.length - 1, place));
  };
  const mark = () => bars.forEach((bar, place) => bar.classList.toggle(
    "dragged", first >= 0 && place >= Math.min(first, last) && place <= Math.max(first, last),
  ));
  const end = () => {
    first = last = -1;
    mark();
  };
  for (const hint of document.querySelectorAll("[data-drag]")) hint.hidden = false;
  picture.addEventListener("dragstart", (event) => event.preventDefault());
  picture.addEventListener("pointerdown", (event) => {
    if (event.button === 0) first = last = at(event);
  });
  picture.addEventListener("pointermove", (event) => {
    if (first < 0) return;
    last = at(event);
    if (last !== first) picture.setPointerCapture(event.pointerId);
    mark();
  });
  picture.addEventListener("pointercancel", end);
  window.addEventListener("pointerup", () => {
    const [from, to] = [bars[Math.min(first, last)], bars[Math.max(first, last)]];
    const isDragged = first !== last;
    end();
    if (!isDragged) return;
    const address = new URL(from.href.baseVal, location.href);
    address.searchParams.set("from", from.dataset.from);
    address.searchParams.set("to", to.dataset.to);
    location.assign(address);
  });
}

// A page that says how things are now is loaded again when the server says that something changed,
// while it is looked at. What has the focus or is open stays as it is until that ends. A paused page
// stays as it is, and says how many incidents came meanwhile; the server counts them up to a limit.
const now = document.querySelector("[data-events]");
const live = document.querySelector("[data-live]");
if (now && live) {
  const [state, button] = [live.querySelector("[role=status]"), live.querySelector("button")];
  let events = null;
  let waits = false;
  let paused = false;
  let newer = null;

  const tell = (text) => {
    if (state.textContent !== text) state.textContent = text;
  };
  const show = () => {
    const { live: follows, paused: stays, newer: outdated, most, orMore } = live.dataset;
    button.textContent = paused ? button.dataset.resume : button.dataset.pause;
    if (!paused) tell(follows);
    else if (newer === null) tell(stays);
    else tell(outdated.replace("#", newer < Number(most) ? newer : orMore));
  };
  const load = async () => {
    waits = now.contains(document.activeElement) || now.querySelector("details[open]") !== null;
    if (waits || paused) return;
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
    if (!answer || !answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("[data-events]");
    if (!fresh || paused) return;
    now.replaceChildren(...fresh.childNodes);
    now.dataset.events = fresh.dataset.events;
  };
  const changed = (event) => {
    newer = Number(event.data.split(" ")[1]);
    if (paused) show();
    else load();
  };
  const connect = () => {
    if (events || document.hidden) return;
    events = new EventSource(now.dataset.events);
    events.addEventListener("open", show);
    events.addEventListener("changed", changed);
    events.addEventListener("error", () => {
      if (!events || events.readyState !== EventSource.CLOSED) return;
      events = null;
      tell(live.dataset.lost);
      setTimeout(connect, 60000);
    });
  };
  const disconnect = () => {
    if (events) events.close();
    events = null;
  };
  // Events begin again with what the page shows: one follows at once if that is out of date.
  const toggle = () => {
    paused = !paused;
    newer = null;
    disconnect();
    show();
    connect();
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
  const resume = () => setTimeout(() => waits && load());
  now.addEventListener("focusout", resume);
  now.addEventListener("toggle", resume, true);
  button.addEventListener("click", toggle);
  document.addEventListener("keydown", (event) => {
    if (event.key === "p" && !isTyped(event)) toggle();
  });
  live.hidden = false;
  show();
  connect();
}
