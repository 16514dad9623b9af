/* Makes trapped calls for as long as it is told to in a way that no honest program does: with
 * random arguments, on descriptors that other threads close, replace and exchange, and with memory
 * that other threads write to, protect and take away. Nothing of it may harm the supervisor. */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    FIRST_FD = 100, /* those that are played with */
    FDS = 16,
    LEN = 4 * 4096,
};

static const long CALLS[] = {
    SYS_bind,       SYS_listen,     SYS_connect,     SYS_accept,      SYS_accept4,  SYS_sendto,
    SYS_recvfrom,   SYS_sendmsg,    SYS_recvmsg,     SYS_sendmmsg,    SYS_recvmmsg, SYS_ioctl,
    SYS_getsockopt, SYS_setsockopt, SYS_getsockname, SYS_getpeername,
};

static uint8_t *memory;
static atomic_bool over;

static unsigned below(unsigned *seed, unsigned n)
{
    return (unsigned)rand_r(seed) % n;
}

static int some_descriptor(unsigned *seed)
{
    return FIRST_FD + (int)below(seed, FDS);
}

/* Numbers that mean something now and then. */
static long some_number(unsigned *seed)
{
    static const long values[] = {0, 1, 2, 4, 6, 8, 16, 17, 28, 56, 128, 1024, 0x8912, 0x8915, -1};
    long random = rand_r(seed);

    return random % 4 ? values[(unsigned long)random % (sizeof values / sizeof values[0])] : random;
}

static long some_argument(unsigned *seed)
{
    switch (below(seed, 4)) {
    case 0:
        return some_descriptor(seed);
    case 1:
    case 2:
        return (long)(uintptr_t)(memory + below(seed, LEN));
    default:
        return some_number(seed);
    }
}

static void *call(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;

    while (!over) {
        long nr = CALLS[below(&seed, sizeof CALLS / sizeof CALLS[0])];
        long fd = some_descriptor(&seed);
        long args[5];
        for (size_t i = 0; i < 5; i++)
            args[i] = some_argument(&seed);
        if (below(&seed, 4) == 0) /* as if the shim made it, perhaps again */
            args[4] = (long)(UINT64_C(0xf5c1) << 48 | below(&seed, 2));
        syscall(nr, fd, args[0], args[1], args[2] | MSG_DONTWAIT, args[3], args[4]);
    }
    return NULL;
}

/* Descriptors of all kinds come and go; all are non-blocking, so that no call waits for ever. */
static void *shuffle(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;

    while (!over) {
        static const int domains[] = {AF_INET, AF_INET, AF_UNIX};
        int type = below(&seed, 2) ? SOCK_STREAM : SOCK_DGRAM;
        int fd = socket(domains[below(&seed, 3)], type | SOCK_NONBLOCK, 0);
        if (fd < 0)
            continue;
        dup2(fd, some_descriptor(&seed));
        close(fd);
        if (below(&seed, 2))
            dup2(some_descriptor(&seed), some_descriptor(&seed));
    }
    return NULL;
}

/* Addresses and structures change under the calls, and their pages go. */
static void *disturb(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    while (!over) {
        uint8_t *page = memory + below(&seed, LEN / 4096) * 4096;
        mprotect(page, 4096, below(&seed, 3) ? PROT_READ | PROT_WRITE : PROT_NONE);
        if (below(&seed, 8) == 0)
            mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                 0);
        struct iovec here = {&addr, sizeof addr}, there = {page + below(&seed, 4000), sizeof addr};
        addr.sin_port = htons((uint16_t)(5000 + below(&seed, 8)));
        syscall(SYS_process_vm_writev, getpid(), &here, 1, &there, 1, 0);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static void *(*const threads[])(void *) = {call, call, call, call, shuffle, disturb};
    enum { N = sizeof threads / sizeof threads[0] };
    pthread_t ids[N];

    memory = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (argc != 2 || memory == MAP_FAILED)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    for (uintptr_t i = 0; i < N; i++)
        if (pthread_create(&ids[i], NULL, threads[i], (void *)(i + 1)))
            return 2;
    usleep((useconds_t)atoi(argv[1]) * 1000);
    over = true;
    for (size_t i = 0; i < N; i++)
        pthread_join(ids[i], NULL);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET};
    printf("%s\n",
           fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof addr) == 0 ? "fine" : "ill");
    return 0;
}
