#!/usr/bin/env bash
# Install the real peers that the tests talk to: DCMTK, GDCM, Orthanc and its DICOMweb plugin, PostgreSQL, Chromium.
# Debian's orthanc package starts a server on 4242 and 8042 when it is installed, and postgresql one on 5432; here they
# must not. Elsewhere than on Debian as root this only says what is missing.
set -euo pipefail
declare -A program=([dcmtk]=storescu [libgdcm-tools]=gdcmconv [orthanc]=Orthanc [postgresql]=initdb
  [chromium]=chromium [lsof]=lsof)
# Debian keeps PostgreSQL's own programs outside the path.
searched="$PATH:/usr/sbin$(printf ':%s' /usr/lib/postgresql/*/bin)"
missing=()
for package in "${!program[@]}"; do
  PATH="$searched" command -v "${program[$package]}" >/dev/null || missing+=("$package")
done
# A plugin of Orthanc is no program.
[ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] || missing+=(orthanc-dicomweb)
[ ${#missing[@]} = 0 ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "Not installed: ${missing[*]}. The tests that need them will be skipped, visibly." >&2
  echo "  On Debian: sudo tools/debian_peers.sh" >&2
  exit 0
fi

policy=/usr/sbin/policy-rc.d
backup=""
restore() {
  rm -f "$policy"
  if [ -n "$backup" ]; then mv "$backup" "$policy"; fi
}
trap restore EXIT
if [ -e "$policy" ]; then
  backup=$(mktemp "$policy.XXXXXX")
  cp -p "$policy" "$backup"
fi
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

echo "Installing ${missing[*]} ..."
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
# Where systemd runs, the packages' units would start at the next boot.
if command -v systemctl >/dev/null && [ -d /run/systemd/system ]; then
  for package in "${missing[@]}"; do
    case "$package" in orthanc | postgresql) systemctl disable --now "$package.service" >/dev/null 2>&1 || true ;; esac
  done
fi
