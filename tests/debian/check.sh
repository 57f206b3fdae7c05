#!/bin/sh
# check.sh WORK [SUITE]: Debian's packages of the sources here, built in WORK, looked at by lintian, installed, used,
# upgraded, removed and tested, each in a throw-away copy of this machine's system, or of a Debian SUITE that debootstrap fetches.
set -eu
work=$1
suite=${2:-}
here=$(dirname "$0")
PATH=$PATH:/usr/sbin:/sbin
say() {
    echo "  PACKAGES $*"
}
skip() {
    echo "check-packages: skipped, $*"
    exit 0
}
overlay() {
    sh "$here/overlay.sh" "$@"
}

[ "$(id -u)" -eq 0 ] || skip "it takes root, who may mount"
base=/
root=/
if [ -n "$suite" ]; then
    command -v debootstrap >/dev/null || skip "there is no debootstrap"
    base=$work/$suite/base
    [ -e "$base/etc/done" ] || {
        say "debootstrap $suite"
        rm -rf "$base"
        mkdir -p "$base"
        debootstrap --variant=minbase "$suite" "$base" http://deb.debian.org/debian >"$work/$suite/debootstrap.log" 2>&1
        touch "$base/etc/done"
    }
    root=$work/$suite/tools/upper:$base
else
    command -v dpkg-buildpackage dh lintian >/dev/null && dpkg-query -W debhelper lintian >/dev/null 2>&1 ||
        skip "there is no debhelper or lintian (make test-deps)"
fi
shared=$work/shared${suite:+-$suite}
rm -rf "$shared"
mkdir -p "$shared/src"
tar -cf - --exclude=./build --exclude=./.git . | tar -C "$shared/src" -xf -
overlay "$base" "$shared" true 2>/dev/null || skip "no overlay of $base can be mounted here"
[ -z "$suite" ] || {
    say "what building and testing needs, in $suite"
    KEEP=$work/$suite/tools NETWORK=yes overlay "$base" "$shared" sh /shared/src/tests/debian/tools.sh \
        >"$work/$suite/tools.log" 2>&1
}

# do_in ROOT STEP: what it says of itself, or the end of all that it says
do_in() {
    say "$2"
    overlay "$1" "$shared" sh "/shared/src/tests/debian/$2.sh" >"$shared/$2.log" 2>&1 || {
        tail -40 "$shared/$2.log"
        exit 1
    }
    grep '^ok: ' "$shared/$2.log"
}
do_in "$root" build
export NETWORK=${suite:+yes}
do_in "$base" use
[ ! -e "$shared/client32" ] || do_in "$base" both
do_in "$root" test
