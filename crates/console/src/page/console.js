// The console: draws what the server pushes. Nothing here asks again and again, and nothing here changes anything.
"use strict";

const BASE = "/.truth-yard";
const MAX_LINES = 2000;
const byId = (id) => document.getElementById(id);

/** An element with attributes and children; text is always text, never HTML. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "click") element.addEventListener("click", value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const inUrl = (path) => path.split("/").map(encodeURIComponent).join("/");
const file = (path) => `${BASE}/ledger.d/${inUrl(path)}`;
const elsewhere = { target: "_blank", rel: "noopener noreferrer" };

let state = { services: [], reconcile: { items: [], problems: [], summary: {} }, proxy: { table: [], conflicts: [] } };

// --- services -------------------------------------------------------------------------------------------------------

const LOOKS = { ready: "good", running: "good", dead: "bad", failed: "bad", stopped: "idle" };
const GONE = new Set(["dead", "failed", "stopped"]);
const rows = new Map();

function drawServices() {
  const wanted = byId("filter").value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const shown = state.services.filter((service) => {
    const text = [service.id, service.kind, service.state, service.path, service.prefix, service.port, service.pid, service.reason];
    return wanted.every((word) => text.join(" ").toLowerCase().includes(word));
  });
  const body = byId("rows");
  const kept = new Set();
  shown.forEach((service, index) => {
    kept.add(service.id);
    const drawn = JSON.stringify([service, state.proxy.isOn, service.id === following]);
    let row = rows.get(service.id);
    if (!row || row.drawn !== drawn) {
      const focus = row && row.element.contains(document.activeElement) ? focused(row.element) : -1;
      const element = serviceRow(service);
      if (row) row.element.replaceWith(element);
      row = { drawn, element };
      rows.set(service.id, row);
      if (focus >= 0) element.querySelectorAll("a, button")[focus]?.focus();
    }
    if (body.children[index] !== row.element) body.insertBefore(row.element, body.children[index] ?? null);
  });
  for (const [id, row] of rows) {
    if (!kept.has(id)) { row.element.remove(); rows.delete(id); }
  }
  const live = state.services.filter((service) => !GONE.has(service.state)).length;
  byId("counts").textContent = `${live} running, ${state.services.length} in the ledger` +
    (shown.length === state.services.length ? "" : `, ${shown.length} shown`);
  byId("nothing").hidden = shown.length > 0;
  byId("nothing").textContent = state.services.length ? "No service matches the filter."
    : "There is no service in this ledger yet. `ledger yard start` starts one over every data file in cargo.d.";
}

const focused = (element) => [...element.querySelectorAll("a, button")].indexOf(document.activeElement);

function serviceRow(service) {
  const isLive = !GONE.has(service.state);
  const details = [service.reason, ending(service), service.restarts ? `restarted ${service.restarts}×` : null].filter(Boolean);
  const base = service.prefix.replace(/\/+$/, "");
  const opens = [];
  if (isLive && state.proxy.isOn) opens.push(make("a", { href: `${inUrl(base)}/`, ...elsewhere }, service.prefix || "/"));
  else if (service.prefix) opens.push(make("span", { class: "empty" }, service.prefix));
  if (isLive && service.upstreamUrl) {
    opens.push(make("small", {}, make("a", { href: service.upstreamUrl, ...elsewhere }, "direct")));
  }
  const files = [["context", service.context], ["stdout", service.stdout], ["stderr", service.stderr]]
    .filter(([, path]) => path).map(([name, path]) => make("a", { href: file(path), ...elsewhere }, name));
  const isOpen = service.id === following;
  return make("tr", { class: isOpen ? "open" : null },
    make("td", {}, make("span", { class: "name" }, service.id), make("small", { title: service.provenance }, `${service.kind} · ${service.path}`)),
    make("td", {}, make("span", { class: `state ${LOOKS[service.state] ?? ""}`, title: service.since ? `since ${service.since}` : null }, service.state),
      details.length ? make("small", {}, details.join(" · ")) : null),
    make("td", {}, isLive && service.pid ? String(service.pid) : "–"),
    make("td", {}, service.port ? String(service.port) : "–"),
    make("td", {}, ...opens),
    make("td", {}, make("button", { type: "button", "aria-expanded": String(isOpen), "aria-label": `Logs of ${service.id}`,
      click: () => { location.hash = isOpen ? "" : `logs=${encodeURIComponent(service.id)}`; } }, isOpen ? "Close" : "Logs")),
    make("td", {}, ...files));
}

function ending(service) {
  if (service.signal) return `ended by signal ${service.signal}`;
  if (service.exitCode !== null && service.exitCode !== undefined) return `exit code ${service.exitCode}`;
  return null;
}

// --- reconcile and proxy --------------------------------------------------------------------------------------------

function drawReconcile() {
  const { items, problems, agreeing } = state.reconcile;
  const agree = agreeing === 1 ? "1 service is as the ledger says." : `${agreeing ?? 0} services are as the ledger says.`;
  byId("agreeing").textContent = items.length || problems.length ? agree : `${agree} Nothing to do.`;
  const titles = { process_without_ledger: "Process without ledger", ledger_without_process: "Ledger without process",
    service_without_keeper: "Service without keeper" };
  byId("drift").replaceChildren(
    ...items.map((item) => make("li", {},
      make("strong", {}, titles[item.kind] ?? item.kind), ` ${item.serviceId ?? ""} ${item.pid ? `[${item.pid}]` : ""}`,
      make("small", {}, item.ledgerContextPath ?? item.contextPath ?? ""), withCode(item.advice ?? ""))),
    ...problems.map((problem) => make("li", {}, make("strong", {}, "Unreadable"), make("small", {}, problem))));
}

/** Text in which `commands` stand between backquotes. */
function withCode(text) {
  return make("span", {}, ...text.split("`").map((part, index) => (index % 2 ? make("code", {}, part) : part)));
}

