# The library for programs of 32 bits (i386) beside that of x86_64, where a compiler for them is there: I386_CC, a cross
# compiler, gcc's multilib, or clang with libc6-dev-i386. `I386_CC=` builds none.

# With the kernel's headers of this machine, and its own run-time library.
HASH := \#
CLANG_32 = clang -m32 --rtlib=compiler-rt --unwindlib=none -Wno-unused-command-line-argument \
	$(patsubst %,-idirafter %,$(wildcard /usr/include/x86_64-linux-gnu))
ifneq ($(IS_I386)$(if $(filter x86_64-%,$(MACHINE)),,other),)
I386_CC :=
else ifeq ($(origin I386_CC),undefined)
I386_CC := $(shell for cc in i686-linux-gnu-gcc 'gcc -m32' '$(CLANG_32)'; do \
	printf '$(HASH)include <errno.h>\nint main(void) { return errno; }\n' | $$cc -xc -o /dev/null - 2>/dev/null && echo "$$cc" && break; done)
endif
# Where both are installed, links beside the one of this machine lead to either, by LD_PRELOAD.
I386_LIBDIR ?= $(PREFIX)/lib/i386-linux-gnu
I386 = $(if $(I386_CC),$(B)/libafterfin/i686/libafterfin.so)
all: $(I386)

$(B)/libafterfin/i686/libafterfin.so: $(B)/i386/libafterfin.so dist/platforms.sh
	$(Q)sh dist/platforms.sh $(B) $(B)/i386

$(B)/i386/libafterfin.so: FORCE
	+$(Q)$(MAKE) B=$(B)/i386 CC='$(I386_CC)' I386_CC= $@
