/** The list of an edit in the panel: its blocks while they are written, then its files, each to be taken or left. */
import { basename, dirname } from "node:path";
import {
  type Disposable,
  EventEmitter,
  ThemeColor,
  ThemeIcon,
  type TreeDataProvider,
  TreeItem,
  TreeItemCheckboxState,
  TreeItemCollapsibleState,
  type TreeView,
  Uri,
  window,
  workspace,
} from "vscode";
import { type Block, type Blocks, counted, type PlannedFile, textsOf, told } from "./editBlocks";
import type { FileChange } from "./editChanges";
import type { Review } from "./editReview";
import type { EditTexts } from "./editTexts";

const VIEW = "foreword.edit";
const DONE: Record<FileChange["kind"], string> = {
  change: "",
  create: "new",
  rename: "another name",
  delete: "deleted",
};

type Node =
  | { readonly path: string; readonly blocks: readonly Block[] }
  | { readonly block: Block }
  | { readonly change: FileChange }
  | { readonly decision: Decision };

/** What a person may do with the whole of it. The icons above the list do the same; a row says what it does. */
interface Decision {
  readonly icon: string;
  readonly command: string;
  readonly label: (taken: number) => string;
}
const DECISIONS: readonly Decision[] = [
  {
    icon: "check",
    command: "foreword.applyEdit",
    label: (taken) => (taken > 0 ? `Apply to ${counted(taken, "file")}` : "Apply to no file"),
  },
  { icon: "discard", command: "foreword.discardEdit", label: () => "Discard" },
];

export class EditView implements TreeDataProvider<Node>, Disposable {
  readonly #changed = new EventEmitter<void>();
  readonly onDidChangeTreeData = this.#changed.event;
  readonly #tree: TreeView<Node>;
  #roots: Node[] = [];
  #blocks: Blocks | undefined;
  #review: Review | undefined;
  #listening: Disposable | undefined;

