#!/bin/sh
# Makes .venv from a lock: `locks/install.sh locks/cpu.txt`. Plain pip, hashes checked, nothing outside the lock.
# With FOREWORD_DEPS=DIR the packages of the lock go to DIR/<hash of the lock>, shared by every checkout that has
# the same lock, and .venv only points there (CI and people with several checkouts save the download).
set -eu
lock=$1
python=${PYTHON:-python3}

"$python" - <<'PY' || exit 1
import sys
if sys.version_info < (3, 11):
    sys.exit(f"Foreword needs Python 3.11 or newer, this is {sys.version.split()[0]}; try: make setup PYTHON=python3.11")
PY

packages() { # venv -> the folder that holds its packages
    "$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
}
install_lock() { # venv
    "$python" -m venv "$1"
    echo "Installing the packages of $lock into $1 (about 7 GB for cpu.txt, 11 GB for gpu.txt)"
    "$1/bin/python" -m pip install --disable-pip-version-check --no-deps --require-hashes -r "$lock"
}

rm -rf .venv
if [ -n "${FOREWORD_DEPS:-}" ]; then
    shared=$FOREWORD_DEPS/$("$python" -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read() + sys.version.encode()).hexdigest()[:16])' "$lock")
    mkdir -p "$FOREWORD_DEPS"
    if [ ! -e "$shared/.complete" ]; then
        # Built in place, since a venv cannot be moved; without the marker it is begun anew.
        rm -rf "$shared"
        install_lock "$shared"
        touch "$shared/.complete"
    fi
    "$python" -m venv .venv
    echo "import site; site.addsitedir('$(packages "$shared")')" >"$(packages .venv)/foreword_shared_dependencies.pth"
else
    install_lock .venv
fi
.venv/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --editable .
.venv/bin/foreword --version
