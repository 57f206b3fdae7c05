#!/bin/sh
# overlay.sh ROOT SHARED COMMAND...: COMMAND as root of a copy of the system at ROOT (several: UPPER:LOWER) that is gone
# afterwards; KEEP=DIRECTORY keeps what it wrote, which it sees as /written. SHARED is there as /shared; processes that stay
# behind end with it. Its network is one of its own, but with NETWORK=yes.
set -eu
if [ "${inside:-}" != yes ]; then
    exec env inside=yes unshare -mpf --kill-child $([ "${NETWORK:-}" = yes ] || echo -n) sh "$0" "$@"
fi
root=$1
shared=$2
shift 2
mount --make-rprivate /
mount -t tmpfs -o mode=755 overlay /mnt
mkdir /mnt/upper /mnt/work /mnt/root
upper=/mnt
if [ -n "${KEEP:-}" ]; then
    mkdir -p "$KEEP/upper" "$KEEP/work"
    upper=$KEEP
fi
mount -t overlay overlay -o "lowerdir=$root,upperdir=$upper/upper,workdir=$upper/work" /mnt/root
cd /mnt/root
mkdir -p shared written old
mount --bind "$shared" shared
mount --bind "$upper/upper" written
mount --rbind /dev dev
mount -t proc proc proc
mount --rbind /sys sys
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs run
mkdir run/lock
[ "${NETWORK:-}" = yes ] || ip link set lo up 2>/dev/null || true
if [ "${NETWORK:-}" = yes ]; then
    cp /etc/resolv.conf etc/resolv.conf
fi
pivot_root . old
umount -l /old
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
    NETWORK="${NETWORK:-}" DEBIAN_FRONTEND=noninteractive "$@"
