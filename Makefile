# afterfin: `make` builds, `make help` lists the rest. V=1 shows the commands.
#
# Every folder is built whole: a new file needs no line here. What is built lies in build/ under the same path.

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
DESTDIR ?=
CC ?= gcc
CFLAGS ?= -O2 -g
WARN = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes $(if $(CI),-Werror)
BASE = -std=gnu11 -D_GNU_SOURCE -I. -MMD -MP $(WARN) $(CPPFLAGS)
B = build
.DEFAULT_GOAL = all
MACHINE := $(shell $(CC) -dumpmachine)
Q = $(if $(V),,@)
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS := $(MAKEFLAGS) --no-print-directory -j$(shell nproc)
endif

# `make deps demo`: what is to be installed comes first, then a make of its own that finds it.
INSTALLED = $(filter deps test-deps,$(MAKECMDGOALS))
AFTERWARDS = $(filter-out deps test-deps,$(MAKECMDGOALS))
deps: ## install what building and the demo need (apt-get, through sudo when not root)
	$(Q).ci/deps

test-deps: ## install what the tests need, too
	$(Q).ci/deps test

ifneq ($(and $(INSTALLED),$(AFTERWARDS)),)
$(AFTERWARDS): $(INSTALLED)
	+$(Q)$(MAKE) $@
.PHONY: deps test-deps
else

# ---- what is built from which folder ---------------------------------------------------------------------------

