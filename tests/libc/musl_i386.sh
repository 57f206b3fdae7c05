#!/bin/sh
# musl_i386.sh DIRECTORY: Debian's musl and musl-dev for i386, fetched by apt-get and unpacked there. This machine's own lists
# and packages stay as they are.
set -eu
mkdir -p "$1/apt/lists/partial" "$1/apt/archives/partial"
cd "$1"
touch apt/status
cat >apt/conf <<END
APT::Architecture "i386";
APT::Architectures { "i386"; };
APT::Sandbox::User "";
Dir::State "$PWD/apt";
Dir::State::status "$PWD/apt/status";
Dir::Cache "$PWD/apt";
END
export APT_CONFIG="$PWD/apt/conf"
apt-get -q update || : # others than Debian may have nothing for i386
apt-get -q download musl musl-dev
for package in *.deb; do
    dpkg-deb -x "$package" .
done
