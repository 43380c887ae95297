#!/bin/sh
# Makes the virtual environment at $1 and installs vidsr with its test tools into it.
# A torch that the base Python already has is used: the environment then sees the system's packages.
# Otherwise the tested version is asked for first, by exact number.
set -eu
venv=$1
python=${PYTHON:-python3}
constraints=$(mktemp)
trap 'rm -f "$constraints"' EXIT
if "$python" -c "import torch" 2>/dev/null; then
  "$python" -m venv --system-site-packages "$venv"
  grep -v '^torch==' constraints.txt >"$constraints"
else
  "$python" -m venv "$venv"
  cat constraints.txt >"$constraints"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$(grep '^torch==' constraints.txt)"
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint "$constraints" --editable ".[test]"
