# Man pages and completion, with the lists that man/list.c puts into them; and what goes where.

DOCS = $(addprefix $(B)/man/afterfin.,1 7 bash)
TO = $(DESTDIR)$(PREFIX)

$(B)/list: $(B)/obj/man/list.o $(B)/obj/policy/keys.o
	@echo "  LINK $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^

$(B)/man/afterfin.%: man/afterfin.%.in $(B)/list
	@mkdir -p $(@D); echo "  DOC  $@"
	$(Q)$(B)/list $(if $(filter bash,$*),bash,roff) <$< >$@

docs: $(DOCS) ## build the manual pages and the completion

readme: $(B)/list ## write the lists in README.md anew
	$(Q)$< markdown <README.md >$(B)/README.md && cp $(B)/README.md README.md

install: all ## install below PREFIX (/usr/local); DESTDIR goes before it
	@echo "  INSTALL $(TO)"
	$(Q)install -D -m 644 -t $(TO)/lib $(B)/libafterfin.so
	$(Q)install -D -m 755 -t $(TO)/bin $(B)/afterfin
	$(Q)install -D -m 644 -t $(TO)/share/man/man1 $(B)/man/afterfin.1
	$(Q)install -D -m 644 -t $(TO)/share/man/man7 $(B)/man/afterfin.7
	$(Q)install -D -m 644 $(B)/man/afterfin.bash $(TO)/share/bash-completion/completions/afterfin

uninstall: ## remove what install has put there
	$(Q)rm -f $(TO)/lib/libafterfin.so $(TO)/bin/afterfin $(addprefix $(TO)/share/,man/man1/afterfin.1 \
		man/man7/afterfin.7 bash-completion/completions/afterfin)

.PHONY: docs readme install uninstall
