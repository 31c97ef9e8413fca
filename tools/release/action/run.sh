#!/usr/bin/env bash
# The Action's second step: runs a migration, tells outputs (GITHUB_OUTPUT) and writes the report (GITHUB_STEP_SUMMARY). What it is
# given is in INPUT_*; addresses come by the environment, so that no log shows them.
set -uo pipefail

: "${INPUT_SOURCE:?source is missing}" "${INPUT_TARGET:?target is missing}"
# One job may use it several times.
step=${GITHUB_ACTION:-}
id=${INPUT_ID:-gha-${GITHUB_RUN_ID:-0}-${GITHUB_RUN_ATTEMPT:-1}${step:+-${step//[^0-9A-Za-z]/_}}}
state=${INPUT_STATE_DIR:-${RUNNER_TEMP:-/tmp}/ferrite-migrate-state}
case $id in
  -* | *[!0-9A-Za-z_-]*)
    echo "::error::the id is no name of a migration: letters, digits, _ and - are one"
    exit 2
    ;;
  *) ;;
esac
args=(migrate --state-dir "$state")
if [[ ${INPUT_RESUME:-false} == true ]]; then args+=(--resume "$id"); else args+=(--id "$id" --mode "${INPUT_MODE:-live}"); fi
args+=(--source "$INPUT_SOURCE" --target "$INPUT_TARGET")
if [[ ${INPUT_MODE:-live} == live ]]; then args+=(--exit); fi
if [[ ${INPUT_VERIFY:-true} == true ]]; then args+=(--verify); fi
while IFS= read -r line; do
  # A line each, so that what has blanks needs no quotes: `--flag value` is two words, and what comes after the first blank is the value.
  if [[ $line =~ ^(--?[a-z-]+)[[:blank:]]+(.+)$ ]]; then args+=("${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"); elif [[ -n $line ]]; then args+=("$line"); fi
done <<<"${INPUT_ARGS:-}"

begun=$(node --print 'Date.now()')
code=0
ferrite-migrate "${args[@]}" || code=$?

status=$(ferrite-migrate status --state-dir "$state" --id "$id" --json 2>/dev/null) || status='{}'
field() { node -e 'const [at] = process.argv.slice(1); let text = ""; process.stdin.on("data", (data) => (text += data)).on("end", () => { const value = JSON.parse(text || "{}")[at]; process.stdout.write(value == null ? "" : String(value)) })' "$1" <<<"$status"; }
# One of that name may have been there before: what it says is none of this run's.
if (($(field updatedAt || echo 0) + 0 < begun)); then status='{}'; fi
result=$(field state)
case $code in
  3) result=DIFFERENCES ;;
  0) result=${result:-DONE} ;;
  2) result=${result:-USAGE} ;;
  4) result=${result:-REFUSED} ;;
  *) result=${result:-FAILED} ;;
esac
downtime=$(ferrite-migrate events --state-dir "$state" --id "$id" --json 2>/dev/null | node -e '
let text = ""
process.stdin.on("data", (data) => (text += data)).on("end", () => {
  const done = /writers were kept out for ([\d.]+) ms/.exec(text)
  process.stdout.write(done === null ? "" : done[1])
})') || downtime=
{
  echo "id=$id"
  echo "result=$result"
  echo "keys=$(field keysDone)"
  echo "downtime=$downtime"
} >>"${GITHUB_OUTPUT:-/dev/null}"

report=$(mktemp -d)/report.md
if [[ $status != '{}' ]] && ferrite-migrate report --state-dir "$state" --id "$id" --output "$report" >/dev/null 2>&1; then
  cat "$report" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
else
  mark=❌
  if [[ $code == 0 ]]; then mark=✅; fi
  echo "## $mark Migration $id: $result, see the log of the step" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
fi
exit "$code"
