#!/bin/sh
# Builds the packages twice, in other places and otherwise, and that of 0.1, whose command and library were one package;
# lintian looks at them. They come to /shared/debs.
set -eu
debs=/shared/debs
mkdir -p $debs/0.1 $debs/0.2

# build DIRECTORY UMASK TZ
build() {
    mkdir -p "$1"
    cp -a /shared/src "$1"
    (cd "$1/src" && umask "$2" && TZ=$3 dpkg-buildpackage -us -uc)
}
build /tmp/one 022 UTC
build /var/tmp/an/other 077 Asia/Tokyo
for file in /tmp/one/*.deb /tmp/one/*.tar.xz; do
    cmp "$file" "/var/tmp/an/other/${file##*/}"
done
cp /tmp/one/*.deb $debs/0.2
echo "ok: two builds, the same bytes: $(cd $debs/0.2 && ls | tr '\n' ' ')"

# The library of 32 bits, and a client that needs it, where the compiler is there.
if command -v i686-linux-gnu-gcc >/dev/null && dpkg --print-foreign-architectures | grep -qx i386; then
    mkdir /tmp/i386
    cp -a /shared/src /tmp/i386
    (cd /tmp/i386/src && CONFIG_SITE=/etc/dpkg-cross/cross-config.i386 dpkg-buildpackage -ai386 -us -uc -B)
    cp /tmp/i386/libafterfin_*.deb $debs
    i686-linux-gnu-gcc -D_GNU_SOURCE -O2 -o /shared/client32 /shared/src/examples/legacy_client.c
    gcc -D_GNU_SOURCE -O2 -o /shared/client64 /shared/src/examples/legacy_client.c
    gcc -D_GNU_SOURCE -O2 -o /shared/server /shared/src/examples/server.c
    echo "ok: $(cd $debs && ls *_i386.deb)"
fi

# Its --fail-on counts what is overridden, too.
lintian --allow-root --show-overrides $(find /tmp/one /tmp/i386 -name "*.changes" 2>/dev/null) >/tmp/lintian
cat /tmp/lintian
! grep '^[EW]: ' /tmp/lintian
echo "ok: lintian $(dpkg-query -W -f='${Version}' lintian)"

# What is compiled stays as it is.
cd /tmp/one/src
dh_clean
sed -i '1,/^ -- /d' debian/changelog
sed -i '/./,$!d' debian/changelog
sed -i '/^Package: libafterfin/,$d; s/libafterfin (= [^)]*), //' debian/control
cat debian/libafterfin.install >>debian/afterfin.install
rm debian/libafterfin.* debian/afterfin.postrm
sed -i '/dh_installsystemd --/d; /debian\/imports/d; /execute_after_dh_install:/,/i386-linux-gnu/d' debian/rules
mkdir old && echo "of 0.1 only" >old/NOTES
echo old/NOTES >>debian/afterfin.docs
dpkg-buildpackage -us -uc -b -nc
cp ../afterfin_0.1.0_*.deb $debs/0.1
