#!/usr/bin/env bash
# Runs gr2 on a TPU VM slice: creates it, installs this clone on all its hosts, runs gr2, and restarts if preempted.
#
#   launch/tpu_vm.sh --name gr2 --zone us-central1-a --type v5litepod-16 --runtime v2-alpha-tpuv5-lite --spot \
#     --nfs 10.0.0.2:/share -- train configs/wikipedia.py --mesh.data 16
#
# This script runs until the job ends, so start it on a machine that stays up (such as a small VM, in tmux); the job on
# the hosts survives a lost connection. A preempted slice is deleted and created again under the same name. The command
# runs in the shared folder, which holds its configs, data and workdir: all hosts write the same workdir. To stop the
# job, end this script and send SIGTERM to the hosts, by the ssh command that the dry run shows, with
# --command 'kill -TERM -- -$(cat ~/.gr2_rounds/*/pid)'.
#
#   --name NAME       name of the slice: a-z, digits and hyphens
#   --zone ZONE
#   --type TYPE       such as v5litepod-16, v6e-16, v4-32
#   --runtime IMAGE   TPU software version for that type
#   --nfs HOST:/PATH  a shared file system (Filestore or another NFS), mounted at /shared; not needed where gr2's words
#                     have --workdir gs://...: the command then runs in this clone's copy on the hosts
#   --mount COMMAND   instead of --nfs: a command that puts a shared folder at /shared on a host (Lustre, gcsfuse)
#   --project ID      (gcloud's own setting)
#   --spot            a spot slice: cheaper, but may be preempted
#   --direct          create the slice at once instead of queueing for it
#   --delete          delete the slice when the job succeeds; otherwise it stays, and keeps costing money
#   --restarts N      at most N restarts after exit code 75, preempted (100)
#   --crashes N       at most N restarts after a host was killed or lost, or after a traceback (10)
#   --dry-run         print the commands without running them
#
# Needs: gcloud, logged in, with quota for the TPU; hosts that reach PyPI and GitHub (for Python 3.12). A check costs
# minutes of the smallest slice of two hosts, v5litepod-16 --spot. Not yet run on a real TPU: its commands were checked
# by gcloud's own parser, its restarts with a fake gcloud.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=launch/common.sh
source "$here/common.sh"

name="" zone="" type="" runtime="" nfs="" mount="" project="" spot="" direct="" delete=""
while [[ $# -gt 0 && $1 != -- ]]; do
  case $1 in
    --name | --zone | --type | --runtime | --nfs | --mount | --project)
      value "$@"
      printf -v "${1#--}" %s "$2"
      shift 2
      ;;
    --spot | --direct | --delete)
      printf -v "${1#--}" yes
      shift
      ;;
    *)
      common_option "$@"
      shift "$taken"
      ;;
  esac
done
for option in name zone type runtime; do
  [[ ${!option} ]] || refuse "--$option is missing; see --help"
done
name --name "$name" 63
for option in zone type runtime project; do
  [[ -z ${!option} ]] || lower "--$option" "${!option}"
done
at=/shared
# shellcheck disable=SC2016 # the hosts expand it
[[ $nfs || $mount ]] || at='$HOME/gr2_jax' # with configs; the workdir is in a bucket
[[ $nfs || $mount ]] || in_bucket "$@" ||
  refuse "--nfs or --mount is missing: the hosts need one folder in common, or --workdir gs://...; see --help"
