#!/bin/sh
# Installs ferrite-migrate as one file for the user who runs this; nothing needs root.
#
#   curl -sSL https://get.ferrite.io/migrate | bash
#   curl -sSL https://get.ferrite.io/migrate | bash -s -- --version 1.2.3 --dir ~/bin
#
# Options: --version VERSION, --dir DIRECTORY, --dry-run, --uninstall, --no-signature, --help.
# FERRITE_MIGRATE_BASE_URL names another place that has what a release has.
set -eu

BASE=${FERRITE_MIGRATE_BASE_URL:-https://github.com/ferrite-migrate/ferrite-migrate/releases}
# Who signs a release: its workflow, as the repository's own.
SIGNER='^https://github\.com/ferrite-migrate/ferrite-migrate/\.github/workflows/release\.yml@refs/tags/v'
ISSUER=https://token.actions.githubusercontent.com

say() { printf '%s\n' "$*"; }
fail() {
  printf 'ferrite-migrate: %s\n' "$*" >&2
  exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

usage() {
  say "Installs ferrite-migrate into ~/.local/bin."
  say "  --version VERSION  that version instead of the latest"
  say "  --dir DIRECTORY    into that directory"
  say "  --dry-run          says what would be done, and does nothing"
  say "  --uninstall        removes it, and what it had unpacked; migrations and their state stay"
  say "  --no-signature     is content with the checksum where the signature cannot be had"
}

platform() {
  os=$(uname -s)
  machine=$(uname -m)
  case $os in
    Linux) os=linux ;;
    Darwin) os=darwin ;;
    *) fail "there is no file for $os: install it by npm (npm install -g ferrite-migrate)" ;;
  esac
  case $machine in
    x86_64 | amd64) machine=x64 ;;
    aarch64 | arm64) machine=arm64 ;;
    *) fail "there is no file for $machine: install it by npm (npm install -g ferrite-migrate)" ;;
  esac
  if [ "$os-$machine" = darwin-x64 ]; then fail "there is no file for Macs of Intel: install it by npm (npm install -g ferrite-migrate)"; fi
  if [ "$os" = linux ] && ! [ -e /lib64/ld-linux-x86-64.so.2 ] && ! [ -e /lib/ld-linux-aarch64.so.1 ] && [ -n "$(ls /lib/ld-musl-* 2>/dev/null)" ]; then
    fail "this system has musl in place of glibc: install it by npm (npm install -g ferrite-migrate)"
  fi
  say "$os-$machine"
}

# download URL FILE: false when it is not there
download() {
  if has curl; then
    curl --fail --silent --show-error --location --retry 3 --connect-timeout 20 --speed-limit 1000 --speed-time 60 --output "$2" "$1"
  elif has wget; then
    wget --quiet --tries=3 --timeout=60 --output-document="$2" "$1"
  else
    fail "neither curl nor wget is there to download with"
  fi
}

checksum() {
  if has sha256sum; then
    sha256sum "$1" | cut -d ' ' -f 1
  else
    shasum -a 256 "$1" | cut -d ' ' -f 1
  fi
}

# listed NAME SUMS: the checksum that a list has for a file
listed() { sed -n "s/^\([0-9a-f]\{64\}\)  $1\$/\1/p" "$2"; }

verify_signature() {
  if ! has cosign; then
    say "There is no cosign to check the signature with: the checksums alone are."
    return
  fi
  if ! download "$place/SHA256SUMS.sigstore.json" "$work/SHA256SUMS.sigstore.json"; then
    [ "$signature" = no ] || fail "the signature $place/SHA256SUMS.sigstore.json cannot be had; --no-signature is content with the checksum"
    return
  fi
  cosign verify-blob --bundle "$work/SHA256SUMS.sigstore.json" --certificate-identity-regexp "$SIGNER" \
    --certificate-oidc-issuer "$ISSUER" "$work/SHA256SUMS" >/dev/null 2>"$work/cosign" ||
    fail "the signature is not that of a release: $(tail -n 1 "$work/cosign")"
  say "The signature is that of a release."
}

