// The blocks of the page, each made from a state.

import { h } from "./dom.js";
import { address, duration, milliseconds, moment, number, rate, size, spoken } from "./words.js";

const STEPS = [
  ["Connect", ["connecting"]],
  ["PING", ["receive_pong"]],
  ["AUTH", ["send_auth", "receive_auth"]],
  ["Port", ["send_port", "receive_port"]],
  ["Address", ["send_ip", "receive_ip"]],
  ["Capabilities", ["send_capa", "receive_capa"]],
  ["PSYNC", ["send_psync", "receive_psync"]],
  ["Full sync", ["transfer"]],
  ["Stream", ["connected"]],
];

/** One line on what this is. */
export function summary(state) {
  const { link, role } = state.replication;
  const what = link ? `replica of ${address(link.host, link.port)}` : role;
  return [
    h("strong", null, what),
    ` on port ${state.port} · txrepl ${state.version}, Redis ${state.redis_version}’s commands · up ${duration(state.uptime_seconds)}`,
  ];
}

/** What needs somebody's attention. */
export function alerts(state) {
  const { link } = state.replication;
  const found = [];
  if (link?.guard.state === "stopped") {
    found.push(
      alert("bad", "The guard has stopped the link", `Nothing is replicated until you decide: ${link.guard.reason}`, [
        button("guard-accept", "Accept the primary’s data…", "danger"),
        button("guard-promote", "Promote with the data kept here…", "strong"),
      ]),
    );
  } else if (state.unready) {
    found.push(alert("busy", "Not ready for readers", state.unready));
  }
  if (link && link.delay.state !== "off") {
    found.push(delay(link.delay));
  }
  if (state.failover.state !== "no-failover") {
    const { host, port, left_ms: left } = state.failover;
    const target = host ? ` to ${address(host, port)}` : "";
    const wait = left === null ? "" : ` ${milliseconds(left)} are left.`;
    found.push(
      alert("busy", `Failing over${target}: ${spoken(state.failover.state)}`, `Writes are held back meanwhile.${wait}`, [
        button("abort-failover", "Give it up…", "danger"),
      ]),
    );
  }
  for (const one of state.syncs.advice) {
    found.push(alert("busy", `${one.full_syncs} full syncs in a row: ${one.replica}`, one.text));
  }
  return found;
}

function delay(found) {
  const waits = `${size(found.pending_bytes)} received and not applied`;
  const oldest = found.oldest_seconds === null ? "" : `, the oldest ${duration(found.oldest_seconds)} ago`;
  const full = found.full ? " The primary is read no further until there is room." : "";
  if (found.state === "held") {
    return alert("busy", `Held before offset ${found.stop_before}`, `Nothing is applied until you decide: ${waits}${oldest}.${full}`, [
      button("delay-resume", "Go on…", "strong"),
      button("promote", "Promote with what is applied…", "plain"),
    ]);
  }
  const stop = found.stop_before ? `, up to offset ${found.stop_before}` : "";
  return alert("calm", `Delayed by ${duration(found.delay_seconds)}${stop}`, `${waits}${oldest}.${full}`, [
    button("delay-apply", "Apply now…", "plain"),
  ]);
}

function alert(tone, title, text, buttons = []) {
  return h(
    "div",
    { class: `alert ${tone}`, key: title },
    h("div", null, h("h2", null, title), h("p", null, text)),
    buttons.length > 0 && h("div", { class: "choices" }, buttons),
  );
}

function button(act, label, look, isOff = false) {
  return h("button", { type: "button", class: look, "data-act": act, key: act, disabled: isOff }, label);
}

/** What can be done. */
export function toolbar(state) {
  const { link, replicas } = state.replication;
  const isFailingOver = state.failover.state !== "no-failover";
  return [
    button("follow", "Replicate from…", "plain", isFailingOver),
    button("promote", "Promote…", "plain", !link || isFailingOver),
    button("failover", "Fail over…", "plain", Boolean(link) || isFailingOver || !replicas.some((one) => one.state === "online")),
    button("resize", "Resize backlog…", "plain"),
  ];
}

/** Role and ids. */
export function identity({ replication, meaning }) {
  return [
    fact("Role", replication.role, "", "role"),
    fact("replid", replication.replid, meaning.replid, "id"),
    fact("replid2", replication.replid2 ?? "none", meaning.replid2, replication.replid2 ? "id" : ""),
    replication.second_offset !== null && fact("Second offset", number(replication.second_offset), "The first offset at which replid2 is no longer ours."),
    fact("Offset", number(replication.offset), meaning.offset),
  ];
}

