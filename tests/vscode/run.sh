#!/bin/sh
# Runs the tests in the workbench with the node that code-server runs on.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
FOREWORD_TEST_TOOLS=$("$here/install.sh")
export FOREWORD_TEST_TOOLS
exec "$FOREWORD_TEST_TOOLS/node" --test --test-reporter=spec --test-timeout=300000 --test-concurrency=2 "$here"/*.test.mjs
