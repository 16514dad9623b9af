#include "command.h"

#include <string.h>

#include "core/base/addr.h"

void command_result(struct world *w, int64_t result)
{
    struct script *s = w->s;
    int64_t want = 0;
    char got[64];

    if (result < 0)
        snprintf(got, sizeof got, "-%s", script_errno_name((int)-result));
    else
        snprintf(got, sizeof got, "%lld", (long long)result);
    bool stated = script_accept(s, "=");
    if (stated && script_peek(s) && *script_peek(s) == '-') {
        want = -script_errno(script_word(s) + 1);
        if (want > 0)
            script_fail(s, "what error is that?");
    } else if (stated) {
        want = (int64_t)script_number(s);
    }
    script_expect_end(s);
    if (stated ? result != want : result < 0)
        script_fail(s, "the result is %s", got);
}

struct world_sock *command_named(struct world *w)
{
    const char *name = script_word(w->s);

    for (unsigned i = w->nsocks; i-- > 0;)
        if (strcmp(w->socks[i].name, name) == 0)
            return &w->socks[i];
    script_fail(w->s, "there is no socket '%s'", name);
}

nst_sock command_sock(struct world *w)
{
    return command_named(w)->sock;
}

const struct world_link *command_link(struct world *w)
{
    return world_link(w, script_accept(w->s, "link") ? script_word(w->s) : NULL);
}

struct nst_route command_route(struct world *w)
{
    struct nst_route r = {0};

    if (script_accept(w->s, "default"))
        r.dst.addr = nst_addr_v4(0, 0, 0, 0);
    else
        r.dst = script_prefix(w->s);
    if (script_accept(w->s, "via"))
        r.gateway = script_addr(w->s);
    if (script_accept(w->s, "metric"))
        r.metric = (uint32_t)script_number(w->s);
    r.link = command_link(w)->link;
    return r;
}

void command_check_sockaddr(struct world *w, const char *what, const struct nst_sockaddr *actual)
{
    struct nst_sockaddr want = script_sockaddr(w->s);
    char text[NST_ADDR_TEXT];

    if (!nst_addr_eq(&want.addr, &actual->addr) || (want.port && want.port != actual->port))
        script_fail(w->s, "%s %s:%u", what, nst_addr_print(text, &actual->addr), actual->port);
}

void command_check_number(struct world *w, const char *what, uint64_t actual)
{
    uint64_t want = script_number(w->s);

    if (want != actual)
        script_fail(w->s, "%s %llu", what, (unsigned long long)actual);
}

bool command_run_one(struct world *w, const struct command *table, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(table[i].name, name) == 0) {
            table[i].run(w);
            return true;
        }
    return false;
}

void command_run(struct world *w)
{
    world_log(w, "  %s", w->s->text + (w->s->words[w->s->at] - w->s->split));
    const char *name = script_word(w->s);
    if (!setup_run(w, name) && !sockets_run(w, name) && !state_run(w, name))
        script_fail(w->s, "'%s' is no command", name);
}
