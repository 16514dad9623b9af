/* netstack/loop.h: an event loop for one thread.
 *
 * A loop waits for things to happen and calls functions of yours. What it waits for are *sources*:
 *
 *     struct nst_loop_fd       a file descriptor became readable or writable
 *     struct nst_loop_timer    a moment has come
 *     struct nst_loop_task     run this soon, but not from here
 *     struct nst_loop_signal   the process got a signal
 *     struct nst_loop_wake     another thread, or a signal handler, wants attention
 *     struct nst_loop_prepare  the loop is about to sleep
 *
 * A source is a struct of yours, usually a member of the object that it serves. Zero it, set `fn`
 * (and `arg`, if you like), and hand it to the loop; there is no other initialisation, nothing to
 * free, and of all calls below only nst_loop_new() and nst_loop_fd_add() ever allocate memory.
 *
 *     static void on_tick(struct nst_loop *loop, struct nst_loop_timer *timer)
 *     {
 *         puts("tick");
 *         nst_loop_timer_start(loop, timer, timer->deadline_ns + NST_LOOP_SECOND);
 *     }
 *
 *     struct nst_loop_timer tick = {.fn = on_tick};
 *     nst_loop_timer_after(loop, &tick, NST_LOOP_SECOND);
 *     int code = nst_loop_run(loop);
 *
 * A source is *active* from the call that hands it to the loop until it is taken back, or, for the
 * kinds that fire once (timers and tasks), until just before its function is called. While it is
 * active it must not be moved, copied, zeroed or freed. Its `loop` member is non-NULL exactly then.
 *
 * Any source may be taken back at any time, from inside any callback: itself, or another one that
 * has already fired and waits for its turn. A source that was taken back is never called again,
 * its memory is yours at once, and its file descriptor may be closed and its number reused at once.
 * Taking back an idle source does nothing.
 *
 * The loop runs in *turns*: call the prepare functions; sleep; then call every timer that is due,
 * every file descriptor that is ready, and every task that is posted, each of them once. What
 * becomes due meanwhile waits for the next turn. So each kind gets its share of each turn, and a
 * source that never has enough can slow the others down by its budget, but can't starve them. While
 * there is one that has work left, its turns follow each other without asking the kernel which
 * descriptors are ready, signals and wake-ups among them; but every NST_LOOP_ASK_NS it is asked.
 *
 * A loop belongs to the thread that uses it. Only nst_loop_wake_send() may be called from
 * elsewhere.
 *
 * Calls that may fail return 0 or a negative errno. Those that return nothing can't fail; they
 * assert that the source has a function. Times are in nanoseconds on CLOCK_MONOTONIC, which doesn't
 * jump when somebody sets the clock, and stands still while the machine is suspended.
 */
#ifndef NETSTACK_LOOP_H
#define NETSTACK_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define NST_LOOP_MUST_USE __attribute__((warn_unused_result))

#define NST_LOOP_NEVER  UINT64_MAX           /* a deadline that doesn't come, a sleep without end */
#define NST_LOOP_MSEC   UINT64_C(1000000)    /* one millisecond, in ns */
#define NST_LOOP_SECOND UINT64_C(1000000000) /* one second, in ns */
#define NST_LOOP_BUDGET 64u                  /* an fd's budget unless it states its own */
#define NST_LOOP_ASK_NS UINT64_C(50000)      /* how long fds that become ready wait for busy ones */

struct nst_loop;
struct signalfd_siginfo; /* from <sys/signalfd.h> */

/* Not for you: how the loop keeps sources in lists. */
struct nst_loop_link {
    struct nst_loop_link *next, *prev;
};

/* ---- The loop ---- */

struct nst_loop_config {
    /* How long to go on polling before going to sleep. Waking from sleep costs some 5 to 50 us;
     * a positive value here trades processor time for that. 0: sleep at once. */
    uint64_t busy_poll_ns;

