// Keeps the page live: it fetches itself anew, and draws what changed. The page says all it has to say without this.
"use strict";

const EVERY = 2000, KEPT = 60;
const history = new Map();
let before = null;

function remember(name, value) {
  const values = history.get(name) ?? [];
  values.push(value);
  if (values.length > KEPT) values.shift();
  history.set(name, values);
  return values;
}

function draw(svg, values) {
  const most = Math.max(1, ...values);
  // The newest at the right.
  const across = (at) => (100 - ((values.length - 1 - at) * 100) / (KEPT - 1)).toFixed(2);
  const points = values.map((value, at) => `${across(at)},${(19 - (value * 18) / most).toFixed(2)}`);
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  line.setAttribute("points", points.join(" "));
  svg.replaceChildren(line);
  svg.setAttribute("viewBox", "0 0 100 20");
  svg.setAttribute("preserveAspectRatio", "none");
}

// Figures by name; a counter becomes a rate by the receiver's own clock.
function read(root) {
  const main = root.querySelector("main");
  const now = { pid: main.dataset.pid, seconds: Number(main.dataset.uptime), counters: {} };
  for (const svg of root.querySelectorAll("svg[data-counter]")) {
    now.counters[svg.dataset.counter] = Number(svg.dataset.value);
  }
  return now;
}

function show(root) {
  const now = read(root);
  const same = before && before.pid === now.pid && now.seconds > before.seconds;
  if (!same) history.clear();
  for (const svg of root.querySelectorAll("svg[data-counter]")) {
    const name = svg.dataset.counter;
    if (!same || !(name in before.counters)) continue;
    const rate = Math.max(0, now.counters[name] - before.counters[name]) / (now.seconds - before.seconds);
    draw(svg, remember(name, rate));
    const note = svg.parentElement.querySelector("small");
    if (note) note.textContent = `${rate < 10 ? rate.toFixed(1) : Math.round(rate)} a second`;
  }
  for (const svg of root.querySelectorAll("svg[data-gauge]")) {
    draw(svg, remember(svg.dataset.gauge, Number(svg.dataset.value)));
  }
  before = now;
}

async function refresh() {
  const state = document.getElementById("live");
  try {
    const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(answer.statusText);
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    show(next);
    document.querySelector("main").replaceWith(document.adoptNode(next.querySelector("main")));
    state.textContent = "live";
    state.className = "good";
  } catch (error) {
    state.textContent = `no answer since ${new Date().toLocaleTimeString()}`;
    state.className = "bad";
  }
  setTimeout(refresh, document.hidden ? 5 * EVERY : EVERY);
}

show(document);
setTimeout(refresh, EVERY);
