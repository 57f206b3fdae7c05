#!/bin/sh
# The library of amd64 and that of i386 side by side: one setting reaches programs of both sizes, and either package goes
# without the other.
set -eu
fail() {
    echo "failed: $*" >&2
    exit 1
}
dpkg --add-architecture i386
apt-get update
apt-get install -y --no-install-recommends iproute2 libc6:i386 /shared/debs/0.2/afterfin_*.deb \
    /shared/debs/0.2/libafterfin_*_amd64.deb /shared/debs/libafterfin_*_i386.deb
[ "$(dpkg-query -W -f='${Architecture} ' libafterfin)" = "amd64 i386 " ] || fail "$(dpkg-query -W libafterfin)"
setting=$(afterfin env | sed -n "s/^LD_PRELOAD=//p" | tr -d "'")
[ "$setting" = '/usr/lib/x86_64-linux-gnu/libafterfin/$PLATFORM/libafterfin.so' ] || fail "env: $setting"

# left CLIENT SETTING...: TIME_WAITs of 20 connections of a CLIENT, and what ld.so said
left() {
    unshare -n sh -c 'client=$1; shift; ip link set lo up; /shared/server 127.0.0.1 18080 & sleep 0.5
        "$@" "$client" - 127.0.0.1 18080 20 >/dev/null; kill $!
        awk "\$1 == \"TCP:\" { print \$7 }" /proc/net/sockstat' sh "$@" 2>&1
}
for client in /shared/client32 /shared/client64; do
    bare=$(left $client env)
    variables=$(left $client env LD_PRELOAD="$setting" AFTERFIN_LINGER=ack)
    run=$(left $client afterfin run -q -p linger=ack --)
    [ "$bare $variables $run" = "20 0 0" ] || fail "$client leaves '$bare' bare, '$variables' by variables, '$run' under run"
done
echo "ok: amd64 and i386 side by side: programs of 32 and of 64 bits, 20 TIME_WAITs bare, 0 by variables and under run"

dpkg --purge libafterfin:i386
[ "$(afterfin env | head -1)" = LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libafterfin.so ] || fail "env: $(afterfin env)"
case "$(left /shared/client64 afterfin run -q -p linger=ack --)" in 0) ;; *) fail "without i386" ;; esac
dpkg -i /shared/debs/libafterfin_*_i386.deb
dpkg --purge afterfin libafterfin:amd64
[ ! -e /usr/lib/x86_64-linux-gnu/libafterfin ] && [ ! -e /usr/lib/x86_64-linux-gnu/libafterfin.so ] || fail "amd64's is left"
bare=$(left /shared/client32 env LD_PRELOAD=/usr/lib/i386-linux-gnu/libafterfin.so AFTERFIN_LINGER=ack)
[ "$bare" = 0 ] || fail "i386 alone leaves $bare"
echo "ok: each goes without the other"