let health = new Map();

function drawProxy() {
  const { isOn, table, conflicts } = state.proxy;
  byId("proxy-off").hidden = isOn !== false;
  byId("routes").replaceChildren(...table.map((route) => make("tr", {},
    make("td", {}, isOn ? make("a", { href: `${inUrl(route.basePath.replace(/\/+$/, ""))}/`, ...elsewhere }, route.basePath) : route.basePath),
    make("td", {}, route.service, make("small", {}, route.upstreamUrl)),
    make("td", {}, healthOf(health.get(route.upstreamUrl))))));
  byId("conflicts").replaceChildren(...conflicts.map((conflict) => make("li", {},
    make("strong", {}, `${conflict.basePath} is wanted by several services`), make("small", {}, conflict.upstreamUrls.join(", ")))));
}

function healthOf(result) {
  if (!result) return "–";
  const text = result.error ?? `${result.status} · ${result.ms} ms`;
  return make("span", { class: `state ${result.ok ? "good" : "bad"}` }, text);
}

byId("health").addEventListener("click", async () => {
  const [button, note] = [byId("health"), byId("health-note")];
  button.disabled = true;
  note.textContent = "asking …";
  try {
    const answer = await (await fetch(`${BASE}/api/health.json?max=500`)).json();
    health = new Map(answer.results.map((result) => [result.upstreamUrl, result]));
    const fine = answer.results.filter((result) => result.ok).length;
    note.textContent = `${fine} of ${answer.count} answer (${new Date(answer.now).toLocaleTimeString()})`;
  } catch (error) {
    note.textContent = `not known: ${error.message}`;
  }
  button.disabled = false;
  drawProxy();
});

byId("resolver").addEventListener("submit", async (event) => {
  event.preventDefault();
  const how = event.submitter?.value ?? "proxy-resolve";
  const shown = byId("resolved");
  shown.hidden = false;
  shown.textContent = "…";
  try {
    const answer = await fetch(`${BASE}/api/${how}.json?path=${encodeURIComponent(byId("path").value)}`);
    shown.textContent = JSON.stringify(await answer.json(), null, 2);
  } catch (error) {
    shown.textContent = error.message;
  }
});

// --- live logs ------------------------------------------------------------------------------------------------------

