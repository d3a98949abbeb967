// The page: each state that comes is drawn into the blocks of index.html.

import { listen, watch } from "./actions.js";
import { charts, History } from "./charts.js";
import { ask } from "./dialogs.js";
import { draw } from "./dom.js";
import * as panels from "./panels.js";
import { follow, request, setTokenQuestion } from "./server.js";
import { structure, tree, wholeTree } from "./tree.js";
import { moment } from "./words.js";

const at = (id) => document.getElementById(id);
const history = new History();
let latest = null;
let found = null;
let asked = null;
let isAsking = false;

function heard(state) {
  latest = state;
  history.note(state);
  const { replication } = state;
  document.title = `${replication.role} :${state.port} – txrepl`;
  draw(at("summary"), panels.summary(state));
  draw(at("alerts"), panels.alerts(state));
  draw(at("toolbar"), panels.toolbar(state));
  draw(at("topology"), tree(wholeTree(state, found)));
  if (structure(state) !== asked) {
    askAround();
  }
  draw(at("identity"), panels.identity(state));
  at("link-card").hidden = replication.link === null;
  if (replication.link) {
    draw(at("link"), panels.link(replication.link));
  }
  draw(at("backlog"), panels.backlog(replication));
  draw(at("charts"), charts(history));
  draw(at("syncs"), panels.syncs(state.syncs));
  watch(state);
}

/** Have the other servers asked who follows whom: at the beginning, and when something changes around this node. */
async function askAround() {
  if (isAsking) {
    return;
  }
  isAsking = true;
  asked = structure(latest);
  const answer = await request("GET", "/v1/topology");
  isAsking = false;
  found = answer.ok ? answer.value : null;
  const much = found?.truncated ? " There are more than are shown." : "";
  draw(at("asked"), answer.ok ? `The servers around this node: as asked at ${moment(Date.now())}.${much}` : answer.words);
  draw(at("topology"), tree(wholeTree(latest, found)));
}

function told(state, words) {
  const shown = at("connection");
  shown.dataset.state = state;
  if (shown.textContent !== words) {
    shown.textContent = words;
  }
}

setTokenQuestion(async (wasWrong) => {
  const given = await ask({
    title: "This node needs a token",
    text: wasWrong ? "That token was not right. It is the value of http-token." : "It is the value of http-token, and is forgotten when this tab is closed.",
    confirm: "Continue",
    fields: [{ name: "token", label: "Token", type: "password", required: true }],
  });
  return given?.token ?? null;
});

at("transcript").addEventListener("toggle", async () => {
  if (at("transcript").open) {
    const answer = await request("GET", "/v1/handshakes");
    draw(at("handshakes"), answer.ok ? panels.handshakes(answer.value.handshakes) : answer.words);
  }
});

at("ask-again").addEventListener("click", askAround);
at("curl").textContent = `curl ${location.origin}`;
listen(() => latest);
follow(heard, told);
