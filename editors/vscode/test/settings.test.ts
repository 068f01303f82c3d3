import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import {
  MACHINE_SETTINGS,
  machineValue,
  SERVER_SETTINGS,
  serverSettings,
  settingsLater,
} from "../src/settings";

interface Property {
  readonly default: unknown;
  readonly scope: string;
  readonly description?: string;
  readonly markdownDescription?: string;
}
const manifest = JSON.parse(readFileSync("package.json", "utf8"));
const properties: Record<string, Property> = Object.assign(
  {},
  ...manifest.contributes.configuration.map((each: { properties: object }) => each.properties),
);

test("what goes to the server is whole, defaults included, and nothing of the extension's own", () => {
  const sent = serverSettings((name) => (name === "engine" ? { kind: "none" } : undefined));
  assert.deepEqual(Object.keys(sent), [...SERVER_SETTINGS]);
  assert.deepEqual(sent.engine, { kind: "none" });
  assert.equal(sent.model, null);
});

test("every setting that is sent has a place in the settings editor, with a default and a description", () => {
  for (const name of SERVER_SETTINGS) {
    const found = Object.keys(properties).filter(
      (each) => each === `foreword.${name}` || each.startsWith(`foreword.${name}.`),
    );
    assert.ok(found.length > 0, name);
  }
  for (const [name, property] of Object.entries(properties)) {
    assert.ok("default" in property, name);
    assert.ok(property.description || property.markdownDescription, name);
  }
});

test("what names a command, an address, a key or a model is the machine's: no workspace can set it", () => {
  const guarded = Object.entries(properties).filter(([name]) =>
    /command|python|url|key|fallbacks|ngine|embedder|model|check/i.test(name),
  );
  assert.ok(guarded.length > 10);
  for (const [name, property] of guarded) {
    assert.equal(property.scope, "machine", name);
  }
});

test("every command of the palette and the walkthrough is one that the extension registers", () => {
  const source = readdirSync("src")
    .map((name) => readFileSync(`src/${name}`, "utf8"))
    .join("\n");
  for (const { command } of manifest.contributes.commands) {
    assert.ok(source.includes(`register("${command.replace("foreword.", "")}"`), command);
  }
});

test("a command that is run is sent at the start alone", () => {
  const whole = { model: "auto", edit: { smallFiles: 1, check: "pytest", checkS: 5 } };
  assert.deepEqual(settingsLater(whole), { model: "auto", edit: { smallFiles: 1 } });
});

test("a folder that gives a whole object of settings sets none of the machine's", () => {
  const found = {
    defaultValue: { check: "", smallFiles: 1 },
    globalValue: { smallFiles: 2 },
    workspaceValue: { check: "touch x" },
    workspaceFolderValue: { check: "touch x" },
  };
  assert.deepEqual(machineValue(found), { check: "", smallFiles: 2 });
  assert.equal(machineValue({ defaultValue: "auto" }), "auto");
  assert.equal(machineValue({ defaultValue: "auto", globalValue: "small" }), "small");
  for (const [name, property] of Object.entries(properties)) {
    const top = name.split(".")[1] ?? "";
    if (MACHINE_SETTINGS.includes(top)) {
      assert.equal(property.scope, "machine", name);
    }
  }
});
