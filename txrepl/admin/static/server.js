// Talks to the server that the page came from: requests, and the stream of states. The token, if one is needed, is asked
// for once and kept until the tab is closed.

const TOKEN = "txrepl-token";
const SILENCE_MS = 6000;
const WAIT_MAX_S = 15;

let askForToken = async () => null;

/** How a token is asked for: called with whether one was wrong; resolves to it, or to null. */
export function setTokenQuestion(question) {
  let asking = null;
  askForToken = (wasWrong) => {
    asking ??= question(wasWrong).finally(() => {
      asking = null;
    });
    return asking;
  };
}

async function send(method, path, { accept, body, signal } = {}) {
  for (;;) {
    const token = sessionStorage.getItem(TOKEN);
    const headers = { Accept: accept ?? "application/json" };
    if (token !== null) {
      headers.Authorization = `Bearer ${token}`;
    }
    if (body !== undefined) {
      headers["Content-Type"] = "application/json";
    }
    const answer = await fetch(path, { method, headers, signal, body: JSON.stringify(body), cache: "no-store" });
    if (answer.status !== 401) {
      return answer;
    }
    if (token === sessionStorage.getItem(TOKEN)) {
      const given = await askForToken(token !== null);
      if (given === null) {
        return answer;
      }
      sessionStorage.setItem(TOKEN, given);
    }
  }
}

/** Send a request. `words` says what became of it if it was refused. */
export async function request(method, path, body) {
  let answer;
  let value = null;
  try {
    answer = await send(method, path, { body });
    value = await answer.json();
  } catch (error) {
    return { ok: false, status: 0, value: null, words: `The server cannot be reached: ${error.message}.` };
  }
  return { ok: answer.ok, status: answer.status, value, words: answer.ok ? "" : `${value.title}: ${value.detail}` };
}

/** Read states for ever. `heard` is called with each, `told` with how the stream stands. */
export async function follow(heard, told) {
  let waitSeconds = 1;
  for (;;) {
    const broken = new AbortController();
    try {
      const answer = await send("GET", "/v1/live", { accept: "text/event-stream", signal: broken.signal });
      if (!answer.ok) {
        const problem = await answer.json();
        throw new Error(`${problem.title}: ${problem.detail}`);
      }
      for await (const event of events(answer.body.getReader(), broken)) {
        if (event.name === "state") {
          waitSeconds = 1;
          told("live", "Live");
          heard(JSON.parse(event.data));
        }
      }
      throw new Error("the server has closed the stream");
    } catch (error) {
      const reason = broken.signal.aborted ? "the server is silent" : error.message;
      told("lost", `Not live: ${reason}. Next attempt in ${waitSeconds} s`);
    }
    await pause(waitSeconds * 1000);
    waitSeconds = Math.min(WAIT_MAX_S, waitSeconds * 2);
  }
}

async function* events(reader, broken) {
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const silence = setTimeout(() => broken.abort(), SILENCE_MS);
    const { done, value } = await reader.read().finally(() => clearTimeout(silence));
    if (done) {
      return;
    }
    text += decoder.decode(value, { stream: true });
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s, 2)));
      yield { name: fields.event ?? "", data: fields.data ?? "" };
    }
  }
}

function pause(ms) {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
    window.addEventListener("online", resolve, { once: true });
  });
}
