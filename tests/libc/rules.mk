# Programs of other C libraries than this machine's, under the very same libafterfin.so.

# ---- musl: the victims once more --------------------------------------------------------------------------------

# Not of those: what is preloaded, and what looks into glibc.
ONLY_GLIBC = $(patsubst %,$(B)/tests/victims/%,own_phdr spoils_asan) $(filter %.so,$(VICTIMS))
MUSL_VICTIMS = $(patsubst $(B)/%,$(B)/musl/%,$(filter-out $(ONLY_GLIBC),$(VICTIMS)))
MUSL_CC := $(shell command -v musl-gcc)

# The kernel's headers, and no others of this machine.
$(B)/musl/include:
	$(Q)mkdir -p $@; for d in linux asm asm-generic; do \
		ln -sfn "$$(dirname "$$(echo '#include <'$$d/errno.h'>' | $(CC) -M -xc - | grep -o '/[^ ]*'$$d/errno.h)")" $@/$$d; done

$(B)/musl/%: %.c | $(B)/musl/include
	@mkdir -p $(@D); echo "  CC   $< (musl)"
	$(Q)$(MUSL_CC) $(BASE) $(CFLAGS) -idirafter $(B)/musl/include -pthread -o $@ $<

$(if $(MUSL_CC),tests: $(MUSL_VICTIMS))

# Suites whose victims open sockets; not those of what only glibc has, and of costs.
LIBC_SUITES = bind_no_port boundary counts faults handed_over inherited invisible keepalive linger linger_rst log \
	log_when memory model names only_skip opens other_libraries override pointers port_range port_search reuseaddr \
	rules run run_result run_signals sandboxes settle silence source streams strict syn_retries threads tree ways
empty :=
space := $(empty) $(empty)
LIBC_FILTER = @($(subst $(space),|,$(strip $(LIBC_SUITES))))/*

check-musl: all tests ## the tests of the library once more, with programs of musl (musl-gcc)
	$(Q)if [ -z "$(MUSL_CC)" ]; then echo "check-musl: skipped, there is no musl-gcc (make test-deps)"; \
		else VICTIMS=musl $(B)/tests/check -j2 --filter '$(LIBC_FILTER)'; fi
.PHONY: check-musl
