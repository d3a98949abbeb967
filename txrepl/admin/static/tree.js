// Who follows whom: a tree of nodes, each with the edge from the one above it.

import { h } from "./dom.js";
import { address, milliseconds, size, spoken } from "./words.js";

const LATE_MS = 5000;
const SYNCING = ["sync", "handshake", "connecting", "wait_bgsave", "wait_bgsave_start", "wait_bgsave_end", "send_bulk"];

/** What the tree hangs on: when this changes, the others have to be asked anew. */
export function structure({ replication: { link, replicas } }) {
  const above = link ? `${address(link.host, link.port)} ${link.up}` : "";
  return [above, ...replicas.map((one) => `${one.id} ${one.state}`)].join(", ");
}

/**
 * The tree: what the node knows by itself now, which is its primary, itself and its replicas, and around that what the
 * others have told (`found`, of /v1/topology; null while nobody was asked).
 */
export function wholeTree(state, found) {
  const { link } = state.replication;
  const way = found ? wayToThis(found.root) : [];
  const above = way.at(-2);
  const fits = way.length > 0 && (link ? above?.host === link.host && above.port === link.port : !above);
  if (!fits) {
    const self = ownNode(state, null);
    return link ? { name: address(link.host, link.port), role: "primary", children: [self] } : self;
  }
  return told(found.root, ownNode(state, way.at(-1)));
}

/** The servers from the root to this node; empty if it is not there. */
function wayToThis(server) {
  if (server.this) {
    return [server];
  }
  for (const below of server.replicas) {
    const way = wayToThis(below);
    if (way.length > 0) {
      return [server, ...way];
    }
  }
  return [];
}

/** A server as it was told of, with `self` in its place. */
function told(server, self) {
  if (server.this) {
    return self;
  }
  return {
    name: address(server.host, server.port),
    role: server.role ?? "unknown",
    version: server.version,
    trouble: server.error,
    edge: server.edge && edge(server.link_up === false ? "link down" : server.edge.state, server.edge.lag_bytes, null, false),
    children: server.replicas.map((one) => told(one, self)),
  };
}

function ownNode(state, asTold) {
  const { link, replicas, role } = state.replication;
  return {
    name: asTold ? address(asTold.host, asTold.port) : `${location.hostname}:${state.port}`,
    role,
    isSelf: true,
    edge: link && edge(wordOf(link), link.behind.least_bytes, link.behind.most_ms, link.up),
    children: replicas.map((one) => {
      const known = asTold?.replicas.find((other) => other.host === one.address && other.port === one.port);
      return {
        name: address(one.address, one.port),
        role: "replica",
        id: one.id,
        version: known?.version ?? one.version,
        mayTakeOver: one.state === "online" && link === null,
        edge: edge(one.state ?? "attached", one.lag_bytes, one.lag_ms, false),
        children: (known?.replicas ?? []).map((other) => told(other, null)),
      };
    }),
  };
}

function wordOf(link) {
  if (link.up) {
    return "online";
  }
  return link.guard.state === "stopped" ? "stopped by the guard" : link.state === "connect" ? "down" : link.state;
}

/** `isBound`: the milliseconds are how far it is behind at most. */
function edge(word, lagBytes, lagMs, isBound) {
  const isUp = word === "online" || word === "connected";
  const tone = isUp ? (!isBound && lagMs > LATE_MS ? "busy" : "good") : SYNCING.includes(word) ? "busy" : "bad";
  const parts = [spoken(word)];
  if (lagBytes !== null) {
    parts.push(size(lagBytes));
  }
  if (lagMs !== null) {
    parts.push(`${isBound ? "at most " : ""}${milliseconds(lagMs)}`);
  }
  return { tone, parts };
}

/** The tree on the page. */
export function tree(root) {
  return h("ul", { class: "tree", "aria-label": "Nodes, each under the one that it follows" }, item(root, true));
}

function item(node, isRoot) {
  return h(
    "li",
    { key: `${node.name} ${node.id ?? ""}`, class: isRoot ? "root" : node.edge?.tone },
    !isRoot && node.edge && edgeLabel(node.edge),
    h(
      "div",
      { class: node.isSelf ? "node self" : "node", "aria-current": node.isSelf ? "true" : null },
      h("span", { class: "name" }, node.name),
      h("span", { class: `tag ${node.role}` }, node.role === "unknown" ? "does not answer" : node.role),
      node.isSelf && h("span", { class: "tag here" }, "this node"),
      node.version && h("span", { class: "hint" }, `version ${node.version}`),
      node.trouble && h("span", { class: "hint trouble" }, node.trouble),
      node.id !== undefined && replicaActions(node),
    ),
    node.children.length > 0 && h("ul", null, node.children.map((child) => item(child, false))),
  );
}

function edgeLabel({ tone, parts }) {
  return h("p", { class: `edge ${tone}` }, h("span", { class: "dot" }), h("span", null, parts.join(" · ")));
}

function replicaActions({ name, id, mayTakeOver }) {
  return h(
    "span",
    { class: "node-actions" },
    mayTakeOver &&
      h("button", { type: "button", class: "small", key: "failover", "data-act": "failover", "data-target": name, "aria-label": `Fail over to ${name}` }, "Fail over"),
    h("button", { type: "button", class: "small", key: "disconnect", "data-act": "disconnect", "data-id": id, "data-name": name, "aria-label": `Disconnect ${name}` }, "Disconnect"),
  );
}
