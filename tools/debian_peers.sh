#!/usr/bin/env bash
# Install the real peers that the tests talk to: DCMTK, GDCM, Orthanc and its DICOMweb plugin, PostgreSQL, Chromium, Samba
# as a domain controller, SimpleSAMLphp, rsyslog, nginx, Apache. Several of these packages start servers when they are
# installed; here they must not. Elsewhere than on Debian as root this only says what is missing.
set -euo pipefail
declare -A program=([dcmtk]=storescu [libgdcm-tools]=gdcmconv [orthanc]=Orthanc [postgresql]=initdb
  [chromium]=chromium [chromium-headless-shell]=chromium-headless-shell [lsof]=lsof [samba-ad-dc]=samba
  [php-cli]=php [rsyslog]=rsyslogd [xmlsec1]=xmlsec1
  [nginx]=nginx [apache2-bin]=apache2 [systemd]=systemd-analyze)
# What is no program.
declare -A file=([orthanc-dicomweb]=/usr/share/orthanc/plugins/libOrthancDicomWeb.so
  [samba-ad-provision]=/usr/share/samba/setup/provision.ldif [simplesamlphp]=/usr/share/simplesamlphp/www/index.php
  [rsyslog-gnutls]='/usr/lib/*/rsyslog/lmnsd_gtls.so' [php-xml]='/usr/lib/php/*/dom.so'
  [php-mbstring]='/usr/lib/php/*/mbstring.so' [php-curl]='/usr/lib/php/*/curl.so')
services=(orthanc postgresql samba-ad-dc smbd nmbd winbind apache2 rsyslog nginx)
# Debian keeps PostgreSQL's own programs outside the path.
searched="$PATH:/usr/sbin$(printf ':%s' /usr/lib/postgresql/*/bin)"
missing=()
for package in "${!program[@]}"; do
  PATH="$searched" command -v "${program[$package]}" >/dev/null || missing+=("$package")
done
for package in "${!file[@]}"; do
  compgen -G "${file[$package]}" >/dev/null || missing+=("$package")
done
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

stopped=()
if command -v systemctl >/dev/null; then
  for service in "${services[@]}"; do systemctl is-active --quiet "$service.service" || stopped+=("$service"); done
fi

echo "Installing ${missing[*]} ..."
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
known=()
for package in "${missing[@]}"; do
  if apt-cache show "$package" >/dev/null 2>&1; then known+=("$package"); else
    echo "This release of Debian has no $package: the tests that need it will be skipped, visibly." >&2
  fi
done
[ ${#known[@]} = 0 ] && exit 0
apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${known[@]}" >/dev/null
# Where systemd runs, the packages' units would start at the next boot; what ran before goes on.
if command -v systemctl >/dev/null && [ -d /run/systemd/system ]; then
  for service in "${stopped[@]}"; do systemctl disable --now "$service.service" >/dev/null 2>&1 || true; done
fi
