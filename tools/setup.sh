#!/usr/bin/env bash
# Make .venv beside the Makefile. Usage: tools/setup.sh runtime|dev
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
wanted="$1"

fail() { printf '\nSetup failed: %s\n  What to do: %s\n' "$1" "$2" >&2; exit 1; }

command -v "$python" >/dev/null || fail "there is no $python" "install Python 3.11, 3.12 or 3.13"
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' ||
  fail "$("$python" --version) is not supported" "use Python 3.11, 3.12 or 3.13: make PYTHON=python3.12 $wanted"

if [ ! -x .venv/bin/python ]; then
  if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    # Debian ships the standard library's venv in a package of its own.
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
      version=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
      apt-get update -qq && apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$version"
    else
      fail "this Python cannot make virtual environments" "install python3-venv (Debian: sudo apt-get install python3-venv)"
    fi
  fi
  echo "Making .venv ..."
  "$python" -m venv .venv
fi
if [ ! -x .venv/bin/uv ]; then
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
fi

uv() { .venv/bin/uv --quiet pip install --python .venv/bin/python "$@"; }
requirements=requirements/runtime.txt
[ "$wanted" = dev ] && requirements=requirements/dev.txt
echo "Installing $requirements ..."
uv --compile-bytecode --require-hashes -r "$requirements"
command -v npm >/dev/null || uv --require-hashes -r requirements/node.txt
uv --no-deps --no-build-isolation --editable .
[ "$wanted" = runtime ] || exit 0
echo "Compiling what renders images (a minute at first) ..."
.venv/bin/python -m compileall -q src
.venv/bin/python -m dicomfab.fabricate.warm ||
  echo "Not everything could be compiled now; it will be when it is first needed." >&2
