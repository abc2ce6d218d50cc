// The status page: reads status.json again and again and shows what it holds, with rates from two
// samples.  It changes nothing and asks no one else.

const PERIOD_MS = 1000;
const PATIENCE_MS = 5000;
const KEPT = 180;               // points of a plot, which is as wide as ...
const WIDE = 60;                // ... these, until there are more
const ROWS = 100;               // services shown unless all are asked for
const EVENTS = 50;
const NAMED = 5;                // services of one event that are named; more are counted
// From here on the page speaks up; docker/prometheus/rules.yml has the same figures.
const FLOOD_PPS = 1000;
const DROPS_PPS = 100;
const FILL_WARN = 0.8, FILL_BAD = 0.95;

const PLOTS = {
  syns: "SYNs/s",
  synack_sent: "Cookies sent/s",
  cookie_valid: "Clients proved/s",
  server_established: "Connections/s",
  dropped: "Drops/s",
  received: "Frames/s",
};

const $ = id => document.getElementById(id);
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

// ---- numbers -----------------------------------------------------------------------------------

const UNITS = ["", " k", " M", " G", " T"];

function short(value) {
  let unit = 0;
  while (Math.abs(value) >= (unit ? 999.95 : 9999.5) && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = value === 0 ? 0 : Math.abs(value) < 9.95 || unit ? 1 : 0;
  return value.toFixed(digits) + UNITS[unit];
}

const whole = value => value.toLocaleString("en");

function duration(seconds) {
  const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60);
  if (hours >= 24) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  if (hours) return `${hours} h ${minutes % 60} min`;
  return minutes ? `${minutes} min` : `${Math.floor(seconds)} s`;
}

const clock = date => date.toLocaleTimeString("en-GB");
const sum = values => values.reduce((total, value) => total + value, 0);
const ratio = (part, all) => all ? part / all : 0;

// ---- samples -----------------------------------------------------------------------------------

let meanings = {};              // counter -> {meaning, drop}, in the order of a frame's life
let former = null;              // the sample before, as `arrange` makes it
const history = Object.fromEntries(Object.keys(PLOTS).map(name => [name, []]));

const dropsOf = counters => sum(Object.entries(counters).map(
  ([name, count]) => meanings[name]?.drop ? count : 0));

// Those answered with cookies, and those that the server had.
const synsOf = counters => (counters.syn_received ?? 0) + (counters.syn_passed ?? 0);

// The answer with what is asked of it often: totals over workers, and everything by its name.
function arrange(status) {
  const totals = {};
  for (const worker of status.workers) {
    for (const [name, count] of Object.entries(worker.counters)) {
      totals[name] = (totals[name] ?? 0) + count;
    }
  }
  totals.dropped = dropsOf(totals);
  totals.syns = synsOf(totals);
  const by = (list, key) => new Map(list.map(one => [one[key], one]));
  return {...status, totals, serviceOf: by(status.services, "name"),
          leavingOf: by(status.leaving, "name"), workerOf: by(status.workers, "lcore"),
          portOf: by(status.ports, "role")};
}

// Seconds between two samples; 0 where the second is of another life of the daemon.
const passed = (now, then) => then ? Math.max(now.uptime_s - then.uptime_s, 0) : 0;

function rate(now, then, seconds) {
  return seconds && then !== undefined ? Math.max((now ?? 0) - (then ?? 0), 0) / seconds : 0;
}

// ---- tables ------------------------------------------------------------------------------------

// Cells are texts, {text, mark}, or {text, fill} with a meter; rows are used again.
function fillTable(id, rows) {
  const table = $(id), body = table.tBodies[0], heads = table.tHead.rows[0].cells;
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((cells, at) => {
    const row = body.rows[at] ?? body.insertRow();
    cells.forEach((cell, column) => {
      const place = row.cells[column] ?? Object.assign(
        row.insertCell(), {className: heads[column].className});
      showCell(place, typeof cell === "object" ? cell : {text: cell}, heads[column].className);
    });
  });
}

function showCell(place, {text, mark = text === "0" ? "zero" : "", fill}, base) {
  const className = `${base} ${mark}`.trim();
  if (place.className !== className) place.className = className;
  if (fill === undefined) {
    if (place.textContent !== text) place.textContent = text;
    return;
  }
  if (!place.firstElementChild) place.replaceChildren(meter(), document.createTextNode(""));
  place.firstElementChild.value = fill;
  if (place.lastChild.data !== text) place.lastChild.data = text;
}

const meter = () => make("meter", {max: 1, low: FILL_WARN, high: FILL_BAD, optimum: 0});
const filled = (part, all) => ({text: `${whole(part)} of ${whole(all)}`, fill: ratio(part, all)});
const percent = part => `${(100 * part).toFixed(1)} %`;
const loss = count => ({text: whole(count), mark: count ? "bad" : "zero"});

