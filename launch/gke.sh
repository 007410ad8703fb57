#!/usr/bin/env bash
# Runs gr2 on a TPU slice of a GKE cluster, one pod per host, by Kubernetes' JobSet or by XPK.
#
#   launch/gke.sh --name gr2 --image IMAGE --accelerator tpu-v5-lite-podslice --topology 4x4 --hosts 4 --chips 4 \
#     --claim shared -- train configs/wikipedia.py --mesh.data 16
#   launch/gke.sh --xpk CLUSTER --name gr2 --image IMAGE --type v5litepod-16 --storage shared --shared /shared -- \
#     train configs/wikipedia.py --mesh.data 16
#
# Submits the job; the cluster does the rest. Pods that exit with 75 or lose their node restart, without limit. After a
# kill, or after a traceback (1), which may come from a host that lost the others, they restart at most --crashes times.
# Bad input (2) ends the job. The command runs in the shared folder, which holds its configs, data and workdir: all
# hosts write the same workdir.
#
#   --name NAME           name of the job, a-z, digits and hyphens; delete a finished job of that name first (kubectl delete jobset NAME)
#   --image IMAGE         an image with this clone; its Dockerfile may be
#                           FROM python:3.12
#                           COPY . /gr2
#                           RUN pip install '/gr2[quickstart,huggingface,gs,tpu]'
#   --accelerator NAME    GKE's name of the TPU: tpu-v5-lite-podslice, tpu-v6e-slice, tpu-v4-podslice
#   --topology AxB        topology of the slice
#   --hosts N             hosts of the slice: its chips divided by --chips
#   --chips N             chips of each host (4)
#   --claim NAME          a PersistentVolumeClaim, ReadWriteMany (Filestore or Lustre), mounted at /shared; not needed
#                         where gr2's words have --workdir gs://...: the command then runs in the image's /gr2
#   --spot                use spot nodes
#   --namespace NAME      (kubectl's own setting)
#   --xpk CLUSTER         submit by `xpk workload create` to that cluster; --claim is then replaced by:
#   --storage NAME        a storage that `xpk storage attach` knows, and --shared DIR, where it is mounted
#   --type TYPE           XPK's name of the slice, such as v5litepod-16
#   --crashes N           at most N restarts after a kill (10); XPK counts both kinds together (--restarts, 100)
#   --dry-run             print the manifest and the commands without running them
#
# Needs: kubectl with access to the cluster and JobSet 0.10 installed in it, or xpk. A check costs minutes of the
# smallest slice of two hosts. Not yet run on a real GKE: the manifest was checked against the schema of JobSet's CRD,
# the other command by `xpk --dry-run`.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=launch/common.sh
source "$here/common.sh"

name="" image="" accelerator="" topology="" hosts="" chips=4 claim="" spot="" namespace=""
xpk="" storage="" shared="" type=""
while [[ $# -gt 0 && $1 != -- ]]; do
  case $1 in
    --name | --image | --accelerator | --topology | --claim | --namespace | --xpk | --storage | --shared | --type)
      value "$@"
      printf -v "${1#--}" %s "$2"
      shift 2
      ;;
    --hosts | --chips)
      value "$@"
      number "$1" "$2"
      printf -v "${1#--}" %s "$2"
      shift 2
      ;;
    --spot)
      spot=yes
      shift
      ;;
    *)
      common_option "$@"
      shift "$taken"
      ;;
  esac
done
required="name image accelerator topology hosts claim"
[[ $claim ]] || ! in_bucket "$@" || required="name image accelerator topology hosts"
[[ -z $xpk ]] || required="name image type storage shared"
for option in $required; do
  [[ ${!option} ]] || refuse "--$option is missing; see --help"
done
# The longest name in the cluster is a pod's: NAME-slice-0-HOST-xxxxx, of 63 characters at most. XPK's is
# NAME-slice-job-0-HOST-xxxxx, and for the number of its hosts there is room for four digits.
most=40 last=$((${hosts:-1} - 1))
[[ $xpk ]] || most=$((63 - 15 - ${#last}))
name --name "$name" "$most"
image --image "$image"
if [[ $xpk ]]; then
  for option in xpk storage; do name "--$option" "${!option}" 63; done
  label --type "$type"
else
  [[ -z $claim ]] || dns_name --claim "$claim"
  label --accelerator "$accelerator"
  [[ $topology =~ ^[0-9]+(x[0-9]+)+$ ]] || refuse "--topology is '$topology' and must be numbers, such as 4x4"
  ((hosts > 0 && chips > 0)) || refuse "--hosts and --chips must be at least 1"
  [[ -z $namespace ]] || name --namespace "$namespace" 63
fi
[[ $# -gt 1 ]] || refuse "nothing to run. Give gr2's command after --, such as: -- train configs/wikipedia.py"
shift

if [[ $xpk ]]; then
  [[ $dry_run ]] || need xpk
  run xpk workload create --cluster "$xpk" --workload "$name" --tpu-type "$type" --docker-image "$image" \
    --storage "$storage" --max-restarts "$restarts" --restart-on-exit-codes 1,75 \
    --termination-grace-period-seconds 120 --env GR2_CLUSTER=auto --env "GR2_JOB=$name" ${spot:+--spot} \
    --command "cd $(quoted "$shared") && exec python -m gr2_jax $(quoted "$@")"
  exit
fi

# The words as a JSON list, which is YAML as well. Kubernetes expands variables at "$(", so the dollar is doubled.
arguments() {
  local word list=""
  for word in "$@"; do
    word=${word//\\/\\\\}
    word=${word//\"/\\\"}
    word=${word//$'\n'/\\n}
    word=${word//$'\t'/\\t}
    word=${word//\$(/\$\$(}
    list+=${list:+, }\"$word\"
  done
  echo "[$list]"
}

manifest=$(<"$here/jobset.yaml")
fill() { manifest=${manifest//"@$1@"/"$2"}; }
fill NAME "$name"
fill IMAGE "$image"
fill ACCELERATOR "$accelerator"
fill TOPOLOGY "$topology"
fill HOSTS "$hosts"
fill CHIPS "$chips"
if [[ $claim ]]; then
  fill VOLUME "persistentVolumeClaim: {claimName: \"$claim\"}"
  fill FOLDER /shared
else
  fill VOLUME "emptyDir: {}"
  fill FOLDER /gr2
fi
fill CRASHES "$crashes"
fill SPOT "${spot:+cloud.google.com/gke-spot: \"true\"}"
fill ARGUMENTS "$(arguments "$@")"

apply=(kubectl ${namespace:+--namespace "$namespace"} create -f -)
if [[ $dry_run ]]; then
  echo "$(quoted "${apply[@]}") <<'END'"
  echo "$manifest"
  echo END
  exit
fi
need kubectl
"${apply[@]}" <<<"$manifest"
