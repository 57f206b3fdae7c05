/* The exported functions, one for each row of calls.def: to the hook when there is something to do, else
 * straight on. Their C names differ from the exported ones because the headers declare some of the latter
 * with a transparent union. */
#include "shim/shim.h"

#define EXPORT __attribute__((visibility("default")))

#define CALL(result, name, parameters, arguments) \
    EXPORT result af_export_##name parameters __asm__(#name); \
    result af_export_##name parameters { \
        if (AF_LIKELY(af.on)) \
            return af_on_##name arguments; \
        if (AF_UNLIKELY(!af_real.name)) \
            af_resolve(); \
        return af_real.name arguments; \
    }
#define NOT_RAW(...) (__VA_ARGS__, false)
#define SYSTEM_CALL(result, name, parameters, arguments) \
    EXPORT result af_export_##name parameters __asm__(#name); \
    result af_export_##name parameters { \
        if (AF_LIKELY(af.on)) \
            return af_on_##name NOT_RAW arguments; \
        if (AF_UNLIKELY(!af_real.name)) \
            af_resolve(); \
        return af_real.name arguments; \
    }
#define ALIAS(result, name, target, parameters, arguments) \
    EXPORT result af_export_##name parameters __asm__(#name); \
    result af_export_##name parameters { \
        return af_export_##target arguments; \
    }
#define VARIADIC(result, name, parameters)
#define ALSO(name, target)
#include "shim/calls.def"
