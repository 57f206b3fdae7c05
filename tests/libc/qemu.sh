#!/bin/sh
# Runs a victim of another processor: the library that is to be preloaded is the victim's, not qemu's or this shell's.
preload=$LD_PRELOAD
unset LD_PRELOAD
exec qemu-aarch64 -L /usr/aarch64-linux-gnu ${preload:+-E LD_PRELOAD=@library@} @victim@ "$@"
