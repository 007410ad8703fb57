#!/usr/bin/env bash
# Runs several processes on this machine as one job, to try out what a cluster does.
#
#   launch/laptop.sh --processes 2 -- train configs/wikipedia_small.py --mesh.data 2
#
# Starts --processes copies of `python -m gr2_jax`, followed by the words after --, with the three variables by which
# processes find each other (JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES, JAX_PROCESS_ID). When one fails, the others get
# --patience seconds to exit by themselves. Ctrl-C, or SIGTERM to this script, asks all to save and exit; the same
# command resumes later.
#
#   --processes N     number of processes (2)
#   --python PATH     the interpreter (the clone's .venv, else python3)
#   --port N          port on which the first process listens (a free one)
#   --gpus            process i gets GPU i; without it each process takes all GPUs of the machine
#   --patience N      seconds between the first failure and killing the others (GR2_HEARTBEAT_SECONDS and 1, 13)
#   --restarts N      at most N restarts after exit code 75, preempted (100)
#   --crashes N       at most N restarts after a kill (10)
#   --dry-run         print the commands without running them
#
# Needs: the installation of README.md. A check costs nothing: its tests run it, except for --gpus, which was never run.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=launch/common.sh
source "$here/common.sh"

processes=2 python="" port="" gpus="" patience=""
while [[ $# -gt 0 && $1 != -- ]]; do
  case $1 in
    --processes | --port | --patience)
      value "$@"
      number "$1" "$2"
      printf -v "${1#--}" %s "$2"
      shift 2
      ;;
    --python)
      value "$@"
      python=$2
      shift 2
      ;;
    --gpus)
      gpus=yes
      shift
      ;;
    *)
      common_option "$@"
      shift "$taken"
      ;;
  esac
done
[[ $# -gt 1 ]] || refuse "nothing to run. Give gr2's command after --, such as: -- train configs/wikipedia_small.py"
shift
((processes > 0)) || refuse "--processes must be at least 1"
if [[ -z $python ]]; then
  python=$here/../.venv/bin/python
  [[ -x $python ]] || python=python3
fi
[[ $dry_run ]] || need "$python"

if [[ -z $patience ]]; then # a lost host is noticed in less, but for one that had not joined yet
  number GR2_HEARTBEAT_SECONDS "${GR2_HEARTBEAT_SECONDS:-12}"
  patience=$((10#${GR2_HEARTBEAT_SECONDS:-12} + 1))
fi

command=("$python" -m gr2_jax "$@")
children=()
folder=""

stop() {
  leaving=yes
  [[ ${#children[@]} == 0 ]] || kill -TERM "${children[@]}" 2>/dev/null || true
}

free_port() {
  "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Runs all processes once; returns the exit code of the first that failed.
all_once() {
  local address i since="" variables
  address=127.0.0.1:${port:-$(if [[ $dry_run ]]; then echo PORT; else free_port; fi)}
  children=()
  for ((i = 0; i < processes; i++)); do
    variables=("JAX_COORDINATOR_ADDRESS=$address" "JAX_NUM_PROCESSES=$processes" "JAX_PROCESS_ID=$i")
    [[ -z $gpus ]] || variables+=("CUDA_VISIBLE_DEVICES=$i")
    if [[ $dry_run ]]; then
      echo "$(quoted env "${variables[@]}" "${command[@]}") &"
    else
      env "${variables[@]}" "$here/first.sh" "$folder/first" "${command[@]}" &
      children+=($!)
    fi
  done
  [[ -z $dry_run ]] || return 0
  while [[ -n $(jobs -pr) ]]; do
    sleep 0.2
    [[ -e $folder/first ]] || continue
    since=${since:-$SECONDS}
    ((SECONDS - since < patience)) || kill_all
  done
  [[ -e $folder/first ]] || return 0
  read -r i <"$folder/first"
  rm "$folder/first"
  return "$i"
}

# Kills the process that each first.sh started; first.sh then ends.
kill_all() {
  local child
  for child in "${children[@]}"; do
    pkill -KILL -P "$child" || true
  done
}

if [[ -z $dry_run ]]; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  trap stop TERM INT
fi
code=0
again all_once || code=$?
exit "$code"