uninstall() {
  home=${HOME:-/nowhere}
  cache=${FERRITE_MIGRATE_CACHE_DIR:-${XDG_CACHE_HOME:-$home/.cache}/ferrite-migrate}
  if [ -d "$target" ]; then fail "$target is a directory, and was not installed by this: nothing was removed"; fi
  for path in "$target" "$cache"/program-* "$cache/compiled" "$cache/autocomplete"; do
    if ! [ -e "$path" ] && ! [ -L "$path" ]; then continue; fi
    if [ "$dry" = yes ]; then
      say "would remove $path"
    else
      rm -rf "$path"
      say "removed $path"
    fi
  done
  say "Migrations and their state stay in ${XDG_DATA_HOME:-$home/.local/share}/ferrite-migrate."
}

install() {
  if ! has sha256sum && ! has shasum; then
    fail "neither sha256sum nor shasum is there to check with: nothing is installed unchecked"
  fi
  name=ferrite-migrate-$(platform)
  if [ "$version" = latest ]; then place=$BASE/latest/download; else place=$BASE/download/v${version#v}; fi
  if [ -d "$target" ]; then fail "$target is a directory: --dir names another place"; fi
  above=$directory
  while ! [ -e "$above" ]; do above=$(dirname "$above"); done
  if ! [ -d "$above" ] || ! [ -w "$above" ]; then fail "$directory cannot be written to; --dir names another"; fi
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT TERM HUP
  download "$place/SHA256SUMS" "$work/SHA256SUMS" || fail "$place/SHA256SUMS cannot be had: is there such a version?"
  verify_signature
  packed=$(listed "$name.gz" "$work/SHA256SUMS")
  whole=$(listed "$name" "$work/SHA256SUMS")
  if [ -z "$packed" ] || [ -z "$whole" ]; then fail "this release has no file $name"; fi
  if [ -f "$target" ] && [ "$(checksum "$target")" = "$whole" ]; then
    say "$target is that version already."
    return
  fi
  if [ "$dry" = yes ]; then
    say "would download $place/$name.gz"
    say "would install it as $target"
    return
  fi
  say "Downloading $place/$name.gz"
  download "$place/$name.gz" "$work/$name.gz" || fail "$place/$name.gz cannot be had"
  [ "$(checksum "$work/$name.gz")" = "$packed" ] || fail "$name.gz is not what SHA256SUMS says: nothing was installed"
  gzip -dc "$work/$name.gz" >"$work/$name" || fail "$name.gz cannot be unpacked in $work: is there room?"
  rm "$work/$name.gz"
  [ "$(checksum "$work/$name")" = "$whole" ] || fail "$name is not what SHA256SUMS says: nothing was installed"
  mkdir -p "$directory" || fail "$directory cannot be made"
  chmod 755 "$work/$name"
  # Beside its place first: whoever starts it meanwhile gets the old one or the new one, whole, and one that does not run replaces nothing.
  beside=$target.new.$$
  trap 'rm -rf "$work" "$beside"' EXIT
  mv "$work/$name" "$beside" || fail "it cannot be put into $directory: is there room?"
  told=$("$beside" --version) || fail "it does not run here, see above: nothing was installed"
  mv -f "$beside" "$target"
  say "Installed $told as $target"
  case :$PATH: in
    *:"$directory":*) ;;
    *) say "$directory is not on PATH: add it, as by: export PATH=\"$directory:\$PATH\"" ;;
  esac
}

main() {
  version=latest
  directory=
  dry=no
  signature=yes
  what=install
  while [ $# -gt 0 ]; do
    case $1 in
      --version | --dir)
        [ $# -ge 2 ] || fail "$1 wants a value"
        [ -n "$2" ] || fail "$1 wants a value"
        if [ "$1" = --version ]; then version=$2; else directory=$2; fi
        shift
        ;;
      --dry-run) dry=yes ;;
      --uninstall) what=uninstall ;;
      --no-signature) signature=no ;;
      --help | -h)
        usage
        exit 0
        ;;
      *)
        printf 'ferrite-migrate: there is no option %s\n' "$1" >&2
        usage >&2
        exit 2
        ;;
    esac
    shift
  done
  case $version in
    *[!0-9A-Za-z.+-]*) fail "$version is no version" ;;
    *) ;;
  esac
  if [ -z "$directory" ]; then directory=${HOME:?is not set: --dir says where to}/.local/bin; fi
  case $directory in
    /*) ;;
    *) directory=$(pwd)/$directory ;;
  esac
  target=$directory/ferrite-migrate
  $what
}

# At the end, so that half a download runs nothing.
main "$@"
