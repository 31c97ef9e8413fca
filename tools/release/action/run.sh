#!/usr/bin/env bash
# The Action's second step: runs a migration, tells outputs (GITHUB_OUTPUT) and writes the report (GITHUB_STEP_SUMMARY). What it is
# given is in INPUT_*; addresses come by the environment, so that no log shows them.
set -uo pipefail

: "${INPUT_SOURCE:?source is missing}" "${INPUT_TARGET:?target is missing}"
id=${INPUT_ID:-gha-${GITHUB_RUN_ID:-0}-${GITHUB_RUN_ATTEMPT:-1}}
state=${INPUT_STATE_DIR:-${RUNNER_TEMP:-/tmp}/ferrite-migrate-state}
case $id in
  *[!0-9A-Za-z._-]*)
    echo "::error::$id is no name of a migration"
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
  # A line each, so that what has blanks needs no quotes.
  if [[ -n $line ]]; then args+=("$line"); fi
done <<<"${INPUT_ARGS:-}"

code=0
ferrite-migrate "${args[@]}" || code=$?

status=$(ferrite-migrate status --state-dir "$state" --id "$id" --json 2>/dev/null) || status='{}'
field() { node -e 'const [at] = process.argv.slice(1); let text = ""; process.stdin.on("data", (data) => (text += data)).on("end", () => { const value = JSON.parse(text || "{}")[at]; process.stdout.write(value == null ? "" : String(value)) })' "$1" <<<"$status"; }
result=$(field state)
if [[ -z $result ]]; then
  case $code in
    2) result=USAGE ;;
    4) result=REFUSED ;;
    *) result=FAILED ;;
  esac
fi
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
if ferrite-migrate report --state-dir "$state" --id "$id" --output "$report" >/dev/null 2>&1; then
  cat "$report" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
else
  echo "## ❌ Migration $id: $result, nothing was written" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
fi
exit "$code"
