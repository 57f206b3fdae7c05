#!/bin/sh
# The packages in /shared/debs: 0.1 is installed and used, upgraded while a program runs under it, used, removed, and purged.
set -eu
library=$(dpkg -c /shared/debs/0.2/libafterfin_*.deb | sed -n 's|^-.* \.\(/usr/lib/.*/libafterfin.so\)$|\1|p')
fail() {
    echo "failed: $*" >&2
    exit 1
}
# Dependencies come by apt where this is a Debian with nothing in it.
install() {
    if dpkg-query -W libjansson4 libmnl0 >/dev/null 2>&1; then
        dpkg -i "$@"
    else
        apt-get update
        apt-get install -y --no-install-recommends "$@"
    fi
}
# Files written here, but for what dpkg, apt and ldconfig keep for themselves, and directories of ours.
files() {
    (cd /written && find . '(' ! -type d -o -name '*afterfin*' ')' ! -path './var/lib/dpkg*' ! -path './var/lib/apt*' \
        ! -path './var/cache*' ! -path './var/log*' ! -name 'ld.so.cache*')
    find /run /tmp -mindepth 1 ! -name systemctl.log
}
names() {
    dpkg-query -W -f='${db:Status-Abbrev} ${Package} ${Version}\n' '*afterfin*' | grep -v ^un
}
# A client that closes first, and its server, in one; what brings up the loopback of a new network; what is left there.
client='socket S,2,1,0;listen S,1;socket C,2,1,0;connect C,getsockname S;accept A,S;syswrite A,1;sysread C,$_,1;close C;read A,$_,1'
alone='perl -e '\''socket S,2,2,0;$_=pack"a16x24","lo";ioctl S,0x8913,$_;$_=pack"a16sx22","lo",1|unpack"x16s",$_;ioctl S,0x8914,$_ or die$!'\'';'
time_wait='awk '\''$1 == "TCP:" { print $7 }'\'' /proc/net/sockstat'

# What systemctl is told, as if systemd were at work here, and nobody against it.
rm -f /usr/sbin/policy-rc.d
mkdir -p /run/systemd/system
cat >/usr/local/sbin/systemctl <<'END'
#!/bin/sh
echo "$*" >>/run/systemctl.log
case "$*" in *is-enabled*|*is-active*) exit 1 ;; esac
END
chmod +x /usr/local/sbin/systemctl

# ---- 0.1 -----------------------------------------------------------------------------------------------------------
# What it depends on stays when it goes: so that comes first.
install /shared/debs/0.1/*.deb
dpkg --purge afterfin
files | sort >/shared/before
install /shared/debs/0.1/*.deb
dpkg -S "$library" | grep -q '^afterfin: ' && [ -e /usr/share/doc/afterfin/NOTES ] || fail "0.1: $(dpkg -L afterfin)"
afterfin env | grep -qx "LD_PRELOAD=$library" || fail "0.1: $(afterfin env)"
mkfifo /tmp/go /tmp/ready
unshare -n sh -c "$alone LD_PRELOAD=$library AFTERFIN_LINGER=ack AFTERFIN_LEDGER=on AFTERFIN_LOG=/tmp/log \
    perl -e '$client; open R,\">/tmp/ready\"; print R 1; close R; open G,\"/tmp/go\"; <G>; $client'; $time_wait >/tmp/left" &
read -r ready </tmp/ready || [ "$ready" = 1 ]

# ---- the upgrade, under a program that runs --------------------------------------------------------------------------
install /shared/debs/0.2/afterfin_*.deb /shared/debs/0.2/libafterfin_*.deb
names
dpkg -S "$library" | grep -q '^libafterfin:' || fail "0.2: who has the library?"
[ ! -e /usr/share/doc/afterfin/NOTES ] || fail "a file of 0.1 is left"
afterfin who -d /run/afterfin >/dev/null
echo go >/tmp/go
wait
grep -q ' connects=2 .* avoided=2 ' /tmp/log || fail "the program that ran on: $(cat /tmp/log)"
[ "$(cat /tmp/left)" = 0 ] || fail "the program that ran on left $(cat /tmp/left)"
afterfin report -d /run/afterfin | grep -q '^ *perl *1 *2 *0 *2' || afterfin report -d /run/afterfin
echo "ok: upgraded from 0.1 under a program that runs: its 2 connections counted, no TIME_WAIT left"

# ---- 0.2 -----------------------------------------------------------------------------------------------------------
case "$(file -L "$library" 2>/dev/null)" in *"not stripped"*) fail "not stripped" ;; esac
[ "$(afterfin env | head -1)" = "LD_PRELOAD=$library" ] || fail "env: $(afterfin env)"
grep -q . /usr/share/bash-completion/completions/afterfin
for n in 1 5 7; do
    [ -s /usr/share/man/man$n/afterfin.$n.gz ] || fail "no page in $n"
done
left=$(unshare -n sh -c "$alone afterfin run -q -- perl -e '$client' 2>/dev/null; $time_wait")
[ "$left" = 1 ] || fail "bare: $left, not 1"
left=$(unshare -n sh -c "$alone afterfin run -q -p linger=ack -- perl -e '$client'; $time_wait")
[ "$left" = 0 ] || fail "linger=ack: $left, not 0"
afterfin doctor /usr/bin/perl | grep -q 'run reaches /usr/bin/perl' || fail "doctor: $(afterfin doctor /usr/bin/perl)"
echo "ok: run and env take $library; bare 1 TIME_WAIT, linger=ack 0"

[ -z "$(dpkg-query -W -f='${Conffiles}' afterfin libafterfin)" ] || fail "conffiles"
if grep -E '(^| )(start|restart|enable) .*afterfin|(start|restart) afterfin' /run/systemctl.log; then
    fail "a unit was started"
fi
# As `systemctl enable` does it.
mkdir -p /etc/systemd/system/multi-user.target.wants
ln -s "$(ls /lib/systemd/system/afterfin-reap.service)" /etc/systemd/system/multi-user.target.wants/
mkdir -p /var/lib/prometheus/node-exporter
afterfin report -d /run/afterfin --prometheus=/var/lib/prometheus/node-exporter/afterfin.prom
[ -s /var/lib/prometheus/node-exporter/afterfin.prom ] && [ -d /run/afterfin ] || fail "no metrics, or no ledgers"

# ---- the end --------------------------------------------------------------------------------------------------------
: >/run/systemctl.log
dpkg --remove afterfin libafterfin
for unit in afterfin-reap.service afterfin-report.timer; do
    grep -q "stop.*$unit" /run/systemctl.log || fail "$unit is not stopped: $(cat /run/systemctl.log)"
done
[ ! -e /run/afterfin ] && [ ! -e /var/lib/prometheus/node-exporter/afterfin.prom ] || fail "ledgers or metrics are left"
dpkg --purge afterfin libafterfin
rm -f /tmp/go /tmp/ready /tmp/log /tmp/left
files | sort >/shared/after
diff /shared/before /shared/after || fail "purged, and this is left"
[ -z "$(names)" ] || fail "dpkg knows of $(names)"
echo "ok: removed and purged: units stopped, ledgers and metrics gone, no file left, no conffile ever"
