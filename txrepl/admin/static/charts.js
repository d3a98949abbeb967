// What the last minutes were like: samples of states, and small charts of them.

import { h } from "./dom.js";
import { address, milliseconds, number, rate, size } from "./words.js";

const SPAN_MS = 180_000;
const RATE_LEAST_MS = 900;
const WIDTH = 300;
const HEIGHT = 72;
const COLOURS = 5;

/** The samples of the last minutes. */
export class History {
  #samples = [];
  #names = [];

  /** Note a state. */
  note(state) {
    const { replication, load } = state;
    const lags = {};
    for (const one of replication.replicas) {
      if (one.lag_ms !== null) {
        const name = address(one.address, one.port);
        lags[name] = one.lag_ms;
        if (!this.#names.includes(name)) {
          this.#names.push(name);
        }
      }
    }
    const sample = { at: state.at_ms, replid: replication.replid, offset: replication.offset, lags, ...load };
    sample.rate = this.#rate(sample);
    this.#samples = this.#samples.filter((one) => one.at > sample.at - SPAN_MS && one.at < sample.at);
    this.#samples.push(sample);
    this.#names = this.#names.filter((name) => this.#samples.some((one) => name in one.lags));
  }

  /** Bytes a second since a second ago; nothing where the offset has jumped to another history. */
  #rate(now) {
    const before = this.#samples.findLast((one) => one.at <= now.at - RATE_LEAST_MS);
    if (!before || before.offset > now.offset || before.replid !== now.replid) {
      return null;
    }
    return ((now.offset - before.offset) * 1000) / (now.at - before.at);
  }

  /** A line: the points where there is a value. */
  line(pick) {
    return this.#samples.map((one) => ({ at: one.at, value: pick(one) ?? null }));
  }

  get now() {
    return this.#samples.at(-1)?.at ?? 0;
  }

  /** The replicas that the lag was seen of. */
  get names() {
    return this.#names;
  }
}

/** All charts of a history. */
export function charts(history) {
  const lags = history.names.map((name) => ({ name, points: history.line((one) => one.lags[name]) }));
  return [
    chart("Offset rate", history, [{ points: history.line((one) => one.rate) }], rate),
    chart("Lag of replicas", history, lags, milliseconds, "no replica is online"),
    chart("Commands per second", history, [{ points: history.line((one) => one.commands_per_second) }], number),
    chart("Memory", history, [{ points: history.line((one) => one.memory_bytes) }], size),
    chart("Clients", history, [{ points: history.line((one) => one.clients) }], number),
  ];
}

function chart(title, history, lines, worded, none = "not known yet") {
  const values = lines.flatMap(({ points }) => points.map((one) => one.value)).filter((value) => value !== null);
  const top = Math.max(...values, 0);
  const current = lines.map(({ points }) => points.at(-1)?.value ?? null).filter((value) => value !== null);
  const shown = current.length ? worded(Math.max(...current)) : "–";
  const label = values.length ? `${title}: ${shown}, at most ${worded(top)} in three minutes` : `${title}: ${none}`;
  return h(
    "figure",
    { key: title, class: "chart" },
    h("figcaption", null, h("span", { class: "hint" }, title), h("span", { class: "value" }, shown)),
    h(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
      h("line", { class: "rule", x1: 0, x2: WIDTH, y1: HEIGHT - 1, y2: HEIGHT - 1 }),
      h("line", { class: "rule faint", x1: 0, x2: WIDTH, y1: 4, y2: 4 }),
      lines.map(({ points }, index) => drawn(points, history.now, top, index, lines.length === 1)),
    ),
    h("p", { class: "range hint" }, values.length ? `most ${worded(top)}` : none),
    lines.length > 0 && lines[0].name && legend(lines, worded),
  );
}

function legend(lines, worded) {
  return h(
    "ul",
    { class: "legend" },
    lines.map(({ name, points }, index) => {
      const value = points.at(-1)?.value ?? null;
      return h(
        "li",
        { key: name },
        h("span", { class: `swatch series-${index % COLOURS}` }),
        h("span", { class: "legend-name" }, name),
        h("span", { class: "legend-value" }, value === null ? "–" : worded(value)),
      );
    }),
  );
}

function drawn(points, now, top, index, isFilled) {
  const x = (at) => (WIDTH * (1 - (now - at) / SPAN_MS)).toFixed(1);
  const y = (value) => (HEIGHT - 1 - (value / (top || 1)) * (HEIGHT - 5)).toFixed(1);
  const runs = [[]];
  for (const { at, value } of points) {
    if (value === null) {
      runs.push([]);
    } else {
      runs.at(-1).push(`${x(at)},${y(value)}`);
    }
  }
  const lines = runs.filter((run) => run.length > 1);
  const area = (run) => `M${run[0].split(",")[0]},${HEIGHT - 1}L${run.join("L")}L${run.at(-1).split(",")[0]},${HEIGHT - 1}Z`;
  return [
    isFilled && h("path", { class: `area series-${index % COLOURS}`, d: lines.map(area).join("") }),
    h("path", { class: `line series-${index % COLOURS}`, d: lines.map((run) => `M${run.join("L")}`).join("") }),
  ];
}
