#!/usr/bin/env bash
# Runs a command as one process of several: launch/first.sh FILE COMMAND...
#
# The exit code of the first process to fail tells what happened; the others fail later as a consequence, by a timeout
# or an abort. So the first to fail writes its exit code to FILE, where the launch script reads it. FILE must be on a
# file system that all processes share.
set -euo pipefail
file=$1
shift
"$@" &
child=$!
# A shell handles a signal only after its foreground child ends, so the child runs in the background
# and gets the signal at once.
trap 'kill -TERM "$child" 2>/dev/null || true' TERM INT
code=0
wait "$child" || code=$?
while kill -0 "$child" 2>/dev/null; do # a signal ended the wait above, but not the child
  code=0
  wait "$child" || code=$?
done
# ">" with noclobber fails where the file exists: only one can be first.
if [[ $code != 0 ]]; then (set -o noclobber && echo "$code" >"$file") 2>/dev/null || true; fi
exit "$code"