    /* Called by the loop's thread before each wait for the kernel, and after it, in this order. In
     * between, and only then, another thread may call all that may be called from inside a
     * callback, if these two keep the loop from going on meanwhile; nst_loop_wake_send() then makes
     * it look at what has changed. NULL: no other thread may. */
    void (*idle)(void *arg);
    void (*resume)(void *arg);
    void *arg;
};

/* Makes a loop in `*out`. `config` may be NULL for the defaults, and is copied.
 * Errors: -EINVAL (`out` is NULL), -ENOMEM, -EMFILE, -ENFILE; `*out` is untouched then. */
NST_LOOP_MUST_USE int nst_loop_new(struct nst_loop **out, const struct nst_loop_config *config);

/* Frees a loop; NULL is fine. Takes back every source that is still active, and gives signals
 * their old mask back: one that arrived meanwhile takes its ordinary effect now. Closes no
 * descriptor of yours. Not from inside a callback. */
void nst_loop_free(struct nst_loop *loop);

/* Turns the loop until nst_loop_stop(). Returns the code given there, or a negative errno if
 * waiting failed, or -EBUSY if called from inside a callback. */
NST_LOOP_MUST_USE int nst_loop_run(struct nst_loop *loop);

/* Turns the loop once, sleeping for at most `timeout_ns` (0: not at all; NST_LOOP_NEVER: until
 * something happens, which includes the interruption by a signal handler). Returns 0, whether or
 * not anything happened, or a negative errno as nst_loop_run() does. It knows nothing of
 * nst_loop_stop(), except that it doesn't sleep while one waits for nst_loop_run(). */
NST_LOOP_MUST_USE int nst_loop_run_once(struct nst_loop *loop, uint64_t timeout_ns);

/* Ends nst_loop_run() with `code` when the current turn is done; without a current run, ends the
 * next one before its first turn. Use codes >= 0 for your own ends and -errno for failures. */
void nst_loop_stop(struct nst_loop *loop, int code);

/* The time: inside callbacks the one at which the current turn woke up (or, for prepare functions,
 * began), so that whatever happens in one turn happens at one time; elsewhere the clock's. */
uint64_t nst_loop_now(const struct nst_loop *loop);

/* The clock itself, read now. */
uint64_t nst_loop_clock(void);

/* ---- File descriptors ---- */

/* What a descriptor is ready for; the values are poll(2)'s. You ask for IN, OUT and RDHUP (the
 * other end sends no more); HUP (it has gone) and ERR (an error is pending) come unasked. */
enum nst_loop_events {
    NST_LOOP_IN = 0x01,
    NST_LOOP_OUT = 0x04,
    NST_LOOP_ERR = 0x08,
    NST_LOOP_HUP = 0x10,
    NST_LOOP_RDHUP = 0x2000,
};

/* Asked for together with others: readiness is edge-triggered for this source. The kernel reports
 * it when something has changed, not for as long as it lasts; so data may stay unread for good, and
 * whoever stops before EAGAIN must come back by himself. */
#define NST_LOOP_EDGE (1u << 31)

struct nst_loop_fd;

/* `source` is ready for `events`. Do at most `budget` units of work, whatever your unit is (a
 * packet, a message, a read), and return whether work is left. If so, you are called again in the
 * next turn, whether the kernel reports the descriptor or not, and the loop doesn't sleep until
 * then. If not, you are called when the kernel next finds it ready: readiness is level-triggered
 * (but see NST_LOOP_EDGE), and to leave data unread and return false is not an error. (If you took
 * the source back, what you return is ignored.) `events` is a hint. Another callback may have read
 * the data already, so the descriptor should be non-blocking. */
typedef bool nst_loop_fd_fn(struct nst_loop *loop, struct nst_loop_fd *source, unsigned events,
                            unsigned budget);