// ---- plots and gauges --------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 54;

function makePlots() {
  for (const [name, title] of Object.entries(PLOTS)) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("preserveAspectRatio", "none");
    const line = document.createElementNS(SVG, "polyline");
    line.setAttribute("vector-effect", "non-scaling-stroke");
    svg.append(document.createElementNS(SVG, "path"), line);
    $("plots").append(make("figure", {id: `plot-${name}`}, make("small"),
                           make("figcaption", {textContent: title}),
                           make("output", {textContent: "…"}), svg));
  }
}

function drawPlot(name) {
  const points = history[name], highest = Math.max(...points, 1), figure = $(`plot-${name}`);
  const wide = Math.max(points.length, WIDE);
  const xy = points.map((value, at) => [
    wide - points.length + at, HEIGHT - 2 - (HEIGHT - 4) * value / highest]);
  const line = xy.map(([x, y]) => `${x},${y.toFixed(1)}`).join(" ");
  figure.querySelector("svg").setAttribute("viewBox", `0 0 ${wide - 1} ${HEIGHT}`);
  figure.querySelector("output").textContent = short(points.at(-1));
  figure.querySelector("small").textContent = `peak ${short(Math.max(...points))}`;
  figure.querySelector("polyline").setAttribute("points", line);
  figure.querySelector("path").setAttribute(
    "d", `M${xy[0][0]},${HEIGHT} L${line} L${wide - 1},${HEIGHT} Z`);
}

function showRates(now, seconds) {
  if (!seconds) return;
  for (const name of Object.keys(PLOTS)) {
    history[name].push(rate(now.totals[name], former.totals[name] ?? 0, seconds));
    if (history[name].length > KEPT) history[name].shift();
    drawPlot(name);
  }
}

// [name, part, all] of what can fill up.
const fills = now => [
  ["Connections", sum(now.workers.map(one => one.connections)),
   sum(now.workers.map(one => one.connections_max))],
  ["Half open", sum(now.workers.map(one => one.half_open)),
   sum(now.workers.map(one => one.half_open_max))],
  ["Buffers", sum(now.mempools.map(one => one.in_use)), sum(now.mempools.map(one => one.size))],
];

function showGauges(now) {
  const busiest = Math.max(...now.workers.map(one => busy(one)));
  const gauges = [
    ...fills(now).map(([name, part, all]) => [
      name, ratio(part, all), `${whole(part)} of ${whole(all)}`]),
    ["Busiest worker", busiest, percent(busiest)],
  ];
  gauges.forEach(([name, fill, text], at) => {
    const gauge = $("gauges").children[at] ?? $("gauges").appendChild(
      make("div", {className: "gauge"}, make("span", {textContent: name}), make("output"),
           meter()));
    gauge.querySelector("output").textContent = text;
    gauge.querySelector("meter").value = fill;
  });
}

// The share of cycles in turns that had a frame, since the sample before.
function busy(worker) {
  const then = former?.workerOf.get(worker.lcore);
  if (!then || worker.cycles <= then.cycles) return ratio(worker.busy_cycles, worker.cycles);
  return (worker.busy_cycles - then.busy_cycles) / (worker.cycles - then.cycles);
}

// ---- services ----------------------------------------------------------------------------------

let serviceRows = [];
let order = {by: "syns", descending: true};
let showAll = false;

const COOKIES = {
  always: () => ({text: "always"}),
  off: () => ({text: "off", mark: "zero"}),
  auto: overloaded => overloaded ? {text: "on, by load", mark: "warn"} : {text: "auto"},
  monitor: overloaded => overloaded ? {text: "would be on", mark: "warn"} : {text: "monitor"},
};

function serviceRow(service, seconds) {
  const counters = service.counters, then = former?.serviceOf.get(service.name)?.counters;
  const rates = (...names) => then ? sum(names.map(
    name => rate(counters[name], then[name] ?? 0, seconds))) : 0;
  const drops = Object.keys(counters).filter(name => meanings[name]?.drop);
  const worst = drops.sort((one, other) =>
    rates(other) - rates(one) || counters[other] - counters[one])[0];
  return {
    name: service.name,
    cookies: COOKIES[service.activation](service.overloaded),
    syns: rates("syn_received", "syn_passed"),
    proved: rates("cookie_valid"),
    opened: rates("server_established"),
    connections: service.connections,
    refused: rates("server_refused", "server_unreachable"),
    silent: rates("server_timeout"),
    dropped: rates(...drops),
    total: synsOf(counters),
    reason: worst ?? "",
  };
}

