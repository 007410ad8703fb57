#!/usr/bin/env bash
# A TPU VM slice: makes it, installs this clone on all its hosts, runs gr2 on them, and starts again what was preempted.
#
#   launch/tpu_vm.sh --name gr2 --zone us-central1-a --type v5litepod-16 --runtime v2-alpha-tpuv5-lite --spot \
#     --nfs 10.0.0.2:/share -- train configs/wikipedia.py --mesh.data 16
#
# Runs until the job ends, on a machine that stays up (a small VM in tmux, say); what runs on the hosts outlives a lost
# connection. A slice that was preempted is deleted and made again under the same name. The command runs in the shared
# folder, where its configs, data and workdir lie: the hosts write one workdir together. To stop the job, end this
# script and ask the hosts to leave, by the ssh command that the dry run shows, with
# --command 'kill -TERM -- -$(cat ~/.gr2_rounds/*/pid)'.
#
#   --name NAME       of the slice
#   --zone ZONE
#   --type TYPE       such as v5litepod-16, v6e-16, v4-32
#   --runtime IMAGE   the TPU software version that goes with the type
#   --nfs HOST:/PATH  a shared file system (Filestore or another NFS), mounted at /shared
#   --mount COMMAND   instead of --nfs: a command that puts a shared folder at /shared on a host (Lustre, gcsfuse)
#   --project ID      (gcloud's own setting)
#   --spot            a spot slice: cheaper, and taken away when others pay more
#   --direct          ask for the slice at once instead of queueing for it
#   --delete          delete the slice when the job has ended well; otherwise it stays, and costs
#   --restarts N      starts again after exit code 75, preempted (100)
#   --crashes N       starts again after a host was killed or lost, or after a traceback (10)
#   --dry-run         prints the commands and runs none
#
# Needs: gcloud, logged in, with quota for the TPU; hosts that reach PyPI and GitHub (for Python 3.12). Costs to check:
# minutes of the smallest slice of two hosts, v5litepod-16 --spot. Not run on a real TPU here: its commands were given
# to gcloud's own parser, its restarts to a gcloud that pretends.
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
[[ $nfs || $mount ]] || refuse "--nfs or --mount is missing: the hosts need one folder in common; see --help"
[[ $# -gt 1 ]] || refuse "what shall run? Give gr2's command after --, such as: -- train configs/wikipedia.py"
shift
command=("$@")
# gcloud tells the code of the first host by number, not in time.
hosts_apart=yes
[[ $dry_run ]] || need gcloud

place=(--zone "$zone" ${project:+--project "$project"})
if [[ $nfs ]]; then
  mount="sudo apt-get update -q && sudo apt-get install -q -y nfs-common && sudo mount -t nfs $(quoted "$nfs") /shared"
fi
# The TPU images' own Python is older than what gr2_jax needs.
setup="sudo mkdir -p /shared && { mountpoint -q /shared || { $mount; }; } && rm -rf ~/gr2_jax && mkdir ~/gr2_jax && \
tar -xzf ~/gr2_jax.tar.gz -C ~/gr2_jax && python3 -m pip install -q --user uv && \
~/.local/bin/uv venv -q --clear --python 3.12 ~/gr2_venv && \
~/.local/bin/uv pip install -q --python ~/gr2_venv/bin/python \"\$HOME/gr2_jax[quickstart,huggingface,tpu]\""

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

# READY, LOST, ABSENT or UNKNOWN; else the slice is on its way.
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
    echo "# until it is there; a slice that was preempted is first deleted: $(quoted "${remove[@]}")"
    return 0
  fi
  while now=$(state) && [[ $now != READY ]]; do
    case $now in
      LOST)
        say "$name was preempted or could not be had: deleting it, to ask again"
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
  # In the shell of the hosts, where ~ is theirs.
  install && on_all_hosts "cd /shared && GR2_CLUSTER=auto ~/gr2_jax/launch/host.sh $label \
~/gr2_venv/bin/python -m gr2_jax $(quoted "${command[@]}")" || code=$?
  # Whatever the hosts say: a slice that is gone was preempted.
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
  say "$name is still there, and costs; to delete it: $(quoted "${remove[@]}")"
fi
exit "$code"
