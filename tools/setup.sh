#!/usr/bin/env bash
# Make .venv beside the Makefile, or mend it. Usage: tools/setup.sh runtime|dev [--if-needed]
set -euo pipefail
cd -P "$(dirname "$0")/.."
source tools/failures.sh
python="${PYTHON:-python3}"
wanted="$1"
requirements="requirements/$wanted.txt"
unfinished=.venv/.unfinished

supported() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; }

# A clone that was moved or copied has programs that begin with the old place; an update may take the Python away.
stands_here() {
  grep -qsF "$PWD/.venv" .venv/pyvenv.cfg .venv/bin/dicomfab && .venv/bin/python -IS -c pass 2>/dev/null
}
whole() {
  local broken
  [ ! -e "$unfinished" ] && stands_here && broken=$(.venv/bin/python -IS tools/whole.py "$requirements") && [ -z "$broken" ]
}
has_uv() { .venv/bin/uv --version >/dev/null 2>&1 && compgen -G '.venv/lib/python*/site-packages/uv-*.dist-info' >/dev/null; }
uv() { .venv/bin/uv --quiet pip install --python .venv/bin/python "$@"; }
# uv remembers what the Python of a path once said, also if that was while .venv was being deleted: the system's place.
finds_us() { .venv/bin/uv pip show --python .venv/bin/python uv 2>/dev/null | grep -qF "Location: $PWD/.venv/"; }

if [ "${2:-}" = --if-needed ] && whole; then exit 0; fi
trap 'printf "\nSet-up was interrupted. Do the same again whenever you like.\n" >&2; exit 130' INT TERM HUP

# One at a time: a second one waits for the first, also for what that left running when it was killed.
if command -v flock >/dev/null; then
  exec 9<tools/setup.sh
  if ! flock -n 9; then
    echo "Another set-up of this clone is running: waiting for its end ..."
    flock 9
    if whole; then exit 0; fi
  fi
fi

if ! supported "$python"; then
  if command -v "$python" >/dev/null; then
    what="$("$python" --version 2>&1 | tail -1) ($python) is not supported" why="it is too old or too new, or does not run"
  else
    what="there is no $python" why="it is not installed, or has another name"
  fi
  for other in python3.13 python3.12 python3.11; do
    if supported "$other"; then fail "$what" "$why" "$other is here, use that: make PYTHON=$other run"; fi
  done
  fail "$what" "$why" "install Python 3.11, 3.12 or 3.13 with its venv module, then: make PYTHON=python3.12 run"
fi

# A cache that cannot be written is no reason to fail.
cache="${XDG_CACHE_HOME:-${HOME:-/nowhere}/.cache}"
if ! mkdir -p "$cache" 2>/dev/null || [ ! -w "$cache" ]; then
  export XDG_CACHE_HOME="$PWD/.venv/cache" npm_config_cache="$PWD/.venv/cache/npm"
fi

if ! stands_here || { [ -e "$unfinished" ] && ! has_uv; }; then
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    # Debian ships the standard library's venv in a package of its own.
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
      fail "$python cannot make virtual environments" "its venv module is a package of its own on Debian and Ubuntu" \
        "have it installed: sudo apt-get install $package"
    fi
    step "Debian's package list could not be read" apt-get update -qq
    step "$package could not be installed" apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$package"
  fi
  if [ -e .venv ]; then echo "The .venv that is here is not whole, or of another place: making it anew ..."; else echo "Making .venv ..."; fi
  step "the old .venv could not be removed" rm -rf .venv
  step "$PWD/.venv could not be made" mkdir .venv
  step "$PWD/.venv could not be made" touch "$unfinished"
  step "$PWD/.venv could not be made" "$python" -m venv .venv
fi
if [ -e "$unfinished" ]; then every=--every; else every=; fi
step "$PWD/.venv cannot be changed" touch "$unfinished"
step "what is half installed could not be removed" .venv/bin/python -IS tools/whole.py "$requirements" --forget $every
if ! has_uv; then
  step "uv, which installs the packages, could not be installed" .venv/bin/python -m pip install --quiet --retries 2 \
    --disable-pip-version-check --force-reinstall --require-hashes -r requirements/uv.txt
fi

if ! finds_us; then
  rm -rf "$(.venv/bin/uv cache dir)"/interpreter-*
  finds_us || fail "uv does not find $PWD/.venv" "what it remembers in $(.venv/bin/uv cache dir) is of another place" \
    "remove that folder, $again"
fi
echo "Installing $requirements ..."
step "the packages of $requirements could not be installed" uv --compile-bytecode --require-hashes -r "$requirements"
command -v npm >/dev/null || step "Node.js could not be installed" uv --require-hashes -r requirements/node.txt
step "this package, with what its web pages need, could not be installed" uv --no-deps --no-build-isolation --editable .
rm -f "$unfinished"
[ "$wanted" = runtime ] || exit 0
echo "Compiling what renders images (a minute at first) ..."
.venv/bin/python -m compileall -q src >/dev/null 2>&1 || true
if ! said=$(.venv/bin/python -m dicomfab.fabricate.warm 2>&1); then
  printf '%s\n' "$said" >"$log" || true
  echo "Not everything could be compiled now ($log says why); it will be when it is first needed." >&2
fi
