#!/usr/bin/env bash
# Runs a command as one process of several: launch/first.sh FILE COMMAND...
#
# The first process of a job to fail says what happened; the others only follow, hours of waiting or an abort later. So
# the first to fail leaves its exit code in FILE, and whoever started the job reads it there. FILE lies where all
# processes reach it.
set -euo pipefail
file=$1
shift
"$@" &
child=$!
# A shell waits for its child before it heeds a signal, so the signal is handed on at once.
trap 'kill -TERM "$child" 2>/dev/null || true' TERM INT
code=0
wait "$child" || code=$?
while kill -0 "$child" 2>/dev/null; do # the wait above ended by a signal, the child has not
  code=0
  wait "$child" || code=$?
done
# ">" with noclobber fails where the file exists: only one can be first.
if [[ $code != 0 ]]; then (set -o noclobber && echo "$code" >"$file") 2>/dev/null || true; fi
exit "$code"
