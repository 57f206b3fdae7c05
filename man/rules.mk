# Man pages and completion, with the lists that man/list.c puts into them; and what goes where.

DOCS = $(addprefix $(B)/man/afterfin.,1 5 7 bash)
TO = $(DESTDIR)$(PREFIX)

# Run while it is built: for this machine, whichever the compiler is for.
BUILD_CC ?= $(if $(findstring -gcc,$(CC)),gcc,$(CC))

$(B)/own/%.o: %.c
	@mkdir -p $(@D); echo "  CC   $<"
	$(Q)$(BUILD_CC) $(BASE) $(CFLAGS) -c -o $@ $<

$(B)/list: $(B)/own/man/list.o $(B)/own/policy/keys.o
	@echo "  LINK $@"
	$(Q)$(BUILD_CC) $(CFLAGS) $(LDFLAGS) -o $@ $^

$(B)/man/afterfin.%: man/afterfin.%.in $(B)/list
	@mkdir -p $(@D); echo "  DOC  $@"
	$(Q)$(B)/list $(if $(filter bash,$*),bash,roff) <$< >$@

docs: $(DOCS) ## build the manual pages and the completion

install: all ## install below PREFIX (/usr/local), the library in LIBDIR; DESTDIR goes before
	@echo "  INSTALL $(TO)"
	$(Q)install -D -m 644 -t $(DESTDIR)$(LIBDIR) $(B)/libafterfin.so
	$(if $(I386),$(Q)install -D -m 644 -t $(DESTDIR)$(I386_LIBDIR) $(B)/i386/libafterfin.so)
	$(if $(I386),$(Q)sh dist/platforms.sh $(DESTDIR)$(LIBDIR) $(DESTDIR)$(I386_LIBDIR))
	$(Q)install -D -m 755 -t $(TO)/bin $(B)/afterfin
	$(Q)install -D -m 644 -t $(TO)/share/man/man1 $(B)/man/afterfin.1
	$(Q)install -D -m 644 -t $(TO)/share/man/man5 $(B)/man/afterfin.5
	$(Q)install -D -m 644 -t $(TO)/share/man/man7 $(B)/man/afterfin.7
	$(Q)install -D -m 644 $(B)/man/afterfin.bash $(TO)/share/bash-completion/completions/afterfin

uninstall: ## remove what install has put there
	$(Q)rm -rf $(DESTDIR)$(LIBDIR)/libafterfin
	$(Q)rm -f $(DESTDIR)$(LIBDIR)/libafterfin.so $(DESTDIR)$(I386_LIBDIR)/libafterfin.so $(TO)/bin/afterfin $(addprefix $(TO)/share/,man/man1/afterfin.1 \
		man/man5/afterfin.5 man/man7/afterfin.7 bash-completion/completions/afterfin)

.PHONY: docs install uninstall
