# Sourced by setup.sh: runs its steps, and puts what goes wrong into words: what happened, why most likely, what to do.
log=.venv/setup.log

fail() { # WHAT CAUSE REMEDY
  printf '\nSetup failed: %s.\n  Likely cause: %s\n  What to do:   %s\n' "$1" "$2" "$3" >&2
  exit 1
}

again="then do the same again: what is there already is not fetched twice"

# What a failed program said -> its cause. The first that fits counts: a full disk makes other things fail as well.
explain() { # WHAT SAID
  local said="$2" last
  if [ -d .venv ]; then printf '%s\n' "$said" 2>/dev/null >"$log" || true; fi
  last=$(grep -iE '(error|caused by|failed|cannot|no such)' <<<"$said" | tail -1 | sed -E 's/^[^[:alnum:]]+//; s/^(error|caused by): *//I' | cut -c1-300 || true)
  says() { grep -qiE "$1" <<<"$said"; }
  if says 'no space left|os error 28\b|\bENOSPC\b|quota exceeded|os error 122|file too large|os error 27\b'; then
    fail "$1" "the disk is full, or your share of it" \
      "make room ($(df -Ph . | awk 'NR == 2 {print $4 " are free on " $6}'), about 2 GB are needed), $again"
  elif says 'permission denied|os error 13\b|\bEACCES\b|read-only file system|os error 30\b|\bEROFS\b|operation not permitted'; then
    fail "$1" "this user ($(id -un 2>/dev/null || id -u)) may not write there: ${last:-no more was said}" \
      "do it in a clone of your own, or have its folder given to you; not with sudo: the files would be root's"
  elif says 'do not match the hashes|hash mismatch|\bEINTEGRITY\b|is not what frontend'; then
    fail "$1" "what was fetched is not what was pinned: damaged on its way, or changed by a mirror" \
      "empty the caches (.venv/bin/uv cache clean; npm cache clean --force), $again; if it stays so, ask whoever runs the mirror"
  elif says 'certificate|unknown ?issuer|self.signed'; then
    fail "$1" "the network puts a certificate of its own in the place of the index's, as proxies of companies do" \
      "get its authority as a PEM file and set PIP_CERT, SSL_CERT_FILE and NODE_EXTRA_CA_CERTS to it, $again"
  elif says 'resolution|resolve host|dns error|unreachable|refused|timed out|timeout|sending request|connection error|new connection|could not connect|\b(ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONN[A-Z]+|ENETUNREACH)\b|registry cannot be reached|proxy|failed to fetch'; then
    fail "$1" "there is no way from here to the package index (of Python, npm or Debian)" \
      "check the network. Behind a proxy set HTTPS_PROXY; with mirrors PIP_INDEX_URL, UV_DEFAULT_INDEX and npm's registry; $again"
  elif says 'no matching distribution|no solution found|\b(E404|ETARGET)\b|404 not found|unable to locate package'; then
    fail "$1" "the package index that is set does not have it: ${last:-a mirror that is behind}" \
      "ask whoever runs the mirror, or leave it out (PIP_INDEX_URL, UV_DEFAULT_INDEX, npm's registry), $again"
  fi
  fail "$1" "not one that we know: ${last:-nothing was said, perhaps it was ended for want of memory}" \
    "read $log, delete .venv, do the same again; if it stays so, report it with that file"
}

# Run a step quietly: what it says matters only when it fails.
step() { # WHAT COMMAND ...
  local what="$1" said
  shift
  said=$("$@" 2>&1 </dev/null) || explain "$what" "$said"
}
