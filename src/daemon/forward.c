/* Linux forwards a packet when forwarding is on for the interface that it came in by. That switch,
 * net.ipv4.conf.IFACE.forwarding, is one for the whole host: several instances may need it, one may
 * be killed, and it must be off again when the last one has ended, if it was off before the first.
 *
 * Each instance keeps a record, a file RUN_DIR/NAME.nat, and holds an flock on it for as long as it
 * lives: the kernel lets go of a lock when its holder dies, however it dies, so a record that can
 * be locked belongs to nobody any more. A record names the network namespace and, a line each, the
 * interfaces that are on only for us: they were off when the first instance came, or another living
 * record claims them. Hence
 *
 *   up    claim each interface that is off or claimed; write the record; turn on what is off
 *   down  turn off each interface that we claim and no other living record does; drop the record
 *   sweep down, for each record whose owner is dead
 *
 * each while holding a lock file, so that instances take turns. The record is written before the
 * switch is thrown: a death in between loses nothing. If somebody has meanwhile turned on
 * forwarding for the whole host (net.ipv4.ip_forward), he wants it on, and it is left on. Records
 * and lock are readable by their owner only, since whoever can open a file can lock it. */
#include "daemon/forward.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SUFFIX       ".nat"
#define LOCK_FILE    ".nat.lock"
#define FILE_NAME    64
#define LOCK_TRIES   50 /* of 100 ms each */
#define LOCK_WAIT_NS 100000000

/* An interface that is on only for us. */
struct claim {
    unsigned index;   /* to tell it from a later one of the same name */
    bool host_was_on; /* net.ipv4.ip_forward at the time */
    char name[IF_NAMESIZE];
};

struct record {
    uint64_t netns; /* inode number of the network namespace */
    struct claim claims[NST_FORWARD_INTERFACES];
    size_t n;
};

struct nst_forward {
    int dir;  /* RUN_DIR */
    int file; /* our record, locked; -1: none yet */
    char file_name[FILE_NAME];
    struct record record;
};

/* ---- The switches ------------------------------------------------------------------------ */