function fact(name, value, says, look = "") {
  return h("div", { key: name }, h("dt", null, name), h("dd", null, h("span", { class: `fact ${look}` }, value), says && h("span", { class: "hint" }, says)));
}

/** The link to the primary: its state, a full sync, the handshake. */
export function link(found) {
  return [
    h("p", null, stateOf(found)),
    found.last_error && h("p", { class: "trouble" }, `Last error: ${found.last_error}`),
    found.sync && progress(found.sync),
    stepper(found),
  ];
}

function stateOf(found) {
  const ago = found.last_io_seconds === null ? "never" : `${duration(found.last_io_seconds)} ago`;
  const parts = [h("strong", null, found.up ? "Up" : found.state === "connect" ? "Down" : capital(spoken(found.state)))];
  parts.push(`, ${address(found.host, found.port)} last heard ${ago}`);
  if (found.up && found.behind.least_bytes) {
    parts.push(`, ${size(found.behind.least_bytes)} not applied yet`);
  }
  if (found.down_seconds !== null) {
    parts.push(`, lost ${duration(found.down_seconds)} ago`);
  }
  if (found.failures) {
    parts.push(`, ${found.failures} failed ${found.failures > 1 ? "attempts" : "attempt"}`);
  }
  return parts;
}

function capital(text) {
  return text[0].toUpperCase() + text.slice(1);
}

function progress(sync) {
  const isKnown = sync.total_bytes !== null;
  const parts = [isKnown ? `${size(sync.read_bytes)} of ${size(sync.total_bytes)} (${sync.percent.toFixed(1)} %)` : `${size(sync.read_bytes)} so far`];
  if (!sync.read_bytes && !isKnown) {
    parts[0] = `waiting for the primary’s snapshot, ${duration(sync.elapsed_seconds)}`;
  }
  if (sync.bytes_per_second) {
    parts.push(rate(sync.bytes_per_second));
  }
  if (sync.eta_seconds !== null) {
    parts.push(`${duration(sync.eta_seconds)} left`);
  }
  return h(
    "div",
    { class: "progress", key: "progress" },
    h("label", { for: "sync-progress" }, "Full sync"),
    h("progress", { id: "sync-progress", max: 100, value: isKnown ? sync.percent : null }),
    h("p", { id: "sync-words", class: "hint" }, parts.join(" · ")),
  );
}

function stepper(found) {
  const at = Object.fromEntries(found.handshake.map((one) => [one.step, one.at_ms]));
  const entered = STEPS.map(([, names]) => Math.min(...names.filter((name) => name in at).map((name) => at[name])));
  const lastEntered = entered.findLastIndex(Number.isFinite);
  const isOver = found.up || found.state === "connect" || found.state === "none";
  return h(
    "ol",
    { class: "steps", "aria-label": "Handshake", key: "steps" },
    STEPS.map(([name], index) => {
      const next = entered.slice(index + 1).find(Number.isFinite);
      let look = "ahead";
      let says = "";
      if (Number.isFinite(entered[index])) {
        look = index < lastEntered || found.up ? "done" : isOver ? "failed" : "now";
        says = next === undefined ? { done: "up", failed: "failed", now: "now" }[look] : milliseconds(next - entered[index]);
      } else if (index < lastEntered) {
        look = "skipped";
        says = "not needed";
      }
      return h("li", { key: name, class: look, "aria-current": look === "now" ? "step" : null }, h("span", { class: "step-name" }, name), h("span", { class: "hint" }, says));
    }),
  );
}

/** Handshakes as they were spoken. */
export function handshakes(found) {
  return found.map((one, index) =>
    h(
      "section",
      { class: "spoken", key: `${one.at_ms} ${index}` },
      h("h3", null, `${moment(one.at_ms)} with ${address(one.host, one.port)}: ${one.error ?? one.outcome ?? "going on"}`),
      h(
        "ol",
        null,
        one.exchanges.map((line) =>
          h("li", null, h("code", null, line.sent), h("code", { class: "answer" }, line.received ?? "no answer"), line.ms !== null && h("span", { class: "hint" }, milliseconds(line.ms))),
        ),
      ),
    ),
  );
}

