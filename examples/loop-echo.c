/* Echoes what it reads, says how much when interrupted, and gives up after 10 s of silence.
 *
 *     loop-echo                         talk to it; end with Ctrl-C, Ctrl-D, or by waiting
 *     loop-echo < FILE                  files work as well as terminals and pipes
 *
 * Other programs may share standard input, so it stays as it is, blocking, and is read once a call.
 */
#include <netstack/loop.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SILENCE_NS (10 * NST_LOOP_SECOND)

struct echo {
    struct nst_loop_fd input;
    struct nst_loop_timer silence;
    struct nst_loop_signal interrupt;
    size_t echoed_bytes;
};

static bool on_input(struct nst_loop *loop, struct nst_loop_fd *source, unsigned events,
                     unsigned budget)
{
    struct echo *echo = source->arg;
    char bytes[4096];
    (void)events;
    (void)budget; /* one read a call: with more, we would go on until it is used up */

    ssize_t n = read(source->fd, bytes, sizeof bytes);
    if (n <= 0 || fwrite(bytes, 1, (size_t)n, stdout) != (size_t)n || fflush(stdout) != 0) {
        nst_loop_stop(loop, n != 0);
        return false;
    }
    echo->echoed_bytes += (size_t)n;
    nst_loop_timer_after(loop, &echo->silence, SILENCE_NS);
    return false;
}

static void on_silence(struct nst_loop *loop, struct nst_loop_timer *timer)
{
    (void)timer;
    fputs("loop-echo: nothing to say\n", stderr);
    nst_loop_stop(loop, 0);
}

static void on_interrupt(struct nst_loop *loop, struct nst_loop_signal *signal,
                         const struct signalfd_siginfo *info)
{
    struct echo *echo = signal->arg;
    (void)info;

    fprintf(stderr, "\nloop-echo: echoed %zu bytes\n", echo->echoed_bytes);
    nst_loop_stop(loop, 0);
}

int main(void)
{
    struct echo echo = {
        .input = {.fn = on_input, .arg = &echo},
        .silence = {.fn = on_silence},
        .interrupt = {.fn = on_interrupt, .arg = &echo},
    };
    struct nst_loop *loop = NULL;
    int err = nst_loop_new(&loop, NULL);

    if (!err)
        err = nst_loop_signal_add(loop, &echo.interrupt, SIGINT);
    if (!err)
        err = nst_loop_fd_add(loop, &echo.input, STDIN_FILENO, NST_LOOP_IN);
    if (!err) {
        nst_loop_timer_after(loop, &echo.silence, SILENCE_NS);
        err = nst_loop_run(loop);
    }
    nst_loop_free(loop);
    if (err < 0)
        fprintf(stderr, "loop-echo: %s\n", strerror(-err));
    return err != 0;
}
