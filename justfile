# Every command for developers; `just` lists them.

_list:
    @just --list --unsorted

# everything that must hold, as CI runs it
check:
    ./setup test

# pytest only, in .venv: just test -k register
test *arguments:
    .venv/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder {{arguments}}

# a whole practice ceremony
demo *arguments:
    ./setup demo {{arguments}}

# the benchmarks, each beside its limit
bench *arguments:
    .venv/bin/python -m bench {{arguments}}

# the generated pages of docs/reference
docs:
    .venv/bin/python -m docs.generate

# renews requirements.lock with the newest versions that pyproject.toml allows
lock:
    #!/bin/sh
    set -eu
    clean=$(mktemp -d)
    trap 'rm -rf "$clean"' EXIT
    python3 -m venv "$clean"
    "$clean/bin/python" -m pip install -q --upgrade -e '.[test]'
    { grep '^#' requirements.lock; "$clean/bin/python" -m pip freeze --exclude-editable; } >"$clean/lock"
    cp "$clean/lock" requirements.lock
    git diff --stat requirements.lock
