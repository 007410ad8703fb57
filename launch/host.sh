#!/usr/bin/env bash
# Runs a command on this host; a lost connection neither ends it nor starts it twice: launch/host.sh ROUND COMMAND...
#
# A job is started over ssh on every host. If ssh breaks off while the job runs, gcloud connects again and repeats the
# call. So the command runs detached from the connection, and the round's name tells whether it was already started: the
# first call of a round ends what an earlier round left running and starts the command; a later call only follows it.
# Both print its output and exit with its code, or with 137 if the host went down and the code was never written.
set -euo pipefail
round=$1
shift
rounds=${GR2_ROUNDS:-$HOME/.gr2_rounds}
folder=$rounds/$round
mkdir -p "$rounds"

# SIGTERM first: the new round resumes from what the earlier one saves.
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
    trap : TERM # the command gets SIGTERM too; this shell stays to write its exit code
    code=0
    "$@" || code=$?
    echo "$code" >"$0/code.part"
    mv "$0/code.part" "$0/code"' "$folder" "$@" >"$folder/log" 2>&1 </dev/null &
  until [[ -s $folder/pid ]]; do sleep 0.1; done
fi
tail -n +1 -F --pid="$(<"$folder/pid")" "$folder/log" 2>/dev/null
[[ -e $folder/code ]] || exit 137
exit "$(<"$folder/code")"
