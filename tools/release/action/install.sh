#!/usr/bin/env bash
# The Action's first step: puts ferrite-migrate on PATH for the steps after it. Wants VERSION, RUNNER_TEMP and GITHUB_PATH.
set -euo pipefail
: "${RUNNER_TEMP:?}" "${GITHUB_PATH:?}"

case ${VERSION:=latest} in
  *[!0-9A-Za-z.+_-]*)
    echo "::error::the version is none"
    exit 2
    ;;
  *) ;;
esac
major=$(node --print 'process.versions.node.split(".").slice(0, 2).join(" ")' 2>/dev/null || echo '0 0')
read -r first second <<<"$major"
if ((first < 22 || (first == 22 && second < 13))); then
  echo "::error::ferrite-migrate needs Node 22.13 or newer on the runner: put actions/setup-node before it"
  exit 2
fi
prefix=$RUNNER_TEMP/ferrite-migrate
if ! npm install --global --prefix "$prefix" --no-audit --no-fund --loglevel=error "ferrite-migrate@$VERSION"; then
  echo "::error::npm could not install ferrite-migrate@$VERSION"
  exit 1
fi
echo "$prefix/bin" >>"$GITHUB_PATH"
"$prefix/bin/ferrite-migrate" --version
