# Debian's packages, built and tried in copies of a system that are thrown away. As root: it mounts.

# A Debian to do it in, which debootstrap fetches once; empty: this machine, whose system stays as it is.
DEBIAN ?=
check-packages: ## build Debian's packages, and install, use, upgrade and remove them; DEBIAN=trixie: in one that debootstrap fetches
	$(Q)sh tests/debian/check.sh $(abspath $(B))/debian $(DEBIAN)
.PHONY: check-packages
