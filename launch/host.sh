#!/usr/bin/env bash
# Runs a command on this host so that a lost connection does not end or double it: launch/host.sh ROUND COMMAND...
#
# A job is started over ssh on every host, and ssh may break off while the job runs; gcloud then connects again and says
# the same once more. So the command runs apart from the connection, and the round's name tells whether it was started
# already: the first call of a round ends what an earlier round left running and starts the command, a later one only
# follows it. Both print its output and end with its exit code; 137 where the host fell and its code was never written.
set -euo pipefail
round=$1
shift
rounds=${GR2_ROUNDS:-$HOME/.gr2_rounds}
folder=$rounds/$round
mkdir -p "$rounds"

# Asked to leave first: what it saves is what the new round starts from.
end_earlier() {
  local earlier pid
  for earlier in "$rounds"/*/pid; do
    [[ -e $earlier ]] || continue
    pid=$(<"$earlier")
    if [[ ! -e ${earlier%pid}code ]] && kill -TERM -- "-$pid" 2>/dev/null; then
      for _ in $(seq "${GR2_LEAVE_SECONDS:-120}"); do
        kill -0 -- "-$pid" 2>/dev/null || break
        sleep 1
      done
      kill -KILL -- "-$pid" 2>/dev/null || true
    fi
    rm -r "${earlier%/pid}"
  done
}

if [[ ! -d $folder ]]; then
  end_earlier
  mkdir "$folder"
  # shellcheck disable=SC2016  # expanded by the new shell
  setsid bash -c '
    echo $$ >"$0/pid"
    trap : TERM # the command is asked to leave, this shell stays to write its code down
    code=0
    "$@" || code=$?
    echo "$code" >"$0/code.part"
    mv "$0/code.part" "$0/code"' "$folder" "$@" >"$folder/log" 2>&1 </dev/null &
  until [[ -s $folder/pid ]]; do sleep 0.1; done
fi
tail -n +1 -F --pid="$(<"$folder/pid")" "$folder/log" 2>/dev/null
[[ -e $folder/code ]] || exit 137
exit "$(<"$folder/code")"
