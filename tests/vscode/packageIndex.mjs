// pip's package index as a set-up sees it: at first nobody listens at its address, later it leads to this machine's own.
import { execFileSync } from "node:child_process";
import { createServer } from "node:http";

const PUBLIC = "https://pypi.org/simple";

export class PackageIndex {
  #server = createServer((request, response) => {
    const location = this.#real + request.url.replace(/^\/simple/, "");
    response.writeHead(302, { location }).end();
  });
  #real = PUBLIC;
  #port = 0;

  /** Chooses an address at which nobody listens. The environment in which pip knows no other. */
  async reserve(python) {
    this.#real = configured(python).replace(/\/$/, "");
    await this.#listen(0);
    this.#port = this.#server.address().port;
    await this.stop();
    const url = `http://127.0.0.1:${this.#port}/simple`;
    // pip's defaults add to these two what a machine has beside its index; a second try is enough to be told of
    return { PIP_INDEX_URL: url, PIP_EXTRA_INDEX_URL: url, PIP_FIND_LINKS: "/nowhere", PIP_RETRIES: "1" };
  }

  async start() {
    await this.#listen(this.#port);
  }

  async stop() {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #listen(port) {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, "127.0.0.1", resolve);
    });
  }
}

/** The index that pip takes on this machine, whether a file or a variable says so. */
function configured(python) {
  const told = execFileSync(python, ["-m", "pip", "config", "list"], { encoding: "utf8" });
  return /^(?::env:|install|global)\.index-url='([^']+)'$/m.exec(told)?.[1] ?? PUBLIC;
}
