# Sourced by the scripts beside it: finds the repository, uv and a Python, and brings the environment up to date.
# Afterwards REPO, PYTHON (of the environment) and WARDEN_HOME are set. Works from any folder and through symlinks.
# shellcheck shell=bash
set -euo pipefail

REPO="$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd -P)"
unset VIRTUAL_ENV PYTHONHOME

say() { printf '%s\n' "$*" >&2; }
fail() { say "$@"; exit 1; }

# Trust what this machine trusts, as pip does: a company's proxy signs with its own certificate.
if [ -n "${PIP_CERT:-}" ]; then export SSL_CERT_FILE="${SSL_CERT_FILE:-$PIP_CERT}"; fi
if [ -s /etc/ssl/certs/ca-certificates.crt ]; then export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-1}"; fi

# usable FOLDER: make it if need be; true when files can be made in it.
usable() { mkdir -p "$1" 2>/dev/null && [ -w "$1" ] && [ -x "$1" ]; }

# Folders. A repository that is somebody else's, or read-only, keeps nothing of ours.
clone="$(printf '%s' "$REPO" | cksum | cut -d ' ' -f 1)"
if [ -n "${HOME:-}${XDG_CACHE_HOME:-}" ] && usable "${XDG_CACHE_HOME:-${HOME:-}/.cache}/warden"; then
  cache="${XDG_CACHE_HOME:-$HOME/.cache}/warden"
elif usable "$REPO/var/cache"; then
  cache="$REPO/var/cache"
  export UV_CACHE_DIR="${UV_CACHE_DIR:-$cache/uv-cache}"
else
  fail "No folder to keep things in: neither your home nor $REPO can be written. Set XDG_CACHE_HOME and WARDEN_HOME."
fi
ours() { if [ -e "$1" ]; then [ -w "$1" ]; else [ -w "$REPO" ]; fi; }
if ours "$REPO/.venv"; then venv="$REPO/.venv"; else venv="$cache/$clone/venv"; fi
if [ -z "${WARDEN_HOME:-}" ]; then
  if ours "$REPO/var"; then
    WARDEN_HOME="$REPO/var"
  else
    WARDEN_HOME="${XDG_DATA_HOME:-${HOME:-}/.local/share}/warden/$clone"
    usable "$WARDEN_HOME" || WARDEN_HOME="$cache/$clone/var"
  fi
fi
export WARDEN_HOME UV_PROJECT_ENVIRONMENT="$venv"
PYTHON="$venv/bin/python"

# works COMMAND…: does it, here? (A shim may exist and fail, and what it stands for depends on the folder.)
works() { (cd "$REPO" && "$@") >/dev/null 2>&1; }

# pip_python: prints a Python that has pip.
pip_python() {
  local python
  while read -r python; do
    if works "$python" -m pip --version; then printf '%s\n' "$python" && return; fi
  done < <(type -aP python3 python3.13 python3.12 python3.14 python; ls "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/3.*/bin/python3 2>/dev/null)
  return 1
}

# find_uv: sets `uv`; installs it where nobody else minds if there is none that works.
find_uv() {
  local python fresh
  while read -r uv; do
    if works "$uv" --version; then return; fi
  done < <([ -z "${UV:-}" ] || echo "$UV"; type -aP uv || true; ls "${HOME:-}/.local/bin/uv" "$cache/uv/bin/uv" 2>/dev/null || true)
  python="$(pip_python)" || fail "Warden is installed with uv: https://docs.astral.sh/uv/getting-started/installation/" \
    "(it could not be fetched, since no python3 here has pip)."
  say "Installing uv …"
  fresh="$cache/uv.$$"
  rm -rf "$fresh"
  # --target: no virtual environment (Debian ships it apart) and no system packages (which are protected).
  (cd "$REPO" && PIP_ROOT_USER_ACTION=ignore "$python" -m pip install --quiet --disable-pip-version-check --no-input --target "$fresh" uv) ||
    fail "uv could not be installed with $python -m pip. Install it by hand: https://docs.astral.sh/uv/"
  rm -rf "$cache/uv"
  mv "$fresh" "$cache/uv"
  uv="$cache/uv/bin/uv"
}

# find_python: prints the Python for the environment: the one the project names, else any that will do, else uv fetches one.
find_python() {
  local wanted request folder path="$PATH"
  wanted="$(cat "$REPO/.python-version")"
  for folder in "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/3.*/bin; do path="$path:$folder"; done
  for request in "$wanted" ">=3.12,<3.15"; do
    if (cd "$REPO" && PATH="$path" "$uv" python find --system --no-python-downloads "$request" 2>/dev/null); then return; fi
  done
  say "No Python $wanted found here; uv fetches one …"
  if (cd "$REPO" && "$uv" python install --quiet "$wanted" && "$uv" python find --system "$wanted"); then return; fi
  fail "Warden needs Python 3.12 or newer (best: $wanted), none was found on the PATH, and uv could not fetch one." \
    "Install it, then run this again."
}

# sync GROUP: bring the environment up to date; GROUP is `run` or `dev`. Quick when nothing changed; copies may run at once.
sync() {
  local group="$1" flags=(--no-dev --group example) tool=granian stamp want
  if [ "$group" = dev ]; then flags=() tool=pytest; fi
  if [ -n "${OTEL_EXPORTER_OTLP_ENDPOINT:-}" ]; then flags+=(--extra otel); fi
  if [ "${SPIFFE_PROVIDER:-}" = spire ]; then flags+=(--extra spire); fi
  stamp="$venv/.warden-$group"
  want="$REPO ${OTEL_EXPORTER_OTLP_ENDPOINT:+otel} ${SPIFFE_PROVIDER:-} $(cat "$REPO/uv.lock" "$REPO/pyproject.toml" "$REPO/sdk/pyproject.toml" "$REPO/.python-version" | cksum)"
  fresh() { # what is synced for development will do to run
    { [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] || [ "$(cat "$venv/.warden-dev" 2>/dev/null)" = "$want" ]; } &&
      works "$PYTHON" -c "import $tool"
  }
  if fresh; then return; fi
  (
    if type -P flock >/dev/null; then flock 9; fi
    if fresh; then exit; fi
    find_uv
    python="$(find_python)"
    say "Installing what Warden needs …"
    # --inexact: another copy may be using what this one does not need.
    cd "$REPO" && "$uv" sync --locked --quiet --inexact --python "$python" ${flags[@]+"${flags[@]}"} 9>&-
    printf '%s\n' "$want" >"$stamp"
  ) 9>"$cache/sync.lock"
}

# embedded ARGUMENTS…: replaces this shell; the folder stays the caller's, so that paths in arguments mean what they say.
embedded() {
  PYTHONPATH="$REPO${PYTHONPATH:+:$PYTHONPATH}" exec "$PYTHON" -P -m warden.embedded "$@"
}
