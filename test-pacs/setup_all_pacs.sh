#!/usr/bin/env bash
# The four test PACS servers: start, status, stop, restart, clean. All of it is `dicomfab lab`.
set -euo pipefail

clone=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python="$clone/.venv/bin/python"

usage() {
  cat <<'TEXT'
Usage: setup_all_pacs.sh start|status|stop|restart|clean [OPTIONS]

  start    start the four servers and wait until they answer
  status   show whether they answer; exit code 3 unless all four do
  stop     stop them; what they hold stays
  restart  stop and start
  clean    stop them and delete everything that they hold

Options are those of the same command of 'dicomfab lab', such as: start --engine orthanc
TEXT
}

command=${1:-}
if [[ $# -gt 0 ]]; then shift; fi
case $command in
  start | status | stop | restart) ;;
  clean) set -- --yes "$@" ;;
  -h | --help | help)
    usage
    exit 0
    ;;
  *)
    usage >&2
    exit 2
    ;;
esac

if ! [[ -x $python ]] || ! "$python" -c 'import dicomfab' 2>/dev/null; then
  echo "DICOM Fabricator is not set up yet. Run 'make setup' (or 'make run') in $clone once first." >&2
  exit 1
fi
exec "$python" -m dicomfab lab "$command" "$@"
