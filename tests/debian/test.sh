#!/bin/sh
# What debian/tests has, on the packages in /shared/debs: all of it by autopkgtest where there is a network to install from, else
# the demo alone.
set -eu
cd /shared/src
if [ "${NETWORK:-}" = yes ]; then
    autopkgtest /shared/debs/0.2/*.deb /shared/src -- null
    echo "ok: autopkgtest: demo, suites"
    systemd-analyze verify /lib/systemd/system/afterfin-* 2>/tmp/verify || fail=yes
    cat /tmp/verify
    [ -z "${fail:-}" ] && ! grep afterfin /tmp/verify
    echo "ok: systemd-analyze verify"
else
    dpkg -i /shared/debs/0.2/afterfin_*.deb /shared/debs/0.2/libafterfin_*.deb
    AUTOPKGTEST_TMP=$(mktemp -d) debian/tests/demo
    echo "ok: the demo"
fi
