/** The server's page of what the model reads, made fit for a webview: its script under a nonce, its colours those
 * of the theme. */

const POLICY = /<meta http-equiv="Content-Security-Policy"\s+content="[^"]*">/;
const SCRIPT = "<script>";

/** The page's own names for its colours, by what VS Code calls them. */
const COLOURS = `<style>
body { --paper: var(--vscode-editor-background); --sheet: var(--vscode-editorWidget-background);
  --ink: var(--vscode-editor-foreground); --quiet: var(--vscode-descriptionForeground);
  --line: var(--vscode-panel-border, var(--vscode-editorWidget-border)); --focus: var(--vscode-focusBorder);
  font-family: var(--vscode-font-family); font-size: var(--vscode-font-size); padding: 0; }
body.vscode-light { --header: #7d838e; --base: #5b8fd6; --overlay: #c07f12; --retrieved: #43a077; --window: #9374d2;
  --suffix: #d0668c; --hatch: rgb(255 255 255 / 58%); }
body.vscode-dark, body.vscode-high-contrast { --header: #737986; --base: #4a7fc4; --overlay: #b57b24;
  --retrieved: #3c8f6a; --window: #8263bd; --suffix: #b75f81; --hatch: rgb(10 11 14 / 50%); }
</style>
`;

/** Keeps the place and what was opened from one page to the next; a nonce keeps everybody else's script out. */
const KEEP = `(() => {
  const vscode = acquireVsCodeApi();
  const before = vscode.getState();
  const parts = [...document.querySelectorAll("details")];
  const name = (part) => part.querySelector(".place")?.textContent ?? "";
  if (before) {
    for (const part of parts) { if (name(part) in before.open) { part.open = before.open[name(part)]; } }
    scrollTo(0, before.top);
  }
  const keep = () => vscode.setState({
    top: scrollY, open: Object.fromEntries(parts.map((part) => [name(part), part.open])) });
  addEventListener("scroll", keep, { passive: true });
  addEventListener("toggle", keep, { capture: true });
})();`;

/** `html` with a policy that runs its own script and nothing else. A page that does not look as it should runs none. */
export function webviewPage(html: string, nonce: string): string {
  const script = html.lastIndexOf(SCRIPT);
  if (!POLICY.test(html) || script < 0) {
    return messagePage(
      "This server tells what the model reads in a form that this extension does not know.",
      nonce,
    );
  }
  const own = `<script nonce="${nonce}">${KEEP}</script>\n<script nonce="${nonce}">`;
  const page = html.slice(0, script) + own + html.slice(script + SCRIPT.length);
  return page.replace(POLICY, () => policy(nonce)).replace("</head>", () => `${COLOURS}</head>`);
}

/** A page with one sentence. */
export function messagePage(text: string, nonce: string): string {
  const safe = text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  return (
    `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">${policy(nonce)}<title>Foreword</title></head>` +
    `<body style="padding: 1.5rem; color: var(--vscode-descriptionForeground)"><p>${safe}</p></body></html>`
  );
}

function policy(nonce: string): string {
  return (
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; ` +
    `script-src 'nonce-${nonce}'; base-uri 'none'; form-action 'none'">`
  );
}
