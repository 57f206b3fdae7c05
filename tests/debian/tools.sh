#!/bin/sh
# What building the packages takes, installed by apt in the Debian that is the root here.
set -eu
dpkg --add-architecture i386
apt-get update
apt-get install -y --no-install-recommends autopkgtest build-essential fakeroot gcc-i686-linux-gnu iproute2 \
    libc6-dev:i386 lintian systemd
apt-get build-dep -y --no-install-recommends /shared/src
apt-get build-dep -y --no-install-recommends -ai386 /shared/src