function compare(one, other) {
  const key = row => order.by === "cookies" ? row.cookies.text : row[order.by];
  const [a, b] = [key(one), key(other)];
  const way = order.descending ? -1 : 1;
  return a < b ? -way : a > b ? way : one.name < other.name ? -1 : 1;
}

function showServices() {
  const wanted = $("search").value.trim().toLowerCase();
  const rows = serviceRows.filter(row => row.name.includes(wanted)).sort(compare);
  const shown = showAll ? rows : rows.slice(0, ROWS);
  fillTable("services", shown.map(row => [
    row.name, row.cookies, short(row.syns), short(row.proved), short(row.opened),
    whole(row.connections),
    {text: short(row.refused), mark: row.refused ? "warn" : "zero"},
    {text: short(row.silent), mark: row.silent ? "warn" : "zero"},
    {text: short(row.dropped), mark: row.dropped >= DROPS_PPS ? "bad" : row.dropped ? "" : "zero"},
    whole(row.total), row.reason,
  ]));
  $("services-shown").textContent = `${shown.length} of ${serviceRows.length}`;
  $("all").hidden = showAll || shown.length === rows.length;
}

function sortBy(head) {
  const by = head.dataset.sort, number = head.classList.contains("number");
  order = {by, descending: order.by === by ? !order.descending : number};
  for (const one of head.parentElement.cells) one.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", order.descending ? "descending" : "ascending");
}

function showLeaving(now) {
  fillTable("leaving", now.leaving.map(({name, connections}) => [name, whole(connections)]));
  $("leaving-section").hidden = !now.leaving.length;
}

// ---- the other tables --------------------------------------------------------------------------

function counterRows(now, seconds, wanted) {
  return Object.entries(meanings).filter(([, {drop}]) => wanted(drop)).map(
    ([name, {meaning}]) => ({
      name, meaning, count: now.totals[name] ?? 0,
      rate: former ? rate(now.totals[name], former.totals[name] ?? 0, seconds) : 0,
    }));
}

const counterCells = row => [row.name, {
  text: short(row.rate), mark: meanings[row.name].drop && row.rate >= DROPS_PPS ? "bad"
    : row.rate ? "" : "zero"}, whole(row.count), row.meaning];

function showCounters(now, seconds) {
  const drops = counterRows(now, seconds, drop => drop).filter(row => row.count).sort(
    (one, other) => other.rate - one.rate || other.count - one.count);
  fillTable("drops", drops.map(counterCells));
  $("drops").hidden = !drops.length;
  $("no-drops").hidden = drops.length > 0;
  fillTable("counters", counterRows(now, seconds, () => true).map(counterCells));
}

function showWorkers(now, seconds) {
  fillTable("workers", now.workers.map(worker => {
    const then = former?.workerOf.get(worker.lcore), share = busy(worker);
    const turns = rate(worker.turns, then?.turns, seconds);
    return [
      String(worker.lcore), {text: percent(share), fill: share},
      filled(worker.connections, worker.connections_max),
      filled(worker.half_open, worker.half_open_max),
      short(rate(worker.counters.received, then && (then.counters.received ?? 0), seconds)),
      {text: short(turns), mark: seconds && !turns ? "bad" : ""},
      loss(worker.counters.tx_full ?? 0),
      {text: String(worker.generation), mark: worker.generation < now.generation ? "warn" : ""},
    ];
  }));
  fillTable("mempools", now.mempools.map(pool => [pool.name, filled(pool.in_use, pool.size)]));
}

function showPorts(now, seconds) {
  fillTable("ports", now.ports.map(port => {
    const then = former?.portOf.get(port.role);
    const rates = name => rate(port[name], then?.[name], seconds);
    return [
      port.role, port.device,
      port.link_up ? "up" : {text: "down", mark: "bad"},
      short(rates("rx_packets")), short(rates("rx_bytes") * 8 / 1e6),
      short(rates("tx_packets")), short(rates("tx_bytes") * 8 / 1e6),
      loss(port.rx_missed), loss(port.rx_nombuf), loss(port.rx_errors), loss(port.tx_errors),
    ];
  }));
}

// ---- what is wrong, and what has happened ------------------------------------------------------

function* complaints(now, seconds) {
  if (!now.ready) yield ["bad", "Not ready: the workers don't run yet, or no more."];
  if (now.draining) yield ["warn", "Draining: new connections are not taken."];
  for (const port of now.ports) {
    if (!port.link_up) yield ["bad", `The ${port.role} port has no link.`];
  }
  for (const [name, part, all] of fills(now)) {
    const fill = ratio(part, all);
    if (fill > FILL_WARN) {
      yield [fill > FILL_BAD ? "bad" : "warn", `${name}: ${percent(fill)} in use.`];
    }
  }
  if (!seconds) return;
  for (const worker of now.workers) {
    if (worker.turns === former.workerOf.get(worker.lcore)?.turns) {
      yield ["bad", `The worker on core ${worker.lcore} is stuck: it makes no turn.`];
    }
  }
  const last = name => history[name].at(-1), unproved = last("synack_sent") - last("cookie_valid");
  if (unproved > FLOOD_PPS) {
    yield ["bad", `SYN flood: ${short(unproved)} cookies a second go to clients that prove nothing;`
                  + ` ${short(last("cookie_valid"))} a second prove their address.`];
  }
  if (last("dropped") > DROPS_PPS) {
    yield ["warn", `${short(last("dropped"))} frames a second are dropped.`];
  }
}

