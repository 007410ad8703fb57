#!/usr/bin/env bash
# Builds Wikipedia's graded pairs on Google Dataflow: `gr2 wikipedia` from here, its Beam workers in the cloud.
#
#   launch/dataflow.sh --project my-project --region us-central1 --bucket gs://my-bucket --image my-image \
#     -- 'gs://my-bucket/dumps/enwiki-*-pages-articles-multistream*.xml.bz2' --output gs://my-bucket/wikipedia
#
# The words after -- go to `gr2 wikipedia`: dumps, --output, --query-share and so on, and any other option of Beam
# (--max_num_workers 100). Dumps and output are in the bucket. The script waits until the build is done; finished parts
# are kept, and the same command resumes with the rest.
#
#   --project ID, --region REGION
#   --bucket gs://... Beam's staging area is BUCKET/beam
#   --image IMAGE     the workers' image: Apache Beam's Python SDK image with the Beam and Python versions used here,
#                     and with this clone installed in it: pip install '.[beam]'
#   --package FILE    instead of --image: the clone as dist/gr2_jax-0.1.0.tar.gz (python -m build --sdist); each worker
#                     then installs it and its dependencies, which takes minutes
#   --python PATH     the interpreter (the clone's .venv, else python3)
#   --restarts N, --crashes N, --dry-run    as in the other scripts
#
# Needs: pip install '.[quickstart,beam]' 'apache-beam[gcp]', a login (gcloud auth application-default login). A check
# costs some minutes of two workers on a small wiki's dump. Not yet run on Dataflow: the options were checked by Beam's
# own parser, and the tests of gr2 wikipedia run the same pipeline on Beam's local runner.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=launch/common.sh
source "$here/common.sh"

project="" region="" bucket="" image="" package="" python=""
while [[ $# -gt 0 && $1 != -- ]]; do
  case $1 in
    --project | --region | --bucket | --image | --package | --python)
      value "$@"
      printf -v "${1#--}" %s "$2"
      shift 2
      ;;
    *)
      common_option "$@"
      shift "$taken"
      ;;
  esac
done
for option in project region bucket; do
  [[ ${!option} ]] || refuse "--$option is missing; see --help"
done
[[ $bucket == gs://* ]] || refuse "--bucket is '$bucket' and must begin with gs://"
lower --project "$project"
lower --region "$region"
bucket=${bucket%/} place=${bucket#gs://}
lower --bucket "${place%%/*}"
[[ -z $image ]] || image --image "$image"
[[ $image || $package ]] || refuse "give --image or --package: how the workers get gr2_jax"
[[ -z $image || -z $package ]] || refuse "give --image or --package, not both"
[[ $dry_run || -z $package || -f $package ]] || refuse "there is no file $package; python -m build --sdist makes it"
[[ $# -gt 1 ]] || refuse "nothing to read. Give dumps and --output after --; see --help"
shift
if [[ -z $python ]]; then
  python=$here/../.venv/bin/python
  [[ -x $python ]] || python=python3
fi
[[ $dry_run ]] || need "$python"

command=("$python" -m gr2_jax wikipedia "$@" --runner DataflowRunner --project "$project" --region "$region"
  --temp_location "${bucket%/}/beam/temp" --staging_location "${bucket%/}/beam/staging")
if [[ $image ]]; then
  command+=(--sdk_container_image "$image" --sdk_location container)
else
  command+=(--extra_package "$package")
fi

build() { run "${command[@]}"; }
code=0
again build || code=$?
exit "$code"
