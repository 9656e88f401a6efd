#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The launcher: sets up what is missing (Debian packages, a virtual environment beside this file), then runs the CLI with
# the given arguments. A stamp in the virtual environment makes the second start cheap; it is written last, so an
# interrupted set-up is simply continued. Exit code 7: this machine cannot, and the one command to type is printed.
# There are two sets of packages, each with a stamp of its own: what building and running needs, and with it what only
# `check` and `bench` need. TESTBED_PACKAGES=all in the environment asks for the second before any command.
set -eu

# Where this file really lies, whatever symbolic link it was called by.
self=$0
while [ -L "$self" ]; do
    target=$(readlink -- "$self")
    case $target in
        /*) self=$target ;;
        *) self=$(dirname -- "$self")/$target ;;
    esac
done
here=$(CDPATH='' cd -- "$(dirname -- "$self")" && pwd -P)
venv=$here/.venv
packages=$here/testbed/packages.txt
oldest_rust=1.77 # what testbed/agent/Cargo.toml says

# The first word that is no option is the command.
every=
for word in "$@"; do
    case $word in
        -*) ;;
        check | bench) every=yes && break ;;
        *) break ;;
    esac
done
[ "${TESTBED_PACKAGES:-}" != all ] || every=yes
stamp=$venv/.testbed-stamp${every:+-all}

say() { printf 'testbed.sh: %s\n' "$*" >&2; }

# die CODE MESSAGE...: one message, each argument a line of its own.
die() {
    code=$1
    shift
    for line in "$@"; do say "$line"; done
    exit "$code"
}

# What the set-up depends on; the folder is part of it, because a virtual environment cannot be moved.
fingerprint() {
    { printf '%s\n' "$here"; cat -- "$here/pyproject.toml" "$here/testbed.sh" "$packages"; } | sha256sum
}

ready() {
    [ -x "$venv/bin/python" ] && [ -x "$venv/bin/testbed" ] && [ -r "$stamp" ] || return 1
    read -r recorded <"$stamp" || return 1
    [ "$recorded" = "$(fingerprint)" ]
}

installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Print the package of the first column's alternatives (a|b|c) that is to be installed; nothing where one already is.
wanted_of() {
    alternatives=$(printf '%s' "$1" | tr '|' ' ')
    for package in $alternatives; do
        installed "$package" && return 0
    done
    for package in $alternatives; do
        if apt-cache show --no-all-versions "$package" >/dev/null 2>&1; then
            printf '%s\n' "$package"
            return 0
        fi
    done
    # No list knows any of them (the lists may never have been fetched): ask for the first.
    printf '%s\n' "${1%%|*}"
}

# Say whether a program of Rust's is at least $oldest_rust: cargo --version prints "cargo 1.77.2 (...)".
new_enough() {
    found=$("$1" --version 2>/dev/null) || return 1
    found=${found#* }
    found_rest=${found#*.}
    [ "${found%%.*}" -gt "${oldest_rust%%.*}" ] 2>/dev/null && return 0
    [ "${found%%.*}" -eq "${oldest_rust%%.*}" ] 2>/dev/null && [ "${found_rest%%.*}" -ge "${oldest_rust#*.}" ] 2>/dev/null
}

# The first column of the list, for what is to be done: of `check` and `bench` only where they are wanted.
specs() {
    while read -r spec when _; do
        case $spec in '' | '#'*) continue ;; esac
        case $when in check | bench) [ -n "$every" ] || continue ;; esac
        printf '%s\n' "$spec"
    done <"$packages"
}

missing_packages() {
    specs | while read -r spec; do wanted_of "$spec"; done
    # Not on the list, because any cargo will do, rustup's for one, if it is new enough. Debian 12's own is not, its
    # cargo-web is: there the old one does not count as installed.
    case $(command -v cargo) in
        '') debian_rust=yes ;;
        /usr/bin/cargo) if new_enough cargo; then debian_rust=yes; else debian_rust=web; fi ;;
        *) debian_rust=no ;;
    esac
    case $debian_rust in
        yes)
            wanted_of 'cargo-web|cargo'
            wanted_of 'rustfmt-web|rustfmt'
            wanted_of 'rust-web-clippy|rust-clippy'
            ;;
        web)
            wanted_of 'cargo-web'
            wanted_of 'rustfmt-web'
            wanted_of 'rust-web-clippy'
            ;;
    esac
}

install_packages() {
    if ! command -v dpkg-query >/dev/null 2>&1; then
        say "this is no Debian: install the like of these yourself: $(specs | tr '\n' ' ')"
        return 0
    fi
    missing=$(missing_packages | tr '\n' ' ')
    missing=${missing% }
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -eq 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1 && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        as_root=sudo
    else
        die 7 "packages are missing, and only root can install them. Type this as root, then start again:" \
            "apt-get update && apt-get install -y --no-install-recommends $missing"
    fi
    say "installing Debian packages (may take some minutes): $missing"
    log=$(mktemp)
    # Lists first: a fresh machine has none. A failed update is only told of when the install fails too.
    if ! { $as_root apt-get update &&
        missing_packages | xargs $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends; } >"$log" 2>&1 </dev/null; then
        tail -n 15 -- "$log" >&2
        die 7 "the packages could not be installed (is there a network?). The whole log: $log" \
            "To try by hand: ${as_root:+$as_root }apt-get update && ${as_root:+$as_root }apt-get install -y --no-install-recommends $missing"
    fi
    rm -f -- "$log"
}

# A Python of at least 3.11 that can make virtual environments; the system's first, then what PATH offers.
find_python() {
    for python in /usr/bin/python3 python3.14 python3.13 python3.12 python3.11 python3; do
        command -v "$python" >/dev/null 2>&1 || continue
        "$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue
        printf '%s\n' "$python"
        return 0
    done
    die 7 "no Python >= 3.11 with the venv module was found." "On Debian 12: apt-get install -y python3 python3-venv"
}

make_venv() {
    if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        python=$(find_python) || exit $?
        say "making a virtual environment with $python in $venv"
        "$python" -m venv --clear -- "$venv" || die 7 "no virtual environment could be made in $venv"
    fi
    say "installing testbed and its Python packages (may take a minute)"
    log=$(mktemp)
    if ! (cd -- "$here" && "$venv/bin/python" -m pip install --disable-pip-version-check -e '.[dev]') >"$log" 2>&1 </dev/null; then
        tail -n 15 -- "$log" >&2
        die 7 "the Python packages could not be installed (is there a network?). The whole log: $log"
    fi
    rm -f -- "$log"
}

# What only `check` asks for, and only where there is Go: without it, the tests that want it are skipped.
install_actionlint() {
    [ -n "$every" ] && [ ! -x "$venv/bin/actionlint" ] && command -v go >/dev/null 2>&1 || return 0
    say "installing actionlint (may take some minutes)"
    GOBIN=$venv/bin go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.7 >/dev/null 2>&1 </dev/null ||
        say "actionlint could not be installed: two tests of the workflows will be skipped"
}

set_up() {
    # The lock is on this very file, so it leaves nothing behind; a second start waits, then finds all ready.
    exec 9<"$here/testbed.sh"
    if command -v flock >/dev/null 2>&1 && ! flock -n 9; then
        say "another start is setting up; waiting for it"
        flock 9
    fi
    if ! ready; then
        install_packages
        make_venv
        install_actionlint
        fingerprint >"$stamp.new" && mv -f -- "$stamp.new" "$stamp"
        # Who has all has the smaller set, too.
        [ -z "$every" ] || cp -f -- "$stamp" "$venv/.testbed-stamp"
        say "ready"
    fi
    exec 9<&-
}

ready || set_up
# The order of a set of strings in a test must not differ from run to run; who wants another seed says so.
export PYTHONHASHSEED="${PYTHONHASHSEED:-0}"
# What hints say to type: this file, where nothing else is called testbed.
command -v testbed >/dev/null 2>&1 || export TESTBED_PROGRAM="$0"
exec "$venv/bin/testbed" "$@"