  constructor(private readonly texts: EditTexts) {
    this.#tree = window.createTreeView<Node>(VIEW, {
      treeDataProvider: this,
      showCollapseAll: false,
      manageCheckboxStateManually: true,
    });
    this.#tree.onDidChangeCheckboxState(({ items }) => {
      for (const [node, state] of items) {
        if ("change" in node) {
          this.#review?.take(node.change, state === TreeItemCheckboxState.Checked);
        }
      }
    });
  }

  dispose(): void {
    this.#tree.dispose();
    this.#changed.dispose();
  }

  writing(title: string, blocks: Blocks): void {
    this.#review = undefined;
    this.#blocks = blocks;
    this.#tree.message = title;
    this.refresh();
  }

  async reviewing(title: string, review: Review): Promise<void> {
    this.#blocks = undefined;
    this.#review = review;
    this.#tree.message = `${title}: untick what is to stay as it is; a click on a file shows what it will hold.`;
    this.#listening = review.onDidChange(() => this.refresh());
    this.refresh();
    await this.show();
  }

  /** `told` is what came of it. */
  over(told: string): void {
    this.#tree.message = told;
    this.#listening?.dispose();
    this.#blocks = undefined;
    this.#review = undefined;
    this.refresh();
  }

  /** In sight; whoever types goes on typing. */
  async show(): Promise<void> {
    const [first] = this.#roots;
    if (first) {
      await this.#tree.reveal(first, { select: false, focus: false, expand: true });
    }
  }

  refresh(): void {
    this.#roots = this.#review
      ? [
          ...this.#review.changes.map((change) => ({ change })),
          ...DECISIONS.map((decision) => ({ decision })),
        ]
      : [...(this.#blocks?.files ?? [])].map(([path, blocks]) => ({ path, blocks }));
    this.#changed.fire();
  }

  getChildren(node?: Node): Node[] {
    if (!node) {
      return this.#roots;
    }
    return "blocks" in node ? node.blocks.map((block) => ({ block })) : [];
  }

  getParent(): undefined {
    return undefined; // only what stands at the root is revealed
  }

  getTreeItem(node: Node): TreeItem {
    if ("change" in node) {
      return this.#changeItem(node.change);
    }
    if ("decision" in node) {
      return decisionItem(node.decision, this.#review?.taken.length ?? 0);
    }
    return "block" in node
      ? this.#blockItem(node.block)
      : fileItem(node.path, node.blocks, this.#blocks?.planned(node.path));
  }

  #changeItem(change: FileChange): TreeItem {
    const uri = Uri.parse(change.uri);
    const review = this.#review;
    const item = new TreeItem(uri, TreeItemCollapsibleState.None);
    const folder = dirname(workspace.asRelativePath(uri));
    const renamed = change.newUri ? `→ ${workspace.asRelativePath(Uri.parse(change.newUri))}` : "";
    const moved = review?.hasMoved(change) ? "changed meanwhile: it stays as it is" : "";
    item.label = basename(uri.path);
    item.description = [folder === "." ? "" : folder, renamed || DONE[change.kind], moved]
      .filter(Boolean)
      .join(" · ");
    item.iconPath = ThemeIcon.File;
    item.checkboxState = {
      state: review?.isTaken(change) ? TreeItemCheckboxState.Checked : TreeItemCheckboxState.Unchecked,
      tooltip: moved || "Whether this file is changed",
    };
    item.tooltip = workspace.asRelativePath(uri);
    item.command = {
      title: "Show What the Edit Makes of It",
      command: "foreword.showChange",
      arguments: [() => review?.show(change)],
    };
    return item;
  }

  #blockItem(block: Block): TreeItem {
    const item = new TreeItem(block.kind || "no block", TreeItemCollapsibleState.None);
    item.id = `${block.path}#${block.number}`;
    item.description = told(block);
    item.tooltip = item.description;
    item.iconPath = iconOf(block.state);
    if (block.content) {
      const { before, after } = textsOf(block.content);
      item.command = {
        title: "Show the Block",
        command: "foreword.showChange",
        arguments: [
          () =>
            this.texts.compare(
              this.texts.add(block.path, `${block.number}-before`, before),
              this.texts.add(block.path, `${block.number}-after`, after),
              `${basename(block.path)}: block ${block.number + 1}`,
            ),
        ],
      };
    }
    return item;
  }
}

function decisionItem({ icon, command, label }: Decision, taken: number): TreeItem {
  const item = new TreeItem(label(taken), TreeItemCollapsibleState.None);
  item.iconPath = new ThemeIcon(icon);
  item.command = { title: label(taken), command };
  return item;
}

function fileItem(path: string, blocks: readonly Block[], planned: PlannedFile | undefined): TreeItem {
  const item = new TreeItem(path ? basename(path) : "the answer", TreeItemCollapsibleState.Expanded);
  item.id = path; // one id all along: an item that is brought into sight is still the same one then
  item.description = [
    path && dirname(path) !== "." ? dirname(path) : "",
    planned?.newPath ? `→ ${planned.newPath}` : "",
    planned && planned.verb !== "change" ? planned.verb : "",
    blocks.length > 0 ? counted(blocks.length, "block") : (planned?.state ?? (planned ? "waiting" : "")),
    planned?.reason,
  ]
    .filter(Boolean)
    .join(" · ");
  item.tooltip = planned?.reason;
  item.iconPath = planIcon(planned?.state);
  return item;
}

function planIcon(state: PlannedFile["state"]): ThemeIcon {
  switch (state) {
    case "writing":
      return new ThemeIcon("loading~spin");
    case "done":
    case "unchanged":
      return new ThemeIcon("check");
    case "failed":
    case "left out":
      return new ThemeIcon("error", new ThemeColor("list.errorForeground"));
    default:
      return new ThemeIcon("file");
  }
}

function iconOf(state: Block["state"]): ThemeIcon {
  switch (state) {
    case "finished":
      return new ThemeIcon("check");
    case "malformed":
      return new ThemeIcon("error", new ThemeColor("list.errorForeground"));
    default:
      return new ThemeIcon("loading~spin");
  }
}
