// What can be done to the node: each asks once, acts, and says in words what became of it.

import { ask } from "./dialogs.js";
import { request } from "./server.js";
import { address, size } from "./words.js";

const UNITS = [
  { value: "1024", label: "KiB" },
  { value: String(1024 ** 2), label: "MiB" },
  { value: String(1024 ** 3), label: "GiB" },
];
const UP_WITHIN_S = 30;

const outcome = document.getElementById("outcome");

function tell(look, words) {
  outcome.dataset.look = look;
  outcome.textContent = words;
  outcome.scrollIntoView({ block: "nearest" });
}

/** Send what is to be done; `done` makes words of the answer. */
async function act(words, method, path, body, done) {
  tell("busy", `${words} …`);
  const answer = await request(method, path, body);
  if (answer.ok) {
    tell("good", done(answer.value));
  } else {
    tell("bad", answer.words);
  }
}

function portOf(name) {
  const at = name.lastIndexOf(":");
  return { host: name.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(name.slice(at + 1)) };
}

const ACTIONS = {
  async follow(state) {
    const now = state.replication.link;
    const given = await ask({
      title: "Replicate from another primary",
      text: "This node drops its link, follows the primary named here, and takes its data where the histories differ.",
      confirm: "Replicate",
      danger: true,
      fields: [
        { name: "host", label: "Host", type: "text", value: now?.host, required: true, maxlength: 255 },
        { name: "port", label: "Port", type: "number", value: now?.port ?? 6379, required: true, min: 1, max: 65535 },
      ],
    });
    if (given) {
      const body = { host: given.host, port: Number(given.port) };
      const name = address(body.host, body.port);
      await act(`Following ${name}`, "POST", `/v1/replicaof?wait=${UP_WITHIN_S}`, body, () => `This node follows ${name}, and the link is up.`);
    }
  },

  async promote() {
    const text = "This node leaves its primary and takes writes. Its replicas go on with it by partial resync.";
    if (await ask({ title: "Promote this node to primary", text, confirm: "Promote", danger: true })) {
      await act("Promoting", "POST", "/v1/replicaof?wait=5", { no_one: true }, ({ changed }) =>
        changed ? "This node is a primary now." : "This node was a primary already.",
      );
    }
  },

  async failover(state, { target }) {
    const names = state.replication.replicas.filter((one) => one.state === "online").map((one) => address(one.address, one.port));
    const given = await ask({
      title: "Fail over to a replica",
      text: "Writes are held back until the replica has everything; then it is the primary, and this node follows it.",
      confirm: "Fail over",
      danger: true,
      fields: [
        {
          name: "target",
          label: "Replica",
          type: "select",
          value: target ?? "",
          options: [{ value: "", label: "the first that has everything" }, ...names.map((name) => ({ value: name, label: name }))],
        },
        { name: "seconds", label: "Wait for it at most (seconds)", type: "number", value: 10, required: true, min: 1, max: 3600 },
        { name: "force", label: "When time is up it takes over all the same", type: "checkbox", hint: "Needs a replica named above; writes may be lost." },
      ],
    });
    if (given) {
      const body = { ...(given.target ? portOf(given.target) : {}), timeout_ms: Number(given.seconds) * 1000 };
      if (given.force) {
        body.force = true;
      }
      await act("Failing over", "POST", "/v1/failover", body, () => {
        awaited = true;
        return "The failover has begun: writes are held back until the replica has everything.";
      });
    }
  },

  async "abort-failover"() {
    const text = "This node stays the primary, and writes go on.";
    if (await ask({ title: "Give the failover up", text, confirm: "Give it up" })) {
      await act("Giving up", "DELETE", "/v1/failover", undefined, () => {
        awaited = false;
        return "The failover was given up; this node is the primary.";
      });
    }
  },

  async resize(state) {
    const { size_bytes: now, recommended_bytes: wanted } = state.replication.backlog;
    const unit = UNITS.findLast((one) => Math.max(now, wanted) >= Number(one.value)) ?? UNITS[0];
    const given = await ask({
      title: "Resize the backlog",
      text: `It keeps ${size(now)} now; ${size(wanted)} are recommended. A smaller one drops its oldest bytes.`,
      confirm: "Resize",
      fields: [
        { name: "count", label: "Size", type: "number", value: Math.max(now, wanted) / Number(unit.value), required: true, min: 0.001, step: "any" },
        { name: "unit", label: "Unit", type: "select", value: unit.value, options: UNITS },
      ],
    });
    if (given) {
      const body = { size_bytes: Math.round(Number(given.count) * Number(given.unit)) };
      await act("Resizing", "PATCH", "/v1/backlog", body, (found) => `The backlog keeps ${size(found.size_bytes)} now.`);
    }
  },

  async disconnect(state, { id, name }) {
    const text = "Its connection is closed. It will come back and ask for a partial resync.";
    if (await ask({ title: `Disconnect ${name}`, text, confirm: "Disconnect", danger: true })) {
      await act("Disconnecting", "DELETE", `/v1/replicas/${id}`, undefined, () => `${name} was disconnected; it may come back.`);
    }
  },

  async "guard-accept"() {
    const text = "The primary’s full sync is taken once, and the data kept here is lost.";
    if (await ask({ title: "Accept the primary’s data", text, confirm: "Accept", danger: true })) {
      await act("Accepting", "POST", "/v1/guard", { decision: "accept" }, () => "The primary’s data is taken.");
    }
  },

  async "guard-promote"() {
    const text = "This node becomes a primary with the data that it kept.";
    if (await ask({ title: "Promote with the data kept here", text, confirm: "Promote", danger: true })) {
      await act("Promoting", "POST", "/v1/guard", { decision: "promote" }, () => "This node is a primary with the data that it kept.");
    }
  },

  async "delay-resume"() {
    const text = "What waits is applied when it is old enough; the stop is lifted.";
    if (await ask({ title: "Go on applying", text, confirm: "Go on", danger: true })) {
      await act("Going on", "POST", "/v1/delay", { resume: true }, () => "The stop is lifted.");
    }
  },

  async "delay-apply"() {
    const text = "What has come so far is applied at once. A stop before an offset still counts.";
    if (await ask({ title: "Apply what waits now", text, confirm: "Apply", danger: true })) {
      await act("Applying", "POST", "/v1/delay", { apply_now: true }, () => "What has come so far is applied.");
    }
  },
};

let awaited = false;

/** A state has come: say how a failover that was asked for here has ended. */
export function watch({ failover, replication }) {
  if (awaited && failover.state === "no-failover") {
    awaited = false;
    const { link } = replication;
    if (link) {
      tell("good", `Failed over: this node follows ${address(link.host, link.port)} now.`);
    } else {
      tell("bad", "The failover did not come about; this node is still the primary.");
    }
  }
}

/** Let every element with `data-act` do what it names. */
export function listen(latest) {
  document.addEventListener("click", (event) => {
    const pressed = event.target.closest("[data-act]");
    const state = latest();
    if (pressed && state) {
      ACTIONS[pressed.dataset.act](state, pressed.dataset);
    }
  });
}
