#!/bin/sh
# Makes .venv from uv.lock, with nothing but Python 3.11 or newer and pip to start from. `make setup` calls it.
# uv is taken from PATH, else installed into .venv (or, where Python has no venv module, beside it).
set -eu

# -P: where `hack` is a link to that of a checkout, as in tests of the docs, scripts must name the checkout's .venv.
cd -P "$(dirname "$0")/.."

new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
python=
for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
  if "$candidate" -c "$new_enough" 2>/dev/null; then
    python=$("$candidate" -c 'import sys; print(sys.executable)')
    break
  fi
done
if [ -z "$python" ]; then
  echo "error: no Python 3.11 or newer among: ${PYTHON:-python3, python3.11 to python3.14, python}" >&2
  echo "Install one (Debian 12: apt-get install python3 python3-pip), or say where it is: make setup PYTHON=/path/to/python3" >&2
  exit 1
fi

# A .venv whose interpreter is gone or too old can't be mended.
if [ -e .venv ] && ! .venv/bin/python -c "$new_enough" 2>/dev/null; then
  echo "setup: .venv does not run Python 3.11 or newer; making a new one"
  rm -rf .venv
fi

# pip refuses to install into a distribution's own Python, but not into a directory (PEP 668).
bootstrap=.venv-uv
uv_version='uv==0.13.9'
pip_options='--quiet --disable-pip-version-check --no-input'
if command -v uv >/dev/null 2>&1 && uv --version >/dev/null 2>&1; then
  uv=uv
elif [ -x .venv/bin/uv ]; then
  uv=.venv/bin/uv
elif [ -x "$bootstrap/bin/uv" ]; then
  uv=$bootstrap/bin/uv
elif "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  echo "setup: installing uv into .venv"
  [ -x .venv/bin/pip ] || "$python" -m venv .venv
  # shellcheck disable=SC2086
  .venv/bin/python -m pip install $pip_options "$uv_version"
  uv=.venv/bin/uv
elif "$python" -m pip --version >/dev/null 2>&1; then
  echo "setup: installing uv into $bootstrap"
  # shellcheck disable=SC2086
  "$python" -m pip install $pip_options --target "$bootstrap" "$uv_version"
  uv=$bootstrap/bin/uv
else
  echo "error: $python has neither pip nor the venv module; install one (Debian: apt-get install python3-pip)" >&2
  exit 1
fi

# Trust what the system trusts, as pip does: proxies of companies sign with certificates of their own.
# (The first is the second's older name.)
export UV_NATIVE_TLS="${UV_NATIVE_TLS:-1}" UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-1}"

# Packages that the lock does not name are removed, but for pip and uv themselves.
UV_PROJECT_ENVIRONMENT=.venv "$uv" sync --frozen --quiet --python "$python"
touch .venv/.setup
echo "setup: .venv is ready ($(.venv/bin/python --version), $("$uv" --version))"
