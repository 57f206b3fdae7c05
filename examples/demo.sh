#!/bin/sh
# The trouble and the cure in one table: a legacy client with 2,000 local ports to spend, run bare, watched, and
# under a policy. Each run has a network namespace of its own, so nothing outside is touched.
#
# examples/demo.sh BUILD_DIRECTORY
set -eu
PATH=$PATH:/usr/sbin:/sbin
build=$(cd "$1" && pwd)
address=127.0.0.1
port=8080
requests=5000

# Sockets that are still in the middle of closing: their outcome is not known yet.
closing() {
    awk '$4 == "04" || $4 == "09" || $4 == "0B"' /proc/net/tcp | wc -l
}

time_wait() {
    awk '$1 == "TCP:" { for (i = 2; i < NF; i++) if ($i == "tw") print $(i + 1) }' /proc/net/sockstat
}

# One run, in the namespace that is ours now: name, then the environment it is given.
one_run() {
    name=$1
    client=$2
    shift 2
    before=$(time_wait)
    "$build/examples/server" $address $port &
    server=$!
    trap 'kill $server' EXIT
    until grep -q ":$(printf %04X $port) 00000000:0000 0A" /proc/net/tcp; do
        kill -0 $server # it says itself why it could not start
        sleep 0.05
    done
    result=$(env "$@" "$build/examples/$client" $address $address $port $requests 2>/dev/null) || true
    tries=0
    while [ "$(closing)" -gt 0 ] && [ $tries -lt 100 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    set -- $result
    printf '%-28s %8s  %9s  %-20s %9s\n' "$name" "$1" "$2" "$3" $(($(time_wait) - before))
}

if [ "${2:-}" = inside ]; then
    if [ "$3" = yes ]; then
        ip link set lo up
        echo "40000 41999" >/proc/sys/net/ipv4/ip_local_port_range
        echo 0 >/proc/sys/net/ipv4/tcp_tw_reuse
        echo 1 >/proc/sys/net/ipv4/tcp_rfc1337 # else a stray RST ends one now and then
    else
        requests=300
        port=18080 # nobody's, probably
    fi
    shift 3
    one_run "$@"
    exit
fi

fresh=
own=yes
if unshare -n true 2>/dev/null; then
    fresh="unshare -n"
elif unshare -Urn true 2>/dev/null; then
    fresh="unshare -Urn"
else
    own=no
fi
if [ $own = yes ]; then
    echo "A legacy client with 2,000 local ports to spend and tcp_tw_reuse=0, each run in"
    echo "a fresh network namespace:"
else
    echo "No network namespace of our own is to be had (neither root nor user namespaces),"
    echo "so this runs 300 requests in the present one, with its own port range: the bare"
    echo "client has no reason to fail here, but the TIME_WAITs that it leaves still show:"
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
preload=LD_PRELOAD=$build/libafterfin.so
echo
printf '%-28s %8s  %9s  %-20s %9s\n' run requests succeeded "first error" TIME_WAIT
$fresh sh "$0" "$build" inside $own "bare" legacy_client
$fresh sh "$0" "$build" inside $own "watched (log on)" legacy_client "$preload" AFTERFIN_LOG="$log"
$fresh sh "$0" "$build" inside $own "linger=ack,bind_no_port=on" legacy_client "$preload" \
    AFTERFIN_LINGER=ack AFTERFIN_BIND_NO_PORT=on
$fresh sh "$0" "$build" inside $own "the same, a static client" static_client \
    "$build/afterfin" run -q -p linger=ack -p bind_no_port=on
echo
echo "What the log says of the watched run:"
fold -s -w 78 "$log" | sed 's/^/  /'