[[ $# -gt 1 ]] || refuse "nothing to run. Give gr2's command after --, such as: -- train configs/wikipedia.py"
shift
command=("$@")
# gcloud returns the exit code of the first host by number, not of the first to fail.
hosts_apart=yes
[[ $dry_run ]] || need gcloud

place=(--zone "$zone" ${project:+--project "$project"})
if [[ $nfs ]]; then
  mount="sudo apt-get update -q && sudo apt-get install -q -y nfs-common && sudo mount -t nfs $(quoted "$nfs") /shared"
fi
# The TPU images' own Python is too old for gr2_jax.
setup=""
[[ $at != /shared ]] || setup="sudo mkdir -p /shared && { mountpoint -q /shared || { $mount; }; } && "
setup+="rm -rf ~/gr2_jax && mkdir ~/gr2_jax && \
tar -xzf ~/gr2_jax.tar.gz -C ~/gr2_jax && python3 -m pip install -q --user uv && \
~/.local/bin/uv venv -q --clear --python 3.12 ~/gr2_venv && \
~/.local/bin/uv pip install -q --python ~/gr2_venv/bin/python \"\$HOME/gr2_jax[quickstart,huggingface,gs,tpu]\""

if [[ $direct ]]; then
  kind=tpu-vm field=state
  create=(gcloud compute tpus tpu-vm create "$name" "${place[@]}" --accelerator-type "$type" --version "$runtime"
    ${spot:+--spot})
  remove=(gcloud compute tpus tpu-vm delete "$name" "${place[@]}" --quiet)
else
  kind=queued-resources field=state.state
  create=(gcloud compute tpus queued-resources create "$name" "${place[@]}" --node-id "$name"
    --accelerator-type "$type" --runtime-version "$runtime" ${spot:+--spot})
  remove=(gcloud compute tpus queued-resources delete "$name" "${place[@]}" --force --quiet)
fi
describe=(gcloud compute tpus "$kind" describe "$name" "${place[@]}" --format "value($field)")

on_all_hosts() { run gcloud compute tpus tpu-vm ssh "$name" "${place[@]}" --worker all --command "$1"; }

# Prints READY, LOST, ABSENT or UNKNOWN; any other state means that the slice is on its way.
state() {
  local seen
  seen=$("${describe[@]}" 2>&1) || case $seen in
    *NOT_FOUND* | *"not found"*) seen=ABSENT ;;
    *)
      say "$seen"
      seen=UNKNOWN
      ;;
  esac
  case $seen in
    ACTIVE | READY) echo READY ;;
    SUSPENDED | FAILED | PREEMPTED | TERMINATED | STOPPED) echo LOST ;;
    *) echo "$seen" ;;
  esac
}

fresh=yes # whether the hosts may lack the installation

have_slice() {
  local now unknown=0
  if [[ $dry_run ]]; then
    quoted "${create[@]}"
    quoted "${describe[@]}"
    echo "# until it is ready; a preempted slice is first deleted: $(quoted "${remove[@]}")"
    return 0
  fi
  while now=$(state) && [[ $now != READY ]]; do
    case $now in
      LOST)
        say "$name was preempted or could not be created: deleting it, to request it again"
        "${remove[@]}" || return
        ;;
      ABSENT)
        fresh=yes
        "${create[@]}" || return
        ;;
      *)
        [[ $now != UNKNOWN ]] || ((++unknown < 10)) || return 1
        sleep "${GR2_POLL_SECONDS:-30}"
        ;;
    esac
  done
}

install() {
  [[ $fresh ]] || return 0
  run tar -czf "$archive" -C "$here/.." pyproject.toml README.md LICENSE gr2_jax configs launch &&
    run gcloud compute tpus tpu-vm scp "$archive" "$name:gr2_jax.tar.gz" "${place[@]}" --worker all &&
    on_all_hosts "$setup" && fresh=""
}

round=0
everywhere_once() {
  local code=0 label=ROUND
  have_slice || return
  [[ $dry_run ]] || label=$(date +%s)-$((++round))
  # The hosts' shell runs this, so that ~ is theirs.
  install && on_all_hosts "cd $at && GR2_CLUSTER=auto GR2_JOB=$name ~/gr2_jax/launch/host.sh $label \
~/gr2_venv/bin/python -m gr2_jax $(quoted "${command[@]}")" || code=$?
  # A slice that is gone was preempted, whatever its hosts returned.
  if [[ -z $dry_run && $code != 0 && $(state) != READY ]]; then code=75; fi
  return "$code"
}

archive=gr2_jax.tar.gz
if [[ -z $dry_run ]]; then
  folder=$(mktemp -d)
  archive=$folder/$archive
  trap 'rm -rf "$folder"' EXIT
fi
code=0
again everywhere_once || code=$?
if [[ $delete && $code == 0 ]]; then
  run "${remove[@]}"
elif [[ -z $dry_run ]]; then
  say "$name still exists and costs money; to delete it: $(quoted "${remove[@]}")"
fi
exit "$code"