struct nst_loop_fd {
    nst_loop_fd_fn *fn;
    void *arg;             /* yours; the loop doesn't look at it */
    unsigned budget;       /* 0: NST_LOOP_BUDGET; may be changed at any time */
    struct nst_loop *loop; /* read only, as is fd */
    int fd;
    /* The loop's own: */
    bool always_ready;
    unsigned interest, ready;
    struct nst_loop_link ready_link;
};

/* Starts watching `fd` for `events`: any of NST_LOOP_IN, NST_LOOP_OUT and NST_LOOP_RDHUP, with
 * NST_LOOP_EDGE if wanted; or 0 for none as yet.
 * The descriptor stays yours. Take the source back *before* closing it.
 * What epoll can't watch (regular files, directories) is always ready, as for poll(2).
 * Errors: -EINVAL (no function, or unknown events), -EEXIST (`source` is active, or `fd` is watched
 * by another source of this loop), -EBADF, -ENOMEM, -ENOSPC (see epoll(7), max_user_watches). */
NST_LOOP_MUST_USE int nst_loop_fd_add(struct nst_loop *loop, struct nst_loop_fd *source, int fd,
                                      unsigned events);

/* Watches for `events` from now on. 0 is a true pause: nothing at all is reported, not even HUP.
 * Pending readiness that is no longer asked for is forgotten.
 * Errors: -EINVAL (not active, or unknown events), -ENOMEM, -ENOSPC; and -EBADF or -ENOENT if `fd`
 * was closed under the loop. On error the source goes on as before. */
NST_LOOP_MUST_USE int nst_loop_fd_modify(struct nst_loop_fd *source, unsigned events);

/* Takes `source` back. */
void nst_loop_fd_del(struct nst_loop_fd *source);

/* ---- Timers ---- */

struct nst_loop_timer;
typedef void nst_loop_timer_fn(struct nst_loop *loop, struct nst_loop_timer *timer);

struct nst_loop_timer {
    nst_loop_timer_fn *fn;
    void *arg;
    struct nst_loop *loop; /* read only, as is deadline_ns */
    uint64_t deadline_ns;
    /* The loop's own: */
    uint64_t order;
    struct nst_loop_timer *child, *next, *prev;
    struct nst_loop_link due_link;
};

/* Calls `timer->fn` once, in the first turn at or after `deadline_ns`, never earlier. A timer that
 * is already active is moved to the new deadline. Timers fire in the order of their deadlines,
 * those with the same one in the order in which they were started. A deadline in the past is due in
 * the next turn; NST_LOOP_NEVER never is. O(1); stopping and firing are O(log n) amortised. */
void nst_loop_timer_start(struct nst_loop *loop, struct nst_loop_timer *timer,
                          uint64_t deadline_ns);

/* The same, `delay_ns` after nst_loop_now(). To tick at a steady pace, rather start the timer again
 * at `timer->deadline_ns` plus the period: delays add up, deadlines don't drift. */
void nst_loop_timer_after(struct nst_loop *loop, struct nst_loop_timer *timer, uint64_t delay_ns);

/* Takes `timer` back. */
void nst_loop_timer_stop(struct nst_loop_timer *timer);

/* ---- Tasks ---- */

struct nst_loop_task;
typedef void nst_loop_task_fn(struct nst_loop *loop, struct nst_loop_task *task);

struct nst_loop_task {
    nst_loop_task_fn *fn;
    void *arg;
    struct nst_loop *loop; /* read only */
    /* The loop's own: */
    struct nst_loop_link link;
};

/* Calls `task->fn` once, at the end of the current turn; posted by a task, or from outside, at the
 * end of the next. Tasks run in the order in which they were posted; one that is already posted
 * keeps its place. */
void nst_loop_task_post(struct nst_loop *loop, struct nst_loop_task *task);

/* Takes `task` back. */
void nst_loop_task_cancel(struct nst_loop_task *task);

/* ---- Signals ---- */

struct nst_loop_signal;

