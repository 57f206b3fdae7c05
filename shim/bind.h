/* Entries of other libraries' tables of relocations, which lead to libc and are to lead here. */
#ifndef AFTERFIN_SHIM_BIND_H
#define AFTERFIN_SHIM_BIND_H

#include "shim/object.h"

enum { AF_OWN_NAMESPACE = -1, AF_LATER = 96 };

/* A library that was opened, and what came with it. */
struct af_opening {
    void *handle;
    unsigned n_before;       /* objects that were there before */
    unsigned long long gone; /* ... and how many had gone until then */
    unsigned at;
    struct object ours;
    struct range libc[2]; /* before 2.34 libpthread has a part of it */
    int place;            /* in whose stead the calls are made (namespace.c), or AF_OWN_NAMESPACE */
    /* An entry that is not bound yet leads into its library itself: dlsym tells what it would be bound to, ahead of time.
     * But dlsym waits for who is in dlopen, who may wait for who walks through the objects: it is asked in between. */
    struct name asked;
    struct {
        void *function; /* what would be bound in its place */
        bool is_libcs;
    } later[AF_LATER];
    unsigned n_later;
};

/* Every function, and other symbol, that a library has from elsewhere, by its entry; until the visitor says false. */
typedef bool af_visit(void *context, const char *name, void **entry);
bool af_each_import(const struct dl_phdr_info *info, const struct object *object, af_visit *visit, void *context);

/* Binds what it can; false: dlsym has to be asked for `asked` first, and all of it is to be done again. */
bool af_bind_library(struct af_opening *o, const struct dl_phdr_info *info, const struct object *object);
void af_ask_later(struct af_opening *o);

/* Where the caller of dlopen, at this address, and its search path make no difference. */
bool af_any_caller(const char *file, const void *at);

/* namespace.c: the function of this name that another namespace's libraries are to call, or NULL. */
void *af_elsewhere(const char *name, int place);

/* To be the caller's call, and not ours. */
#if defined __has_attribute && __has_attribute(musttail)
#define AF_JUMPS
#define AF_JUMP __attribute__((musttail)) return
#else
#define AF_JUMPS __attribute__((optimize("O2")))
#define AF_JUMP return
#endif

#endif