POLICY = $(wildcard policy/*.c)
WRITER = ledger/writer.c
READER = $(filter-out $(WRITER),$(wildcard ledger/*.c))
CLI = $(wildcard cli/*.c cli/*/*.c)
TESTS = $(wildcard tests/*.c $(patsubst %,tests/%/*.c,policy ledger shim cli cli/* examples harness soak))
PRELOADED = $(patsubst %,tests/victims/%.c,early faults meets wraps deep interposes)
STATIC = bind_steps connect_close connect_from connect_hold connect_many daemonizes descend fork_many interrupted open_by server_close show_sockets threads_close
VICTIMS = $(patsubst %.c,$(B)/%,$(filter-out $(PRELOADED),$(wildcard tests/victims/*.c))) $(PRELOADED:%.c=$(B)/%.so) \
	$(B)/tests/victims/spoils_asan $(STATIC:%=$(B)/tests/victims/static/%)

# A start touches these, in this order, and no page besides: the variables of the first three lie in the one that ld.so has
# cleared to its end (test_costs_start). The large table of track.c comes last.
START = $(patsubst %,shim/%.c,resolve start log mailbox string calls inherit line text output)
SHIM = $(START) $(filter-out $(START) shim/track.c,$(wildcard shim/*.c shim/*.S)) shim/track.c

objects = $(patsubst %,$(B)/$(1)/%.o,$(basename $(2)))

DEMO = $(patsubst %,$(B)/examples/%,server legacy_client)

all: $(B)/libafterfin.so $(B)/afterfin docs $(DEMO) ## build the library, the command, its pages and examples (the default)

# The library keeps its imports few: each one costs every program at its start. It has no use for policy/keys.c. What a
# packager's CFLAGS and CPPFLAGS harden with must add none: older glibcs, and musl, have not all of them.
SHIM_FLAGS = -fPIC -fvisibility=hidden -ftls-model=initial-exec -fno-plt -fno-stack-protector -ffreestanding \
	-fno-builtin -U_FORTIFY_SOURCE
VERSIONS = shim/versions.map
IS_I386 := $(filter i386 i486 i586 i686 -m32,$(firstword $(subst -, ,$(MACHINE))) $(CC))
ifneq ($(IS_I386),) # where there are two a struct stat as the kernel has it
SHIM_FLAGS += -D_FILE_OFFSET_BITS=64 -Wno-psabi
VERSIONS = shim/versions_i386.map
endif
SHIM_LINK = -shared -nostartfiles -Wl,-Bsymbolic -Wl,-z,defs -Wl,-z,now -Wl,-z,noseparate-code -Wl,-soname,libafterfin.so \
	-Wl,--version-script=$(VERSIONS) -Wl,--hash-style=gnu
CLI_LIBRARIES = -lmnl -ljansson -lm -lncursesw -pthread

$(B)/libafterfin.so: $(call objects,pic,$(filter-out policy/keys.c,$(POLICY)) $(WRITER) ledger/errno_name.c \
		$(SHIM)) $(VERSIONS)
	@echo "  LINK $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(SHIM_LINK) -o $@ $(filter %.o,$^)

$(B)/afterfin: $(call objects,obj,$(CLI) $(POLICY) $(WRITER) $(READER))
	@echo "  LINK $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(CLI_LIBRARIES)

$(B)/tests/check: $(call objects,obj,$(TESTS) $(filter-out cli/main.c,$(CLI)) $(POLICY) $(WRITER) $(READER) \
		shim/pool.c)
	@mkdir -p $(@D); echo "  LINK $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) -lcriterion $(CLI_LIBRARIES)

$(B)/obj/cli/launch/preload.o: BASE += -DAF_LIBDIR='"$(LIBDIR)"' -DAF_MULTIARCH='"$(shell $(CC) -print-multiarch 2>/dev/null)"'

# A file that has gone, or has moved, links its program anew.
$(B)/libafterfin.so $(B)/afterfin $(B)/tests/check: $(B)/sources
$(B)/sources: FORCE
	@mkdir -p $(@D); echo $(POLICY) $(WRITER) $(READER) $(SHIM) $(CLI) $(TESTS) | cmp -s - $@ || \
		echo $(POLICY) $(WRITER) $(READER) $(SHIM) $(CLI) $(TESTS) >$@

# ---- how ---------------------------------------------------------------------------------------------------------

$(B)/pic/%.o: %.c
	@mkdir -p $(@D); echo "  CC   $< (library)"
	$(Q)$(CC) $(BASE) $(CFLAGS) $(SHIM_FLAGS) -c -o $@ $<

$(B)/pic/%.o: %.S
	@mkdir -p $(@D); echo "  AS   $<"
	$(Q)$(CC) $(BASE) $(CFLAGS) -c -o $@ $<

$(B)/obj/%.o: %.c
	@mkdir -p $(@D); echo "  CC   $<"
	$(Q)$(CC) $(BASE) $(CFLAGS) -c -o $@ $<

# Programs of one file (victims of tests, the demo's client and server, what bench runs), and libraries of one.
$(B)/%: %.c
	@mkdir -p $(@D); echo "  CC   $<"
	$(Q)$(CC) $(BASE) $(CFLAGS) -pthread -o $@ $<

$(B)/examples/static_client: examples/legacy_client.c
	@mkdir -p $(@D); echo "  CC   $< (static)"
	$(Q)$(CC) $(BASE) $(CFLAGS) -static -o $@ $<

$(B)/tests/victims/static/%: tests/victims/%.c
	@mkdir -p $(@D); echo "  CC   $< (static)"
	$(Q)$(CC) $(BASE) $(CFLAGS) -static -pthread -o $@ $<

$(B)/%_asan: %.c
	@mkdir -p $(@D); echo "  CC   $< (AddressSanitizer)"
	$(Q)$(CC) $(BASE) $(CFLAGS) -fsanitize=address -pthread -o $@ $<

$(B)/%.so: %.c
	@mkdir -p $(@D); echo "  CC   $<"
	$(Q)$(CC) $(BASE) $(CFLAGS) -shared -fPIC -o $@ $<

# ---- what there is to do -----------------------------------------------------------------------------------------

check: all tests ## run all tests; CHECK='--filter SUITE/TEST' runs some
	$(Q)set -f; $(B)/tests/check -j2 $(CHECK)

tests: $(B)/tests/check $(B)/tests/libc/lack $(VICTIMS) $(DEMO) ## build the tests and what they run

demo: all $(B)/examples/static_client ## a client that runs out of ports, and the cure
	$(Q)sh examples/demo.sh $(B)

include shim/rules.mk man/rules.mk dist/rules.mk bench/rules.mk tests/fuzz/rules.mk tests/debian/rules.mk \
	tests/libc/rules.mk tests/soak/rules.mk

# clang-format of Debian 12 and of 13 read .clang-format alike.
SOURCES = $(shell find $(filter-out $(B) build,$(wildcard [a-z]*)) -name '*.[ch]')
format: ## lay the sources out as .clang-format has it
	$(Q)clang-format -i $(SOURCES)

format-check: ## does any source differ from that?
	$(Q)clang-format --dry-run -Werror $(SOURCES)

clean: ## remove build/
	$(Q)rm -rf $(B)

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

-include $(shell find $(B) -path $(B)/debian -prune -o -name '*.d' -type f -print 2>/dev/null)
.DELETE_ON_ERROR:
.PHONY: all check tests format format-check clean demo deps test-deps help
FORCE:
endif
