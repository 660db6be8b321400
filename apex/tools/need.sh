#!/bin/sh
# Sees to it that a program of the system is there: installs its Debian packages where that is
# possible, as root; else says in one line what to install, and fails.
#
#   need.sh PROGRAM PACKAGE...
set -eu
program=$1
shift
if command -v "$program" >/dev/null; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "$program not found: sudo apt-get install -y --no-install-recommends $*" >&2
    exit 1
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "Installing $* with apt-get ..."
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update && apt-get install -y --no-install-recommends "$@"; } >"$log" 2>&1; then
    echo "$program cannot be installed; apt-get ended with:" >&2
    tail -n 15 "$log" >&2
    exit 1
fi
