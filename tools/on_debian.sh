#!/usr/bin/env bash
# Runs a command in a fresh clone of what is committed, on another release of Debian with its Python:
#   sudo tools/on_debian.sh trixie make test
# The release is unpacked once, by debootstrap, into a folder of the cache. Mounts and processes end with the command.
set -euo pipefail

[ $# -ge 2 ] || { echo "usage: $0 RELEASE COMMAND..." >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "$0: needs root, for debootstrap and chroot" >&2; exit 2; }
command -v debootstrap >/dev/null || { echo "$0: there is no debootstrap: apt-get install debootstrap" >&2; exit 2; }

tree=$(cd "$(dirname "$0")/.." && pwd)
release=$1
shift
debian=${XDG_CACHE_HOME:-$HOME/.cache}/dicom-fabricator/$release

if [ ! -e "$debian/unpacked" ]; then
  rm -rf "$debian"
  mkdir -p "$debian"
  debootstrap --variant=minbase \
    --include=python3,python3-venv,make,git,ca-certificates,procps,curl "$release" "$debian"
  touch "$debian/unpacked"
fi

# The way to packages is that of this machine, with whom it trusts.
cp /etc/resolv.conf /etc/hosts "$debian/etc/"
if [ -e /etc/pip.conf ]; then cp /etc/pip.conf "$debian/etc/"; fi
home=$debian/srv
if [ -e "$HOME/.npmrc" ]; then cp "$HOME/.npmrc" "$home/"; fi
cp -r /usr/local/share/ca-certificates/. "$debian/usr/local/share/ca-certificates/"
chroot "$debian" update-ca-certificates >/dev/null
trusted=/etc/ssl/certs/ca-certificates.crt

rm -rf "$debian/tmp/"* "$home/dicom-fabricator"
# Git would not have root read a tree of somebody else.
printf '[safe]\ndirectory = *\n' > "$home/.gitconfig"
GIT_CONFIG_GLOBAL="$home/.gitconfig" git clone --quiet "$tree" "$home/dicom-fabricator"

export debian trusted
# shellcheck disable=SC2016  # it is for the shell inside
exec unshare --mount --pid --fork --kill-child bash -euo pipefail -c '
  mount --rbind /dev "$debian/dev"
  mount --rbind /sys "$debian/sys"
  mount -t proc proc "$debian/proc"
  exec chroot "$debian" env -i HOME=/srv LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PIP_CERT="$trusted" SSL_CERT_FILE="$trusted" NODE_EXTRA_CA_CERTS="$trusted" \
    bash -c "cd ~/dicom-fabricator && exec \"\$@\"" bash "$@"
' bash "$@"
