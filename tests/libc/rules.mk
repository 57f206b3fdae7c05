# Programs of other C libraries than this machine's, under the very same libafterfin.so: the victims built once more, and
# VICTIMS, which tells the tests to take these.

# Not of those: what is preloaded, and what looks into this machine's glibc.
ONLY_HERE = $(patsubst %,$(B)/tests/victims/%,own_phdr spoils_asan) $(filter %.so $(B)/tests/victims/static/%,$(VICTIMS))
victims_for = $(patsubst $(B)/%,$(B)/$(1)/%,$(filter-out $(ONLY_HERE),$(VICTIMS)))

# The kernel's headers of this machine, and no others.
$(B)/kernel:
	$(Q)mkdir -p $@; for d in linux asm asm-generic; do \
		ln -sfn "$$(dirname "$$(echo '#include <'$$d/errno.h'>' | $(CC) -M -xc - | grep -o '/[^ ]*'$$d/errno.h)")" $@/$$d; done

# Suites whose victims open sockets; not those of what this machine's programs are, and of costs.
LIBC_SUITES = bind_no_port boundary counts faults handed_over inherited invisible keepalive linger linger_rst log \
	log_when memory model names only_skip opens other_libraries override pointers port_range port_search reuseaddr \
	rules rules_file run run_result run_signals sandboxes settle silence source streams strict syn_retries threads tree \
	ways deepbind
empty :=
space := $(empty) $(empty)
LIBC_FILTER = @($(subst $(space),|,$(strip $(LIBC_SUITES))))/*

# ---- musl --------------------------------------------------------------------------------------------------------

MUSL_CC := $(shell command -v musl-gcc)

$(B)/musl/%: %.c | $(B)/kernel
	@mkdir -p $(@D); echo "  CC   $< (musl)"
	$(Q)$(MUSL_CC) $(BASE) $(CFLAGS) -idirafter $(B)/kernel -pthread -o $@ $<

$(B)/musl/tests/victims/static/%: tests/victims/%.c | $(B)/kernel
	@mkdir -p $(@D); echo "  CC   $< (musl, static)"
	$(Q)$(MUSL_CC) $(BASE) $(CFLAGS) -static -idirafter $(B)/kernel -pthread -o $@ $<

MUSL_VICTIMS = $(call victims_for,musl) $(STATIC:%=$(B)/musl/tests/victims/static/%)
check-musl: all tests $(if $(MUSL_CC),$(MUSL_VICTIMS)) ## the tests of the library with programs of musl (musl-gcc)
	$(Q)if [ -z "$(MUSL_CC)" ]; then echo "check-musl: skipped, there is no musl-gcc (make test-deps)"; \
		else VICTIMS=musl $(B)/tests/check -j2 --filter '@($(LIBC_FILTER)|supervisor/*)' $(CHECK); fi

# ---- an old glibc ------------------------------------------------------------------------------------------------

# A Debian with libc6-dev, whose loader and libc the victims are linked with; nothing in it is run but these.
OLD_DEBIAN ?= bullseye
ROOT ?= $(B)/$(OLD_DEBIAN)
OLD = $(abspath $(ROOT))
MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
OLD_LOADER = $(OLD)$(shell sed -n 's/.*AS_NEEDED ( \([^ ]*\) ).*/\1/p' $(OLD_LIB)/libc.so)
OLD_LIB = $(OLD)/usr/lib/$(MULTIARCH)
OLD_LINK = --sysroot=$(OLD) -isystem $(B)/kernel -B$(OLD_LIB) -L$(OLD_LIB) -Wl,--dynamic-linker=$(OLD_LOADER) \
	-Wl,--disable-new-dtags,-rpath,$(abspath $(B))/old-glibc/lib:$(OLD)/lib/$(MULTIARCH)

$(OLD)/usr/include/stdio.h:
	debootstrap --variant=minbase --include=libc6-dev $(OLD_DEBIAN) $(OLD) http://deb.debian.org/debian

# The link to its loader leads out of it.
$(B)/old-glibc/loader: $(OLD)/usr/include/stdio.h
	$(Q)mkdir -p $(@D); ln -sfn ..$$(readlink $(OLD_LOADER) | sed 's/^\.*//') $(OLD_LOADER); touch $@

# Of what the library looks for in it only this came after 2.17 (old_libc/lacks_each_name*).
$(B)/old-glibc/lib: $(B)/tests/libc/lack $(B)/old-glibc/loader
	$(Q)mkdir -p $@; for l in libc.so.6 libpthread.so.0; do $< $(OLD)/lib/$(MULTIARCH)/$$l $@/$$l fcntl64 >/dev/null; done