/* Opens the switch of an interface, or of the whole host ("all"). A descriptor or -errno. */
static int open_switch(const char *ifname, int flags)
{
    char path[96];

    snprintf(path, sizeof path, "/proc/sys/net/ipv4/conf/%s/forwarding", ifname);
    int fd = open(path, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* 0 or 1, or -errno. */
static int read_switch(const char *ifname)
{
    char digit;
    int fd = open_switch(ifname, O_RDONLY);

    if (fd < 0)
        return fd;
    ssize_t n = read(fd, &digit, 1);
    int r = n < 0 ? -errno : n == 0 ? -EIO : digit != '0';
    close(fd);
    return r;
}

static int write_switch(const char *ifname, bool on)
{
    int fd = open_switch(ifname, O_WRONLY);

    if (fd < 0)
        return fd;
    int r = write(fd, on ? "1" : "0", 1) < 0 ? -errno : 0;
    close(fd);
    return r;
}

static int turn_on(const char *ifname, struct nst_fault *fault)
{
    int r = write_switch(ifname, true);

    if (r == -EROFS)
        return nst_fault_set(fault, r,
                             "cannot turn on IPv4 forwarding for %s because /proc/sys is read-only "
                             "here: turn on net.ipv4.ip_forward from outside, or leave out --nat",
                             ifname);
    return r < 0 ? nst_fault_system(fault, r, "cannot turn on IPv4 forwarding for %s", ifname) : 0;
}

/* Undoes a claim. The interface may have gone, and forwarding may have become the host's wish. */
static int turn_off(const struct claim *claim, struct nst_fault *fault)
{
    if (if_nametoindex(claim->name) != claim->index)
        return 0;
    if (!claim->host_was_on && read_switch("all") == 1)
        return 0;
    int r = write_switch(claim->name, false);
    return r < 0 ? nst_fault_system(fault, r, "cannot turn off IPv4 forwarding for %s again",
                                    claim->name)
                 : 0;
}

/* ---- Records ----------------------------------------------------------------------------- */

static uint64_t current_netns(void)
{
    struct stat st;

    return stat("/proc/thread-self/ns/net", &st) == 0 ? st.st_ino : 0;
}

/* Reads one claim. False if it is none. */
static bool read_claim(json_t *entry, struct claim *out)
{
    const char *name;
    int index, host;

    if (json_unpack(entry, "{s:s, s:i, s:b}", "interface", &name, "index", &index, "ip_forward",
                    &host) != 0)
        return false;
    *out = (struct claim){.index = (unsigned)index, .host_was_on = host};
    snprintf(out->name, sizeof out->name, "%s", name);
    return true;
}

/* Reads a record; one that is cut short or garbled claims nothing. */
static void read_record(int file, struct record *out)
{
    json_int_t netns;
    json_t *entries, *entry;
    size_t i;

    *out = (struct record){0};
    if (lseek(file, 0, SEEK_SET) < 0)
        return;
    json_t *record = json_loadfd(file, JSON_DISABLE_EOF_CHECK, NULL);
    if (record && json_unpack(record, "{s:I, s:o}", "netns", &netns, "on", &entries) == 0) {
        out->netns = (uint64_t)netns;
        json_array_foreach(entries, i, entry)
        {
            if (out->n < NST_FORWARD_INTERFACES && read_claim(entry, &out->claims[out->n]))
                out->n++;
        }
    }
    json_decref(record);
}

static int write_record(int file, const struct record *record)
{
    json_t *entries = json_array();

    for (size_t i = 0; i < record->n; i++) {
        const struct claim *claim = &record->claims[i];
        json_array_append_new(entries,
                              json_pack("{s:s, s:i, s:b}", "interface", claim->name, "index",
                                        (int)claim->index, "ip_forward", claim->host_was_on));
    }
    json_t *whole = json_pack("{s:I, s:o}", "netns", (json_int_t)record->netns, "on", entries);
    int r = whole ? json_dumpfd(whole, file, 0) : -1;
    json_decref(whole);
    return r < 0 ? -EIO : 0;
}

static bool is_claimed_by(const struct record *record, unsigned index)
{
    for (size_t i = 0; i < record->n; i++) {
        if (record->claims[i].index == index)
            return true;
    }
    return false;
}

/* ---- The directory of records ------------------------------------------------------------ */

/* Waits for the lock on `file`. Others need a few milliseconds; the limit is for one that was
 * stopped meanwhile. 0 or -errno. */
static int wait_for(int file)
{
    static const struct timespec pause = {.tv_nsec = LOCK_WAIT_NS};

    for (int tries = 0; flock(file, LOCK_EX | LOCK_NB) < 0; tries++) {
        if (errno != EWOULDBLOCK || tries == LOCK_TRIES)
            return -errno;
        nanosleep(&pause, NULL);
    }
    return 0;
}

/* Takes our turn: a descriptor of the lock file, or -errno. The file is there only while its lock
 * is held; who locked one that was removed meanwhile tries again. */
static int lock_dir(int dir)
{
    for (;;) {
        struct stat st;
        int file = openat(dir, LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (file < 0)
            return -errno;
        int r = wait_for(file);
        if (r == 0 && fstat(file, &st) == 0 && st.st_nlink > 0)
            return file;
        close(file);
        if (r < 0)
            return r;
    }
}

static void unlock_dir(int dir, int lock)
{
    unlinkat(dir, LOCK_FILE, 0);
    close(lock);
}

static bool is_record_name(const char *name)
{
    size_t len = strlen(name), suffix = strlen(SUFFIX);

    return len > suffix && len < FILE_NAME && strcmp(name + len - suffix, SUFFIX) == 0;
}

/* Opens a record that we can trust: a plain file of root or of ourselves. A descriptor or -errno.
 */
static int open_record(int dir, const char *name)
{
    struct stat st;
    int file = openat(dir, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

    if (file < 0)
        return -errno;
    if (fstat(file, &st) == 0 && S_ISREG(st.st_mode) && (st.st_uid == 0 || st.st_uid == geteuid()))
        return file;
    close(file);
    return -EINVAL;
}

/* The name of the next record in a directory listing, or NULL. */
static const char *next_record(DIR *list)
{
    const struct dirent *entry;

    while ((entry = readdir(list))) {
        if (is_record_name(entry->d_name))
            return entry->d_name;
    }
    return NULL;
}

static DIR *list_records(int dir)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return copy < 0 ? NULL : fdopendir(copy);
}

/* Locks a record if its owner is dead. */
static bool is_dead(int file)
{
    return flock(file, LOCK_EX | LOCK_NB) == 0;
}

/* Whether the record `name` is that of a living instance that claims the interface. One that we may
 * not open might be. */
static bool claims(int dir, const char *name, uint64_t netns, unsigned index)
{
    struct record record;
    int file = open_record(dir, name);

    if (file < 0)
        return file == -EACCES;
    read_record(file, &record);
    bool found = !is_dead(file) && record.netns == netns && is_claimed_by(&record, index);
    close(file);
    return found;
}

/* Whether any but the record `self` does. */
static bool is_claimed(int dir, const char *self, uint64_t netns, unsigned index)
{
    bool claimed = false;
    const char *name;
    DIR *list = list_records(dir);

    while (list && !claimed && (name = next_record(list)))
        claimed = strcmp(name, self) != 0 && claims(dir, name, netns, index);
    if (list)
        closedir(list);
    return claimed;
}

/* Undoes all that a record claims alone, and removes it. 0 or the first failure. */
static int undo(int dir, const char *name, int file, const struct record *record,
                struct nst_fault *fault)
{
    int first = 0;

    for (size_t i = 0; i < record->n; i++) {
        if (is_claimed(dir, name, record->netns, record->claims[i].index))
            continue;
        int r = turn_off(&record->claims[i], fault);
        first = first ? first : r;
    }
    if (first == 0 && unlinkat(dir, name, 0) < 0 && ftruncate(file, 0) < 0)
        first = nst_fault_system(fault, -errno, "cannot remove the record %s", name);
    return first;
}

/* Undoes what one record claims, if its owner is dead and was in our network namespace. */
static int sweep_record(int dir, const char *name, uint64_t netns, struct nst_fault *fault)
{
    struct record record;
    int r = 0, file = open_record(dir, name);

    if (file < 0)
        return 0;
    read_record(file, &record);
    if (is_dead(file) && (record.netns == netns || record.n == 0))
        r = undo(dir, name, file, &record, fault);
    close(file);
    return r;
}

/* Undoes what the dead left. 0 or the first failure. */
static int sweep(int dir, struct nst_fault *fault)
{
    const char *name;
    int first = 0;
    uint64_t netns = current_netns();
    DIR *list = list_records(dir);

    if (!list)
        return nst_fault_system(fault, -errno, "cannot look for records of earlier instances");
    while ((name = next_record(list))) {
        int r = sweep_record(dir, name, netns, fault);
        first = first ? first : r;
    }
    closedir(list);
    return first;
}

/* ---- Up and down ------------------------------------------------------------------------- */

static int open_dir(const char *run_dir)
{
    int dir = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return dir < 0 ? -errno : dir;
}

/* Opens the directory of records, which is made if need be, and takes our turn in it. */
static int enter_dir(const char *run_dir, int *dir, int *lock, struct nst_fault *fault)
{
    *dir = open_dir(run_dir);
    if (*dir == -ENOENT && mkdir(run_dir, 0755) == 0)
        *dir = open_dir(run_dir);
    if (*dir < 0) {
        nst_fault_system(fault, *dir, "cannot use the directory %s", run_dir);
        return *dir;
    }
    *lock = lock_dir(*dir);
    if (*lock >= 0)
        return 0;
    nst_fault_system(fault, *lock, "cannot lock %s/" LOCK_FILE, run_dir);
    close(*dir);
    return *lock;
}

static int make_record(struct nst_forward *f, struct nst_fault *fault)
{
    f->file = openat(f->dir, f->file_name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (f->file < 0)
        return nst_fault_system(fault, -errno, "cannot make the record %s", f->file_name);
    if (!is_dead(f->file)) {
        close(f->file);
        f->file = -1;
        return nst_fault_set(fault, -EBUSY,
                             "another instance of this name is using --nat: stop it with 'netstack "
                             "down', or choose another --name");
    }
    if (ftruncate(f->file, 0) < 0)
        return nst_fault_system(fault, -errno, "cannot write the record %s", f->file_name);
    return 0;
}

/* Notes an interface that is off, or on only for others like us. `is_on` is its switch. */
static int claim(struct nst_forward *f, const char *ifname, bool *is_on, struct nst_fault *fault)
{
    unsigned index = if_nametoindex(ifname);
    int on = index ? read_switch(ifname) : -ENODEV;
    int host = read_switch("all");

    if (on < 0)
        return nst_fault_system(fault, on, "cannot look at IPv4 forwarding of %s", ifname);
    *is_on = on;
    if (on && !is_claimed(f->dir, f->file_name, f->record.netns, index))
        return 0;
    struct claim *c = &f->record.claims[f->record.n++];
    *c = (struct claim){.index = index, .host_was_on = host == 1};
    snprintf(c->name, sizeof c->name, "%.*s", IF_NAMESIZE - 1, ifname);
    return 0;
}

/* With the directory locked. */
static int set_up(struct nst_forward *f, const char *const *ifnames, size_t n,
                  struct nst_fault *fault)
{
    bool is_on[NST_FORWARD_INTERFACES] = {false};
    int r = sweep(f->dir, fault);

    if (r == 0)
        r = make_record(f, fault);
    f->record.netns = current_netns();
    for (size_t i = 0; i < n && r == 0; i++)
        r = claim(f, ifnames[i], &is_on[i], fault);
    if (r == 0) {
        r = write_record(f->file, &f->record);
        if (r < 0)
            nst_fault_system(fault, r, "cannot write the record %s", f->file_name);
    }
    for (size_t i = 0; i < n && r == 0; i++)
        r = is_on[i] ? 0 : turn_on(ifnames[i], fault);
    return r;
}

static void end(struct nst_forward *f)
{
    if (f->file >= 0)
        close(f->file);
    close(f->dir);
    free(f);
}

int nst_forward_up(struct nst_forward **out, const char *run_dir, const char *name,
                   const char *const *ifnames, size_t n, struct nst_fault *fault)
{
    int lock;
    struct nst_forward *f = calloc(1, sizeof *f);

    if (!f)
        return nst_fault_system(fault, -ENOMEM, "cannot turn on IPv4 forwarding");
    int r = enter_dir(run_dir, &f->dir, &lock, fault);
    if (r < 0) {
        free(f);
        return r;
    }
    f->file = -1;
    snprintf(f->file_name, sizeof f->file_name, "%.*s" SUFFIX, FILE_NAME - 8, name);
    r = set_up(f, ifnames, n, fault);
    if (r < 0 && f->file >= 0) {
        struct nst_fault ignored;
        undo(f->dir, f->file_name, f->file, &f->record, &ignored);
    }
    unlock_dir(f->dir, lock);
    if (r < 0)
        end(f);
    else
        *out = f;
    return r;
}

int nst_forward_down(struct nst_forward *f, struct nst_fault *fault)
{
    struct nst_fault ignored;

    if (!f)
        return 0;
    int lock = lock_dir(f->dir), r = lock;
    if (lock < 0) {
        nst_fault_system(fault, lock, "cannot turn off IPv4 forwarding again");
    } else {
        r = undo(f->dir, f->file_name, f->file, &f->record, fault);
        sweep(f->dir, &ignored); /* the dead need what we needed no longer either */
        unlock_dir(f->dir, lock);
    }
    end(f);
    return r;
}

int nst_forward_sweep(const char *run_dir, struct nst_fault *fault)
{
    int dir, lock;

    if (access(run_dir, F_OK) < 0)
        return 0;
    int r = enter_dir(run_dir, &dir, &lock, fault);
    if (r < 0)
        return r;
    r = sweep(dir, fault);
    unlock_dir(dir, lock);
    close(dir);
    return r;
}
