# shellcheck shell=bash
# What the launch scripts share: options, --dry-run, and when to start a job again. Sourced by them, never run.

dry_run=""
restarts=100   # at most this many restarts after a preemption, with everything saved (exit code 75)
crashes=10     # at most this many restarts after a process was killed (exit codes from 128)
hosts_apart="" # set if nobody can tell which host failed first
leaving=""     # set once this script was asked to stop: it restarts nothing then

say() { echo "${0##*/}: $*" >&2; }

refuse() {
  say "$*"
  exit 2
}

# The comment at the head of the script is its help.
help() { awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$0"; }

need() { command -v "$1" >/dev/null || refuse "$1 is not installed here; --dry-run shows how it would be called"; }

# value OPTION VALUES...: checks that an option has a value.
value() { [[ $# -ge 2 && -n $2 && $2 != --* ]] || refuse "$1 needs a value; see --help"; }

# in_bucket WORDS...: whether gr2's words have a --workdir in a bucket, which all hosts see without a shared folder.
in_bucket() {
  local before="" word
  for word in "$@"; do
    case $before$word in
      --workdir=gs://* | "--workdir gs://"*) return 0 ;;
    esac
    before=""
    [[ $word != --workdir ]] || before="--workdir "
  done
  return 1
}

number() { [[ $2 =~ ^[0-9]+$ ]] || refuse "$1 is '$2' and must be a whole number"; }

# name OPTION VALUE MOST: the name of something in a cluster, with MOST characters, so that what the cluster appends to it
# still fits: a DNS label (RFC 1035).
name() {
  local LC_ALL=C fitting # in other locales a-z may hold capitals
  [[ ${#2} -gt $3 || ! $2 =~ ^[a-z]([-a-z0-9]*[a-z0-9])?$ ]] || return 0
  fitting=$(tr '[:upper:]' '[:lower:]' <<<"$2" | tr -c 'a-z0-9\n' - | sed -E "s/^[^a-z]+//; s/^(.{0,$3}).*/\1/; s/-+$//")
  refuse "$1 is '$2' and must be a-z, digits and hyphens, at most $3, from a letter on${fitting:+: such as $fitting}"
}

# dns_name OPTION VALUE: the name of a Kubernetes object (RFC 1123).
dns_name() {
  local LC_ALL=C
  [[ ${#2} -le 253 && $2 =~ ^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$ ]] ||
    refuse "$1 is '$2' and must be a-z, digits, hyphens and dots between them, at most 253"
}

# label OPTION VALUE: what a node's label may hold.
label() {
  local LC_ALL=C
  [[ ${#2} -le 63 && $2 =~ ^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$ ]] ||
    refuse "$1 is '$2' and must be letters, digits and - . _ between them, at most 63"
}

# image OPTION VALUE: an image; a registry takes no capitals but in a tag or in its own host's name.
image() {
  local LC_ALL=C part='[a-z0-9]+([._-]+[a-z0-9]+)*'
  [[ $2 =~ ^([A-Za-z0-9.-]+(:[0-9]+)?/)?$part(/$part)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?$ ]] ||
    refuse "$1 is '$2' and must be an image, such as host/project/name:tag, in small letters"
}

# lower OPTION VALUE: an identifier of Google Cloud's, which has no capitals and no blanks.
lower() {
  local LC_ALL=C
  [[ $2 =~ ^[a-z0-9][-a-z0-9._:]*$ ]] || refuse "$1 is '$2' and must be small letters, digits and hyphens"
}

# The options that all scripts have. Sets `taken` to the number of words read.
# shellcheck disable=SC2034
common_option() {
  taken=1
  case $1 in
    --dry-run) dry_run=yes ;;
    --help | -h)
      help
      exit 0
      ;;
    --restarts | --crashes)
      value "$@"
      number "$1" "$2"
      if [[ $1 == --restarts ]]; then restarts=$2; else crashes=$2; fi
      taken=2
      ;;
    *) refuse "there is no option '$1'; see --help" ;;
  esac
}

# A line that can be pasted into a shell.
quoted() {
  local line
  printf -v line '%q ' "$@"
  echo "${line% }"
}

# run COMMAND...: runs it, or with --dry-run only prints it.
run() {
  if [[ $dry_run ]]; then quoted "$@"; else "$@"; fi
}

# again FUNCTION: calls it until it ends for good, and returns its last exit code. The codes:
#   0    done;
#   75   preempted, everything saved: restart, at most --restarts times;
#   128 and more    killed by a signal, as when one host's end aborts the others, or (255) a host is unreachable:
#        restart from the last checkpoint, at most --crashes times;
#   1    a traceback: a fault in the program, which would recur, so stop; but if `hosts_apart` is set, it may come from
#        a host that lost the others, and counts as killed;
#   others    bad input (2), which would recur: stop.
again() {
  local code left=$restarts falls=$crashes
  while true; do
    code=0
    "$1" || code=$?
    if [[ $dry_run ]]; then
      echo "# exit code 75: the same again, at most $restarts times"
      echo "# exit code ${hosts_apart:+1, }128 and more: at most $crashes times; others: the end"
      return 0
    fi
    [[ $code != 0 && -z $leaving ]] || return "$code"
    if [[ $code == 75 ]]; then
      if ((left-- <= 0)); then say "preempted more than $restarts times" && return "$code"; fi
      say "exit code 75, everything is saved: restarting"
    elif ((code >= 128)) || [[ $code == 1 && $hosts_apart ]]; then
      if ((falls-- <= 0)); then say "exit code $code more than $crashes times" && return "$code"; fi
      say "exit code $code, a process was killed or lost the others: restarting from the last checkpoint"
    else
      say "exit code $code: a restart would not help"
      return "$code"
    fi
    sleep "${GR2_RESTART_DELAY:-5}"
    [[ -z $leaving ]] || return "$code"
  done
}
