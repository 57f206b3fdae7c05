#!/bin/sh
# What building the packages takes, installed by apt in the Debian that is the root here.
set -eu
apt-get update
apt-get install -y --no-install-recommends autopkgtest build-essential fakeroot iproute2 lintian
apt-get build-dep -y --no-install-recommends /shared/src
