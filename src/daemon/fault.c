#include "daemon/fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int nst_fault_set(struct nst_fault *fault, int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(fault->text, sizeof fault->text, format, args);
    va_end(args);
    return error;
}

static const char *remedy(int error)
{
    if (error == -EPERM || error == -EACCES)
        return ": run this as root, or give it CAP_NET_ADMIN";
    return "";
}

int nst_fault_system(struct nst_fault *fault, int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(fault->text, sizeof fault->text, format, args);
    va_end(args);
    size_t len = strlen(fault->text);
    snprintf(fault->text + len, sizeof fault->text - len, ": %s%s", strerror(-error),
             remedy(error));
    return error;
}