function showVerdict(now, seconds) {
  const found = [...complaints(now, seconds)];
  if (!found.length) found.push(["good", "Nothing to complain about."]);
  $("verdict").replaceChildren(...found.map(
    ([className, textContent]) => make("li", {className, textContent})));
}

const missing = (some, others) => [...some.keys()].filter(name => !others.has(name));

function* told(names, what) {
  if (names.length > NAMED) yield `${names.length} services were ${what}.`;
  else for (const name of names) yield `${name} was ${what}.`;
}

// What two samples tell.
function* happenings(now) {
  if (now.uptime_s < former.uptime_s) {
    yield "The daemon was restarted; everything counts from zero.";
    return;
  }
  const came = missing(now.serviceOf, former.serviceOf);
  const went = missing(former.serviceOf, now.serviceOf);
  const ended = missing(former.leavingOf, now.leavingOf);
  yield* told(came, "created");
  yield* told(went, "deleted");
  for (const name of ended) yield `Nothing of the former ${name} is left.`;
  if (now.generation !== former.generation && !came.length && !went.length && !ended.length) {
    yield `Options changed: generation ${now.generation} is published.`;
  }
  for (const port of now.ports) {
    if (port.link_up !== former.portOf.get(port.role)?.link_up) {
      yield `The ${port.role} port's link is ${port.link_up ? "up" : "down"}.`;
    }
  }
  for (const {name, activation, overloaded} of now.services) {
    const then = former.serviceOf.get(name);
    if (then && then.activation !== activation) {
      yield `${name}: its activation is ${activation} now.`;
    } else if (then && then.overloaded !== overloaded) {
      const would = activation === "monitor" ? "would go" : "go";
      yield `${name}: cookies ${would} ${overloaded ? "on: a mark of load was passed"
                                                    : "off: the load has stayed low"}.`;
    }
  }
}

const events = [];

function showEvents(now) {
  if (!former) return;
  for (const text of happenings(now)) events.unshift([clock(new Date()), text]);
  events.splice(EVENTS);
  fillTable("events", events);
  $("events-section").hidden = !events.length;
}

// ---- again and again ---------------------------------------------------------------------------

function show(now) {
  const seconds = passed(now, former);
  $("facts").textContent = `${now.version} on DPDK ${now.dpdk} · up ${duration(now.uptime_s)}`
    + ` · generation ${now.generation}`;
  showEvents(now);
  showRates(now, seconds);
  showGauges(now);
  serviceRows = now.services.map(service => serviceRow(service, seconds));
  showServices();
  showLeaving(now);
  showCounters(now, seconds);
  showWorkers(now, seconds);
  showPorts(now, seconds);
  showVerdict(now, seconds);
}

async function ask(path) {
  const answer = await fetch(path, {signal: AbortSignal.timeout(PATIENCE_MS)});
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

let heardAt = null;

async function look() {
  if (!Object.keys(meanings).length) meanings = await ask("meanings.json");
  const now = arrange(await ask("status.json"));
  heardAt = new Date();
  $("state").textContent = "live";
  $("state").className = "live";
  if (former && now.uptime_s === former.uptime_s) return;     // the same sample
  performance.clearMeasures("update");
  const began = performance.now();
  show(now);
  performance.measure("update", {start: began});
  former = now;
}

async function lookAgain() {
  try {
    if (!document.hidden) await look();
  } catch {
    $("state").textContent = heardAt ? `no answer since ${clock(heardAt)}` : "no answer";
    $("state").className = "lost";
  }
  setTimeout(lookAgain, PERIOD_MS);
}

function listen() {
  $("search").addEventListener("input", showServices);
  $("all").addEventListener("click", () => { showAll = true; showServices(); });
  for (const head of $("services").tHead.rows[0].cells) {
    head.tabIndex = 0;
    head.addEventListener("click", () => { sortBy(head); showServices(); });
    head.addEventListener("keydown", event => { if (event.key === "Enter") head.click(); });
  }
  $("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
}

document.querySelector('th[data-sort="syns"]').setAttribute("aria-sort", "descending");
makePlots();
listen();
lookAgain();