/** What the backlog holds, and where each replica stands in it. */
export function backlog({ backlog: found, replicas }) {
  const isSmall = found.recommended_bytes > found.size_bytes;
  const advice = `Recommended: ${size(found.recommended_bytes)}`;
  if (!found.active) {
    return [h("p", null, `There is none yet: it is made when the first replica comes, with ${size(found.size_bytes)}.`), h("p", { class: "hint" }, `${advice}.`)];
  }
  const whole = Math.max(found.size_bytes, found.length_bytes, found.recommended_bytes);
  const covers = found.covers_seconds === null ? "" : `; at the present rate it covers ${duration(found.covers_seconds)} of writes`;
  const held = found.held_seconds === null ? "" : `, the oldest written ${duration(found.held_seconds)} ago`;
  return [
    h("p", null, h("strong", null, `${size(found.length_bytes)} of ${size(found.size_bytes)}`), held, covers, "."),
    h(
      "div",
      { class: "gauge", role: "img", "aria-label": `${size(found.length_bytes)} held of ${size(found.size_bytes)}; ${advice}` },
      h("div", { class: "room", vars: { "--to": percent(found.size_bytes, whole) } }),
      h("div", { class: "fill", vars: { "--to": percent(found.length_bytes, whole) } }),
      h("div", { class: "mark", vars: { "--at": percent(found.recommended_bytes, whole) } }),
    ),
    h("p", { class: isSmall ? "hint trouble" : "hint" }, `${advice}${isSmall ? ", which is more than it has." : "."}`),
    h("h3", null, "Where each replica stands in what is held"),
    cursors(found, replicas),
  ];
}

function cursors(found, replicas) {
  const length = Math.max(1, found.length_bytes);
  const standing = replicas.filter((one) => one.lag_bytes !== null);
  const place = (one) => found.next_offset - one.lag_bytes - found.first_offset;
  return [
    h(
      "div",
      { class: "track", role: "img", "aria-label": `Offsets ${found.first_offset} to ${found.next_offset - 1}` },
      standing.map((one, index) =>
        h("div", { key: one.id, class: `cursor series-${index % 5}`, vars: { "--at": percent(Math.min(length, Math.max(0, place(one))), length) } }),
      ),
    ),
    h("p", { class: "ends hint" }, h("span", null, `from ${number(found.first_offset)}`), h("span", null, `to ${number(found.next_offset - 1)}`)),
    standing.length === 0
      ? h("p", { class: "hint" }, "No replica reads it now.")
      : h(
          "ul",
          { class: "legend spread" },
          standing.map((one, index) =>
            h(
              "li",
              { key: one.id },
              h("span", { class: `swatch series-${index % 5}` }),
              h("span", { class: "legend-name" }, address(one.address, one.port)),
              h("span", { class: "legend-value" }, one.lag_bytes ? `${size(one.lag_bytes)} behind` : "at the end"),
            ),
          ),
        ),
  ];
}

function percent(part, whole) {
  return `${((100 * part) / whole).toFixed(2)}%`;
}

/** The last decisions on PSYNC. */
export function syncs(found) {
  const counts = `Given by this node: ${found.full} full, ${found.partial_ok} partial, ${found.partial_err} partial refused.`;
  return [
    h("p", { class: "hint" }, counts),
    found.decisions.length > 0 && h("ol", { class: "decisions" }, found.decisions.map(decision)),
  ];
}

function decision(one) {
  const cost = one.cost && `${size(one.cost.bytes)}, ${milliseconds(one.cost.duration_ms)}, ${spoken(one.cost.stage)}`;
  const end = one.end && `ended at ${moment(one.end.at_ms)}: ${spoken(one.end.cause)}`;
  const times = one.times > 1 && `${one.times} times`;
  return h(
    "li",
    { key: `${one.at_ms} ${one.direction} ${one.peer}` },
    h(
      "p",
      { class: "headline" },
      h("span", { class: `tag ${one.answer}` }, one.answer),
      h("span", null, `${one.direction === "given" ? "to" : "from"} ${one.peer}`),
      h("time", { class: "hint", datetime: new Date(one.at_ms).toISOString() }, moment(one.at_ms)),
    ),
    h("p", null, one.condition && h("code", null, one.condition), one.condition && " ", one.reason),
    one.avoidance && h("p", { class: "avoid" }, "To avoid it: ", coded(one.avoidance)),
    h("p", { class: "hint" }, [cost, times, end].filter(Boolean).join(" · ")),
  );
}

/** Text with `code` in it. */
function coded(text) {
  return text.split("`").map((part, index) => (index % 2 ? h("code", null, part) : part));
}
