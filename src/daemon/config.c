/* From flags to a configuration.
 *
 * The flags are read twice: first only for --help and --config, so that the file can be read before
 * the flags that override it. */
#include "daemon/config.h"

#include "daemon/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- Flags ----------------------------------------------------------------------------- */

/* One flag as it stands on the command line. */
struct flag {
    const struct nst_setting *row;
    const char *text; /* as written, without its value */
    int text_len;
    const char *value; /* given in the same word; NULL if none was */
};

static const struct nst_setting *find_flag(const char *name, size_t len)
{
    for (size_t i = 0; i < nst_settings_count; i++) {
        const struct nst_setting *row = &nst_settings_table[i];
        if (row->flag && strlen(row->flag) == len && memcmp(row->flag, name, len) == 0)
            return row;
    }
    return NULL;
}

static const struct nst_setting *find_letter(char letter)
{
    for (size_t i = 0; i < nst_settings_count; i++) {
        if (letter && nst_settings_table[i].letter == letter)
            return &nst_settings_table[i];
    }
    return NULL;
}

/* --flag, --flag=value, -f or -fvalue. 0 or -EINVAL. */
static int parse_flag(struct flag *flag, const char *word, struct nst_fault *fault)
{
    size_t len = strcspn(word, "=");

    if (word[0] != '-' || !word[1]) {
        nst_fault_set(fault, -EINVAL, "unexpected argument '%s': see 'netstack up --help'", word);
        return -EINVAL;
    }
    if (word[1] == '-') {
        flag->row = find_flag(word + 2, len - 2);
        flag->value = word[len] ? word + len + 1 : NULL;
    } else {
        flag->row = find_letter(word[1]);
        flag->value = word[2] ? word + 2 : NULL;
        len = 2;
    }
    flag->text = word;
    flag->text_len = (int)len;
    if (flag->row)
        return 0;
    nst_fault_set(fault, -EINVAL, "unknown flag %.*s: see 'netstack up --help'", flag->text_len,
                  word);
    return -EINVAL;
}

/* Finds the flag's value, in its word or in the next one, and moves past it. */
static int take_value(struct nst_settings *s, struct flag *flag, int argc, char *const argv[],
                      int *at, struct nst_fault *fault)
{
    if (!flag->row->arg) {
        if (flag->value)
            return nst_fault_set(fault, -EINVAL, "%.*s takes no value, but was given '%s'",
                                 flag->text_len, flag->text, flag->value);
        flag->value = flag->row->implied;
        return 0;
    }
    if (!flag->value && *at < argc && argv[*at][0] != '-')
        flag->value = argv[(*at)++];
    if (!flag->value)
        return nst_fault_set(fault, -EINVAL, "%.*s needs a value: expected %s", flag->text_len,
                             flag->text, flag->row->set(s, ""));
    return 0;
}

/* Reads all flags; applies those without a file key that steer the reading (`steering`), or all the
 * others. */
static int apply_flags(struct nst_settings *s, int argc, char *const argv[], bool steering,
                       struct nst_fault *fault)
{
    const struct nst_setting *config = find_flag("config", 6), *help = find_flag("help", 4);

    for (int at = 1; at < argc;) {
        struct flag flag = {0};
        int r = parse_flag(&flag, argv[at++], fault);
        if (r == 0)
            r = take_value(s, &flag, argc, argv, &at, fault);
        if (r != 0)
            return r;
        if ((flag.row == config || flag.row == help) != steering)
            continue;
        const char *accepted = flag.row->set(s, flag.value);
        if (accepted)
            return nst_fault_set(fault, -EINVAL, "%.*s %s: expected %s", flag.text_len, flag.text,
                                 flag.value, accepted);
    }
    return 0;
}

/* ---- The whole ------------------------------------------------------------------------- */

static int apply_environment(struct nst_settings *s, struct nst_fault *fault)
{
    const char *name = getenv("NETSTACK_NAME");

    if (!name || !*name)
        return 0;
    const char *accepted = find_flag("name", 4)->set(s, name);
    if (accepted)
        return nst_fault_set(fault, -EINVAL, "$NETSTACK_NAME is '%s': expected %s", name, accepted);
    return 0;
}

int nst_config_parse(struct nst_up_config *config, int argc, char *const argv[],
                     struct nst_fault *fault)
{
    struct nst_settings s = {.config = config};

    *config = (struct nst_up_config){
        .name = "default",
        .device = "tun0",
        .mtu = 1500,
        .queue_pkts = 1000,
        .queues = 1,
        .ecn = NST_TCP_ECN_ACCEPT,
        .fastopen = NST_TCP_FASTOPEN_CLIENT,
        .mtu_probing = NST_TCP_MTU_PROBING_OFF,
        .recovery = NST_TCP_RECOVERY_ALL,
        .metrics = NST_TCP_METRICS_PATH,
        .offload = true,
        .sandbox = NST_SANDBOX,
        .log_level = NST_UP_LOG_INFO,
        .congestion = "cubic",
        .pacing = true,
    };
    int r = apply_flags(&s, argc, argv, true, fault);
    if (s.help)
        return NST_CONFIG_HELP;
    if (r == 0)
        r = apply_environment(&s, fault);
    if (r == 0 && s.file)
        r = nst_settings_read(&s, fault);
    if (r == 0)
        r = apply_flags(&s, argc, argv, false, fault);
    return r == 0 ? nst_settings_finish(&s, fault) : r;
}

const char *nst_config_kind(enum nst_device_kind kind)
{
    static const char *const kinds[] = {
        [NST_DEVICE_TAP] = "tap", [NST_DEVICE_TUN] = "tun", [NST_DEVICE_PACKET] = "packet"};

    return kinds[kind];
}

/* ---- Help ------------------------------------------------------------------------------ */

#define HELP_COLUMN 32

/* The help text, whose further lines are laid under the first. */
static void print_help(FILE *out, const char *help)
{
    size_t len = strcspn(help, "\n");

    fprintf(out, "%.*s\n", (int)len, help);
    if (help[len]) {
        fprintf(out, "%*s", HELP_COLUMN, "");
        print_help(out, help + len + 1);
    }
}

void nst_config_usage(FILE *out)
{
    fputs("Usage: netstack up [flag ...]\n"
          "Starts the stack on a network device.\n\n",
          out);
    for (size_t i = 0; i < nst_settings_count; i++) {
        const struct nst_setting *row = &nst_settings_table[i];
        char letter[] = {'-', row->letter, ',', ' ', 0};
        if (!row->flag)
            continue;
        int column = fprintf(out, "  %4s--%s %s", row->letter ? letter : "", row->flag,
                             row->arg ? row->arg : "");
        if (column >= HELP_COLUMN) {
            fputc('\n', out);
            column = 0;
        }
        fprintf(out, "%*s", HELP_COLUMN - column, "");
        print_help(out, row->help);
    }
    fputs("\nSee netstack-up(1), and netstack.conf(5) for the file.\n", out);
}