$(B)/old-glibc/%: %.c $(B)/old-glibc/loader | $(B)/old-glibc/lib $(B)/kernel
	@mkdir -p $(@D); echo "  CC   $< (old glibc)"
	$(Q)$(CC) $(BASE) $(CFLAGS) -Dfcntl64=fcntl $(OLD_LINK) -o $@ $< -L$(OLD)/lib/$(MULTIARCH) \
		-Wl,--as-needed -l:libpthread.so.0 -l:libutil.so.1 -l:libdl.so.2

check-old-glibc: all tests $(call victims_for,old-glibc) ## the same with a glibc of Debian 11 with 2.17's names, which debootstrap fetches (as root)
	$(Q)VICTIMS=old-glibc $(B)/tests/check -j2 --filter '$(LIBC_FILTER)' $(CHECK)

# ---- another processor -------------------------------------------------------------------------------------------

# Library and victims for 64-bit ARM, under qemu-user, as far as that carries: the suites of the library but for what
# tests/libc/aarch64.skip names, with the reason.
ARM_CC := $(shell command -v aarch64-linux-gnu-gcc)
ARM_SKIPPED := $(shell sed -n 's|^\([a-z_]*/[A-Za-z0-9_*]*\) .*|\1|p' tests/libc/aarch64.skip)
ARM_SUITES = $(filter-out $(patsubst %/*,%,$(filter %/*,$(ARM_SKIPPED))),$(LIBC_SUITES))
ARM_NOT = $(notdir $(filter-out %/*,$(ARM_SKIPPED)))
ARM_FILTER = @($(subst $(space),|,$(strip $(ARM_SUITES))))/!($(subst $(space),|,$(strip $(ARM_NOT))))

$(B)/arm/%: %.c
	@mkdir -p $(@D)/real; echo "  CC   $< (aarch64)"
	$(Q)$(ARM_CC) $(BASE) $(CFLAGS) -pthread -o $(@D)/real/$(@F) $<
	$(Q)sed 's|@victim@|$(abspath $(@D))/real/$(@F)|; s|@library@|$(abspath $(B))/aarch64/libafterfin.so|' tests/libc/qemu.sh >$@
	$(Q)chmod +x $@

ARM_PRELOADED = $(patsubst %,$(B)/arm/tests/victims/%.so,deep interposes)
$(ARM_PRELOADED): $(B)/arm/%.so: %.c
	@mkdir -p $(@D); echo "  CC   $< (aarch64)"
	$(Q)$(ARM_CC) $(BASE) $(CFLAGS) -shared -fPIC -o $@ $<

$(B)/aarch64/libafterfin.so: FORCE
	+$(Q)$(MAKE) B=$(B)/aarch64 CC=$(ARM_CC) $@

check-aarch64: all tests $(if $(ARM_CC),$(B)/aarch64/libafterfin.so $(ARM_PRELOADED) $(call victims_for,arm)) ## the library for 64-bit ARM under qemu-user
	$(Q)if [ -z "$(ARM_CC)" ] || ! command -v qemu-aarch64 >/dev/null; then \
		echo "check-aarch64: skipped, it takes gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"; \
		else VICTIMS=arm $(B)/tests/check -j2 --filter '$(ARM_FILTER)' $(CHECK); fi
# ---- 32-bit programs of this one ---------------------------------------------------------------------------------

# i386, under a kernel that runs such; what they start is of 64 bits, as this machine's programs are. Left out are, of the
# victims, one that has a dl_iterate_phdr of this machine's, AddressSanitizer's (the test takes that of 64 bits), and where
# clang makes them the static ones, which want gcc's library for unwinding.
I386_STATIC = $(if $(filter-out clang,$(firstword $(I386_CC))),$(STATIC:%=$(B)/i386/tests/victims/static/%))
I386_SUITES = $(LIBC_SUITES) bits32 set_library $(if $(I386_STATIC),supervisor)
# A few, for `make check`.
I386_FEW = $(patsubst %,$(B)/i386/tests/victims/%,connect_close connect_hold end_stdio inherit late) \
	$(filter %/connect_close %/server_close,$(I386_STATIC))
tests: $(if $(I386_CC),$(I386_FEW))
I386_VICTIMS = $(patsubst $(B)/%,$(B)/i386/%,$(filter-out %/own_phdr %/spoils_asan %/docker_exec $(B)/tests/victims/static/%,$(VICTIMS))) \
	$(I386_STATIC)

$(B)/i386/tests/victims/%: tests/victims/%.c
	@mkdir -p $(@D); echo "  CC   $< (i386)"
	$(Q)$(I386_CC) $(BASE) $(CFLAGS) -pthread -o $@ $<

$(B)/i386/tests/victims/static/%: tests/victims/%.c
	@mkdir -p $(@D); echo "  CC   $< (i386, static)"
	$(Q)$(I386_CC) $(BASE) $(CFLAGS) -static -pthread -o $@ $<

# Of the functions that have two names there, some under one and some under the other.
$(B)/i386/tests/victims/deep.so: CFLAGS += -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64
$(B)/i386/tests/victims/%.so: tests/victims/%.c
	@mkdir -p $(@D); echo "  CC   $< (i386)"
	$(Q)$(I386_CC) $(BASE) $(CFLAGS) -shared -fPIC -o $@ $<

check-i386: all tests $(if $(I386_CC),$(I386_VICTIMS)) ## the library of 32 bits with programs of 32 bits
	$(Q)if [ -z "$(I386_CC)" ]; then echo "check-i386: skipped, no compiler makes programs of 32 bits (make test-deps)"; \
		elif $(B)/i386/tests/victims/late >$(B)/i386/runs 2>&1; [ $$? -gt 125 ]; then \
		echo "check-i386: skipped, programs of 32 bits do not run here: $$(cat $(B)/i386/runs)"; \
		else VICTIMS=i386 $(B)/tests/check -j2 --filter '@($(subst $(space),|,$(strip $(I386_SUITES))))/*' $(CHECK); fi

# Both at once: what Debian's musl and musl-dev of i386 hold, which are fetched, or lie in MUSL_I386.
MUSL_I386 ?= $(B)/musl-i386.root
I386_MUSL = $(abspath $(MUSL_I386))
I386_MUSL_LIB = $(I386_MUSL)/usr/lib/i386-linux-musl
I386_MUSL_CC = $(I386_CC) -nostdinc -isystem $(I386_MUSL)/usr/include/i386-linux-musl \
	-isystem $(shell $(firstword $(I386_CC)) -print-file-name=include) -idirafter $(B)/kernel -fPIE
I386_MUSL_LINK = -nostdlib -pie -Wl,--dynamic-linker=$(I386_MUSL)/lib/ld-musl-i386.so.1 $(I386_MUSL_LIB)/Scrt1.o \
	$(I386_MUSL_LIB)/crti.o
I386_MUSL_END = $(I386_MUSL)/lib/i386-linux-musl/libc.so $(shell $(I386_CC) -print-libgcc-file-name) $(I386_MUSL_LIB)/crtn.o

$(I386_MUSL)/lib/ld-musl-i386.so.1:
	$(Q)sh tests/libc/musl_i386.sh $(I386_MUSL)

$(B)/musl-i386/tests/victims/%: tests/victims/%.c | $(I386_MUSL)/lib/ld-musl-i386.so.1 $(B)/kernel
	@mkdir -p $(@D); echo "  CC   $< (musl, i386)"
	$(Q)$(I386_MUSL_CC) $(BASE) $(CFLAGS) $(I386_MUSL_LINK) -o $@ $< $(I386_MUSL_END)

# musl takes glibc's libc.so.6 for itself.
$(B)/musl-i386/tests/victims/%.so: $(B)/i386/tests/victims/%.so
	@mkdir -p $(@D)
	$(Q)cp $< $@

# Below a CMD that is none of them they run bare, so none of run's suites but one.
I386_MUSL_FILTER = @($(subst $(space),|,both_sizes $(strip $(filter-out run%,$(LIBC_SUITES)))))/*
I386_MUSL_VICTIMS = $(filter-out %/bits32 %/docker_exec,$(call victims_for,musl-i386)) $(PRELOADED:%.c=$(B)/musl-i386/%.so)
check-musl-i386: all tests $(if $(I386_CC),$(I386_MUSL_VICTIMS)) ## the library of 32 bits with programs of musl
	$(Q)if [ -z "$(I386_CC)" ]; then echo "check-musl-i386: skipped, no compiler makes programs of 32 bits (make test-deps)"; \
		else VICTIMS=musl-i386 $(B)/tests/check -j2 --filter '$(I386_MUSL_FILTER)' $(CHECK); fi
.PHONY: check-musl check-old-glibc check-aarch64 check-i386 check-musl-i386
