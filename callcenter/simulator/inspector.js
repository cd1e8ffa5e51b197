"use strict";

const KEPT = 400;
const EVERY_MS = 1500;
const byId = (id) => document.getElementById(id);
const words = { in: "application → carrier", out: "carrier → application", note: "complaint" };
let latest = 0;
let scenarios = {};

function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

async function ask(path, options) {
  const answer = await fetch(`/simulator${path}`, options);
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error || answer.statusText);
  return body;
}

function outcome(exchange) {
  if (exchange.kind === "alert") return element("span", `error ${exchange.error_code}`, "bad");
  if (exchange.fault) return element("span", `${exchange.status ?? "no answer"} (fault: ${exchange.fault})`, "bad");
  if (exchange.milliseconds === null) return element("span", "waiting", "quiet");
  const fine = exchange.status !== null && exchange.status < 400;
  return element("span", `${exchange.status ?? "no answer"} in ${exchange.milliseconds} ms`, fine ? "good" : "bad");
}

function detail(exchange) {
  const box = element("div", "", "detail");
  const list = document.createElement("dl");
  const rows = { Address: exchange.url, Call: exchange.call_sid, Time: exchange.at, ...exchange.params };
  for (const [name, value] of Object.entries(rows)) {
    if (value !== null && value !== "") list.append(element("dt", name), element("dd", String(value)));
  }
  box.append(list);
  if (exchange.body) box.append(element("pre", exchange.body));
  return box;
}

function row(exchange) {
  const item = element("li");
  item.dataset.kind = exchange.kind;
  item.dataset.id = exchange.id;
  const folded = document.createElement("details");
  const head = document.createElement("summary");
  const where = exchange.url.replace(/^https?:\/\/[^/]+/, "").replace(/^\/2010-04-01\/Accounts\/AC[0-9a-f]+/, "…");
  const path = exchange.kind === "alert" ? [where, exchange.body].filter(Boolean).join(": ") : where;
  head.append(
    element("span", exchange.at.slice(11, 19), "quiet"),
    element("span", words[exchange.direction]),
    element("span", [exchange.method, exchange.event].filter(Boolean).join(" ")),
    element("span", path, "path"),
    outcome(exchange),
  );
  folded.append(head, detail(exchange));
  item.append(folded);
  item.hidden = hidden(item);
  return item;
}

function hidden(item) {
  const kind = byId("kind").value;
  return Boolean(kind) && item.dataset.kind !== kind;
}

function show(exchanges) {
  const list = byId("exchanges");
  if (exchanges.length) list.querySelector(":scope > .quiet")?.remove();
  for (const exchange of exchanges) {
    const before = list.querySelector(`[data-id="${exchange.id}"]`);
    const made = row(exchange);
    if (before) {
      made.firstChild.open = before.firstChild.open;
      before.replaceWith(made);
    } else {
      list.prepend(made);
    }
  }
  while (list.children.length > KEPT) list.lastChild.remove();
  const waiting = exchanges.find((e) => e.kind !== "alert" && e.milliseconds === null && !e.fault);
  latest = waiting ? waiting.id - 1 : Math.max(latest, ...exchanges.map((e) => e.id));
}

function showCalls(calls) {
  const rows = calls.map((call) => {
    const where = call.conference ? `in conference ${call.conference}` : call.queue ? `in queue ${call.queue}` : "";
    return element("li", [`${call.from} → ${call.to}`, call.status, where, call.hold ? "on hold" : ""].filter(Boolean).join(", "));
  });
  byId("calls").replaceChildren(...(rows.length ? rows : [element("li", "Nobody is on the line.", "quiet")]));
}

async function refresh() {
  try {
    show((await ask(`/exchanges?since=${latest}`)).exchanges);
    showCalls((await ask("/state")).live_calls);
  } catch {
    showCalls([]);
  }
}

async function place(event) {
  event.preventDefault();
  const body = JSON.stringify({ scenario: byId("scenario").value, to: byId("to").value });
  try {
    const placed = await ask("/calls", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    byId("said").textContent = `The call ${placed.sid} rings.`;
    await refresh();
  } catch (error) {
    byId("said").textContent = `No call was placed: ${error.message}`;
  }
}

async function fill() {
  const numbers = Object.keys(await ask("/numbers"));
  byId("to").replaceChildren(...numbers.map((number) => new Option(number, number)));
  if (!numbers.length) byId("to").append(new Option("no number is configured", ""));
  scenarios = (await ask("/scenarios")).scenarios;
  byId("scenario").replaceChildren(...Object.keys(scenarios).map((name) => new Option(name.replaceAll("_", " "), name)));
  describe();
}

function describe() {
  byId("about").textContent = scenarios[byId("scenario").value]?.about ?? "";
}

byId("place").addEventListener("submit", place);
byId("scenario").addEventListener("change", describe);
byId("kind").addEventListener("change", () => {
  for (const item of byId("exchanges").children) if (item.dataset.kind) item.hidden = hidden(item);
});
setInterval(() => byId("follow").checked && !document.hidden && refresh(), EVERY_MS);
fill().then(refresh);
