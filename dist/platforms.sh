#!/bin/sh
# platforms.sh LIBDIR I386_LIBDIR: what LD_PRELOAD='LIBDIR/libafterfin/$PLATFORM/libafterfin.so' comes to, in programs of 64
# bits LIBDIR/libafterfin.so, in those of 32 bits I386_LIBDIR/libafterfin.so, which need not be there.
#
# ld.so puts for $PLATFORM: glibc on x86_64 what the kernel says, or since 2.26 haswell or xeon_phi; on i386 what the kernel
# says, or i586 or i686. musl takes it as it is written, and ${PLATFORM} too, which for glibc is the same. $LIB would not do: where the one is lib64 the other is lib, and
# where the other is lib32 the one is lib.
set -eu
links() {
    library=$1
    shift
    for platform; do
        mkdir -p "$directory/$platform"
        ln -srfn "$library" "$directory/$platform/libafterfin.so"
    done
}
directory=$1/libafterfin
links "$1/libafterfin.so" x86_64 haswell xeon_phi '$PLATFORM'
links "$2/libafterfin.so" i386 i486 i586 i686 '${PLATFORM}'