let following = null;
let lines = null;

function openLogs(id) {
  lines?.close();
  lines = null;
  following = id;
  byId("logs").hidden = id === null;
  drawServices();
  if (id === null) return;
  byId("logs-title").textContent = `Logs of ${id}`;
  const [view, link] = [byId("lines"), byId("logs-link")];
  view.replaceChildren();
  link.className = "link";
  link.textContent = "connecting …";
  const source = new EventSource(`${BASE}/api/log-events?service=${encodeURIComponent(id)}`);
  lines = source;
  // After a broken connection everything is told again.
  source.addEventListener("begin", () => { view.replaceChildren(); setLink(link, "on", "live"); });
  source.addEventListener("lines", (event) => append(JSON.parse(event.data)));
  source.addEventListener("missed", () => note("Lines were rotated away before they could be read."));
  source.addEventListener("refused", (event) => {
    note(JSON.parse(event.data).message);
    setLink(link, "off", "refused");
    source.close();
  });
  source.onerror = () => setLink(link, "off", source.readyState === EventSource.CLOSED ? "closed" : "connecting again …");
  byId("logs").scrollIntoView({ block: "nearest" });
}

const plain = (text) => text.replace(/\x1b\[[0-9;?]*[ -\/]*[@-~]/g, "");
const isAtEnd = (view) => view.scrollHeight - view.scrollTop - view.clientHeight < 40;

function append(batch) {
  const view = byId("lines");
  const follows = isAtEnd(view);
  const last = batch.slice(-MAX_LINES);
  view.append(...last.map(({ stream, text }) => make("div", { class: stream }, plain(text))));
  while (view.childElementCount > MAX_LINES) view.firstElementChild.remove();
  if (follows) view.scrollTop = view.scrollHeight;
  byId("newest").hidden = follows;
}

function note(text) {
  byId("lines").append(make("div", { class: "note" }, text));
}

byId("lines").addEventListener("scroll", () => { if (isAtEnd(byId("lines"))) byId("newest").hidden = true; });
byId("newest").addEventListener("click", () => { byId("lines").scrollTop = byId("lines").scrollHeight; });
byId("clear").addEventListener("click", () => byId("lines").replaceChildren());
byId("close").addEventListener("click", () => { location.hash = ""; });
byId("out").addEventListener("change", (event) => byId("lines").classList.toggle("no-stdout", !event.target.checked));
byId("err").addEventListener("change", (event) => byId("lines").classList.toggle("no-stderr", !event.target.checked));
byId("wrap").addEventListener("change", (event) => byId("lines").classList.toggle("wrap", event.target.checked));

function followHash() {
  const wanted = location.hash.startsWith("#logs=") ? decodeURIComponent(location.hash.slice(6)) : null;
  if (wanted !== following) openLogs(wanted);
}

// --- the whole ------------------------------------------------------------------------------------------------------

function setLink(element, look, text) {
  element.className = `link ${look}`;
  element.textContent = text;
}

addEventListener("hashchange", followHash);
byId("filter").addEventListener("input", drawServices);
addEventListener("keydown", (event) => {
  const types = event.target.matches?.("input:not([type=checkbox]), textarea");
  if (event.key === "/" && !types && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    byId("filter").focus();
  } else if (event.key === "Escape") {
    if (event.target === byId("filter")) { byId("filter").value = ""; drawServices(); }
    else if (following !== null) { const id = following; location.hash = ""; focusLogsOf(id); }
  }
});

function focusLogsOf(id) {
  requestAnimationFrame(() => rows.get(id)?.element.querySelector("button")?.focus());
}

const states = new EventSource(`${BASE}/api/events`);
states.addEventListener("state", (event) => {
  state = JSON.parse(event.data);
  setLink(byId("link"), "on", "live");
  byId("ledger").textContent = state.ledgerDir;
  drawServices();
  drawReconcile();
  drawProxy();
  followHash();
});
states.onerror = () => setLink(byId("link"), "off",
  states.readyState === EventSource.CLOSED ? "not connected: load the page again" : "connecting again …");