/* The process got `signal->signo`; `info` says from whom and why, see signalfd(2). */
typedef void nst_loop_signal_fn(struct nst_loop *loop, struct nst_loop_signal *signal,
                                const struct signalfd_siginfo *info);

struct nst_loop_signal {
    nst_loop_signal_fn *fn;
    void *arg;
    struct nst_loop *loop; /* read only, as is signo */
    int signo;
};

/* Reports signal `signo` from now on, in ordinary context, instead of letting it take its effect:
 * the calling thread blocks it. Other threads must not leave it unblocked, so add signals before
 * starting threads, which inherit the mask. So do child processes, through exec() too.
 * Errors: -EINVAL (no function, no such signal, or one that can't sensibly be waited for: KILL,
 * STOP, SEGV, BUS, FPE, ILL), -EEXIST (`signal` is active, or this loop has a source for `signo`),
 * -EMFILE, -ENFILE, -ENOMEM. */
NST_LOOP_MUST_USE int nst_loop_signal_add(struct nst_loop *loop, struct nst_loop_signal *signal,
                                          int signo);

/* Takes `signal` back, from the thread that added it. Unless it was blocked before, it is
 * unblocked: if one is pending, it takes its ordinary effect at once. */
void nst_loop_signal_del(struct nst_loop_signal *signal);

/* ---- Wake-ups from other threads ---- */

struct nst_loop_wake;
typedef void nst_loop_wake_fn(struct nst_loop *loop, struct nst_loop_wake *wake);

struct nst_loop_wake {
    nst_loop_wake_fn *fn;
    void *arg;
    struct nst_loop *loop; /* read only */
    /* The loop's own: */
    unsigned sent; /* accessed atomically */
    struct nst_loop_link link;
};

/* Makes `wake` ready for nst_loop_wake_send().
 * Errors: -EINVAL (no function), -EEXIST (active already). */
NST_LOOP_MUST_USE int nst_loop_wake_add(struct nst_loop *loop, struct nst_loop_wake *wake);

/* Makes the loop call `wake->fn` soon, and ends its sleep. From any thread and any signal handler.
 * Several sends before the call become one. What the sender wrote before sending is visible to the
 * function. `wake` must be active: the senders' end is for you to arrange before you take it back.
 */
void nst_loop_wake_send(struct nst_loop_wake *wake);

/* Takes `wake` back. */
void nst_loop_wake_del(struct nst_loop_wake *wake);

/* ---- Before sleeping ---- */

struct nst_loop_prepare;

/* The loop is about to sleep. Returns the time until which it may, in your opinion: when it comes,
 * there is a turn, and you are asked again. NST_LOOP_NEVER if you need nothing; a time that has
 * passed if there is work for a further turn right now. */
typedef uint64_t nst_loop_prepare_fn(struct nst_loop *loop, struct nst_loop_prepare *prepare);

/* The place to do once in a turn what any number of callbacks gave cause for: flush output, or ask
 * a machine with a clock of its own for its next deadline. Functions run in the order of addition.
 */
struct nst_loop_prepare {
    nst_loop_prepare_fn *fn;
    void *arg;
    struct nst_loop *loop; /* read only */
    /* The loop's own: */
    struct nst_loop_link link;
};

/* Calls `prepare->fn` in every turn. Errors: -EINVAL (no function), -EEXIST (active already). */
NST_LOOP_MUST_USE int nst_loop_prepare_add(struct nst_loop *loop, struct nst_loop_prepare *prepare);

/* Takes `prepare` back. */
void nst_loop_prepare_del(struct nst_loop_prepare *prepare);

/* ---- fork() ----
 * The kernel objects behind a loop are shared with a child made by fork(), so the child must not
 * use the parent's loop, but for nst_loop_free(), if the fork wasn't inside a callback: that
 * changes nothing of the parent's, and gives the child its signal mask back. All descriptors of the
 * loop are closed by exec(); the signal mask survives it (posix_spawn(3) can set another). */

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
