#!/bin/sh
# Runs a victim of another processor: the library that is to be preloaded is the victim's, not qemu's or this shell's, and
# libc is the loader's, not that of a package of that processor which the machine may have too.
case $LD_PRELOAD in
*:*) behind=:${LD_PRELOAD#*:} ;;
*) behind= ;;
esac
preload=$LD_PRELOAD
unset LD_PRELOAD
exec qemu-aarch64 -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH=/usr/aarch64-linux-gnu/lib \
    ${preload:+-E LD_PRELOAD=@library@$behind} @victim@ "$@"
