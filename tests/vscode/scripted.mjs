// A server of models, on this machine, that writes what a test tells it to: what the editor makes of an edit is looked at,
// not what a model writes. The extension and Foreword's server are the real ones.
import { createServer } from "node:http";

const PIECE_CHARS = 16;

export class ScriptedModel {
  /** What it has been asked, by the last message of each conversation. */
  asked = [];
  /** Conversations that were ended from the other side. */
  cancelled = 0;
  #answers = [];
  #server = createServer((request, response) => this.#serve(request, response));

  async start() {
    await new Promise((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  async stop() {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** The next answer, in parts; between two of them it waits until the function that is given back is called. */
  answers(...parts) {
    const gates = parts.slice(1).map(() => Promise.withResolvers());
    this.#answers.push({ parts, gates });
    let passed = 0;
    return () => gates[passed++].resolve();
  }

  async #serve(request, response) {
    const chunks = await Array.fromAsync(request);
    if (!request.url.endsWith("/chat/completions")) {
      response.writeHead(404).end("{}");
      return;
    }
    this.asked.push(JSON.parse(Buffer.concat(chunks)).messages.at(-1).content);
    const { parts, gates } = this.#answers.shift() ?? { parts: ["There is no answer to this."], gates: [] };
    let isOpen = true;
    response.on("close", () => {
      isOpen = false;
      this.cancelled += response.writableFinished ? 0 : 1;
      for (const gate of gates) {
        gate.resolve();
      }
    });
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const [number, part] of parts.entries()) {
      await gates[number - 1]?.promise;
      for (let at = 0; at < part.length && isOpen; at += PIECE_CHARS) {
        response.write(event({ content: part.slice(at, at + PIECE_CHARS) }, null));
      }
    }
    if (isOpen) {
      response.end(`${event({}, "stop")}data: [DONE]\n\n`);
    }
  }
}

function event(delta, finish) {
  const told = { choices: [{ index: 0, delta, finish_reason: finish }] };
  return `data: ${JSON.stringify(told)}\n\n`;
}

/** Other lines in place of those that stand in a file. */
export function replacing(path, before, after) {
  return `@@ replace ${path}\n<<<<<<< SEARCH\n${before}=======\n${after}>>>>>>> REPLACE\n`;
}

export function creating(path, text) {
  return `@@ create ${path}\n<<<<<<< TEXT\n${text}>>>>>>> TEXT\n`;
}
