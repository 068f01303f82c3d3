import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { messagePage, webviewPage } from "../src/contextPage";

const TEMPLATE = readFileSync("../../lsp/context/page.html", "utf8");

test("the server's page runs its own script under the nonce, and none without it", () => {
  const page = webviewPage(TEMPLATE, "n0nce");
  assert.match(page, /script-src 'nonce-n0nce'/);
  assert.doesNotMatch(page, /script-src 'unsafe-inline'/);
  assert.equal(page.match(/<script/g)?.length, page.match(/<script nonce="n0nce">/g)?.length);
  assert.match(page, /var\(--vscode-editor-background\)/);
});

test("a page of another form is not shown", () => {
  for (const html of ["", "<script>alert(1)</script>", TEMPLATE.replace("<script>", "")]) {
    const page = webviewPage(html, "n");
    assert.doesNotMatch(page, /alert/);
    assert.match(page, /does not know/);
  }
});

test("text that looks like a replacement pattern or like HTML stays text", () => {
  assert.ok(
    webviewPage(
      TEMPLATE.replace("$parts", () => "$& $1 $'"),
      "n",
    ).includes("$& $1 $'"),
  );
  assert.doesNotMatch(messagePage("<img src=x>", "n"), /<img/);
});
