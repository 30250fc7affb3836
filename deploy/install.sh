#!/bin/sh
# Installs Keyturn into a directory of its own: deploy/install.sh /opt/keyturn
# What it needs comes as the lock file says, each package by its hash; Keyturn itself is made from
# this source tree without a network. The Dockerfile calls this, and so may you: what comes out can
# be made read-only, and downloads nothing when it runs. PYTHON names another Python than python3.
set -eu

prefix=${1:?"where to? deploy/install.sh /opt/keyturn"}
source=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

pip() {
	"$prefix/bin/python" -m pip --disable-pip-version-check --no-input --quiet "$@"
}

"${PYTHON:-python3}" -m venv "$prefix"
pip install --no-cache-dir --only-binary :all: --require-hashes -r "$source/deploy/requirements.lock"
pip wheel --no-cache-dir --no-index --no-deps --no-build-isolation --wheel-dir "$work" "$source"
pip install --no-cache-dir --no-index --no-deps "$work"/keyturn-*.whl

# Whoever gets in finds no tools to install more with.
rest=$("$prefix/bin/python" -m pip list --format=freeze --disable-pip-version-check |
	sed -n 's/^\(flit_core\|pip\|setuptools\|wheel\)==.*/\1/p')
# shellcheck disable=SC2086 # several words are meant
pip uninstall --yes $rest
