# A tarball that works on any Linux of an architecture: the command linked statically, the library, its pages, units.
# That of arm64 is made too where its compiler and libraries are there (Debian: gcc-aarch64-linux-gnu, and of arm64 libc6-dev,
# libjansson-dev, libmicrohttpd-dev, libncurses-dev); CC= of any other makes one of that. Two builds give the same bytes.

VERSION = $(shell sed -n 's/.*AF_VERSION "\(.*\)"/\1/p' cli/version.h)
ARCH = $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
NAME = afterfin-$(VERSION)-linux-$(ARCH)
SOURCE_DATE_EPOCH ?= $(or $(shell git log -1 --format=%ct 2>/dev/null),$(shell stat -c %Y CHANGELOG.md))

# The path of a library's archive; empty: there is none. Debian's libmnl has none, and dist/mnl.c stands for it then.
archive = $(filter /%,$(shell $(CC) -print-file-name=lib$(1).a))
MNL = $(call archive,mnl)
REPLACED = cli/report/http.c
STANDS_IN = dist/passwd.c dist/http.c $(if $(MNL),,dist/mnl.c)
LACKS = $(strip $(foreach a,jansson ncursesw tinfo microhttpd c,$(if $(call archive,$(a)),,lib$(a).a)))

$(B)/static/afterfin: $(call objects,obj,$(filter-out $(REPLACED),$(CLI)) $(POLICY) $(WRITER) $(READER) $(STANDS_IN))
	@mkdir -p $(@D); echo "  LINK $@ (static)"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -static-pie -o $@ $(filter %.o,$^) $(MNL) -ljansson -lm -lncursesw -ltinfo -lmicrohttpd \
		-pthread

# What is in it, below $(B)/$(NAME), as `make install` would lay it below a PREFIX.
HOLDS = $(B)/$(NAME)
UNITS = $(wildcard examples/systemd/*.service examples/systemd/*.timer)
COPYRIGHTS = $(wildcard $(patsubst %,/usr/share/doc/%/copyright,libc6-dev libjansson-dev libmicrohttpd-dev \
	libncurses-dev))
STRIP = -s --strip-program=$(or $(filter /%,$(shell $(CC) -print-prog-name=strip)),strip)
packed: $(B)/static/afterfin $(B)/libafterfin.so $(I386) $(DOCS)
	$(Q)rm -rf $(HOLDS)
	$(Q)install -D -m 755 $(STRIP) -t $(HOLDS)/bin $(B)/static/afterfin
	$(Q)install -D -m 644 $(STRIP) -t $(HOLDS)/lib $(B)/libafterfin.so
	$(if $(I386),$(Q)install -D -m 644 $(STRIP) -t $(HOLDS)/lib/i386-linux-gnu $(B)/i386/libafterfin.so)
	$(if $(I386),$(Q)sh dist/platforms.sh $(HOLDS)/lib $(HOLDS)/lib/i386-linux-gnu)
	$(Q)install -D -m 644 -t $(HOLDS)/lib/systemd/system $(UNITS)
	$(Q)for n in 1 5 7; do install -D -m 644 -t $(HOLDS)/share/man/man$$n $(B)/man/afterfin.$$n; done
	$(Q)install -D -m 644 $(B)/man/afterfin.bash $(HOLDS)/share/bash-completion/completions/afterfin
	$(Q)install -D -m 644 -t $(HOLDS)/share/doc/afterfin LICENSE README.md CHANGELOG.md
	$(Q)cat $(COPYRIGHTS) /dev/null >$(HOLDS)/share/doc/afterfin/linked-in
	$(Q)cd $(HOLDS) && find * -type f ! -name SHA256SUMS | LC_ALL=C sort | xargs sha256sum >SHA256SUMS
	$(Q)tar -C $(B) --sort=name --format=ustar --owner=0 --group=0 --numeric-owner --mode=u+rw,go+r,go-w,a+X \
		--mtime=@$(SOURCE_DATE_EPOCH) -cf $(HOLDS).tar $(NAME)
	$(Q)gzip -9n <$(HOLDS).tar >$(TARBALL).new
	$(Q)rm $(HOLDS).tar; mv $(TARBALL).new $(TARBALL)

# Built apart, without what debuggers want, and with the paths of a PREFIX that need not be. One make at a time: another one
# would take away what this one has laid out between its sums and its packing.
APART = --no-print-directory B=$(B)/dist-$(ARCH) CFLAGS=-O2 CPPFLAGS= LDFLAGS= PREFIX=/usr/local LIBDIR=/usr/local/lib
ONE_AT_A_TIME = $(if $(shell command -v flock),flock $(B)/dist-$(ARCH)/lock)
dist-of:
	@[ -z "$(LACKS)" ] || { echo "dist: for $(ARCH) there is no $(LACKS)" >&2; exit 1; }
	$(Q)mkdir -p $(B)/dist-$(ARCH)
	+$(Q)$(ONE_AT_A_TIME) $(MAKE) $(APART) TARBALL=$(abspath $(B))/$(NAME).tar.gz packed
	$(Q)cd $(B) && sha256sum $(NAME).tar.gz | tee $(NAME).tar.gz.sha256

dist: dist-of ## build build/afterfin-VERSION-linux-ARCH.tar.gz, whose command needs no library; of arm64 too with its compiler
	+$(Q)[ -z "$(ARM_CC)" ] || [ $(ARCH) = aarch64 ] || $(MAKE) --no-print-directory CC=$(ARM_CC) BUILD_CC=$(CC) dist-of || \
		echo "dist: none for aarch64"

.PHONY: dist dist-of packed
