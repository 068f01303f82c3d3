// A small repository in which what is typed needs another of its files.
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const FILES = {
  "README.md": "# Shop\n\nInvoices with value-added tax.\n",
  "shop/__init__.py": "",
  "shop/money.py": `from dataclasses import dataclass


@dataclass(frozen=True)
class Money:
    """An amount in the smallest unit of its currency."""

    cents: int
    currency: str = "EUR"

    def plus(self, other: "Money") -> "Money":
        return Money(self.cents + other.cents, self.currency)

    def with_tax(self, percent: int) -> "Money":
        """The amount with value-added tax on it."""
        return Money(self.cents + self.cents * percent // 100, self.currency)

    def shown(self) -> str:
        return f"{self.cents / 100:.2f} {self.currency}"
`,
  "shop/invoice.py": `from shop.money import Money


class Invoice:
    """What somebody has to pay."""

    def __init__(self, customer: str) -> None:
        self.customer = customer
        self.lines: list[Money] = []

    def add(self, price: Money) -> None:
        self.lines.append(price)

    def net(self) -> Money:
        total = Money(0)
        for line in self.lines:
            total = total.plus(line)
        return total

    def gross(self, percent: int = 19) -> Money:
        return self.net().with_tax(percent)

    def summary(self) -> str:
        """Customer, net and gross amount in one line."""
`,
  "shop/cli.py": `from shop.invoice import Invoice
from shop.money import Money


def main() -> None:
    invoice = Invoice("Ada")
    invoice.add(Money(1250))
    print(invoice.summary())
`,
};

/** The last line of shop/invoice.py that has text. */
export const LAST_LINE = FILES["shop/invoice.py"].trimEnd().split("\n").length;
export const INVOICE = FILES["shop/invoice.py"];

export function makeRepository(folder) {
  for (const [name, text] of Object.entries(FILES)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  const git = (...args) =>
    execFileSync("git", ["-C", folder, "-c", "user.name=Test", "-c", "user.email=test@localhost", ...args]);
  git("init", "--quiet");
  git("add", ".");
  git("commit", "--quiet", "--message", "Shop");
}

const FOLDERS = 1_000;
const FILES_EACH = 100;

/** As many files as a very large repository has. What is in them is small and mostly the same: it is their number. */
export function makeLargeFolder(folder) {
  for (let each = 0; each < FOLDERS; each += 1) {
    const inner = join(folder, `package${each}`);
    mkdirSync(inner, { recursive: true });
    for (let file = 0; file < FILES_EACH; file += 1) {
      writeFileSync(join(inner, `module${file}.py`), `value = ${each % 10}\n`);
    }
  }
}
