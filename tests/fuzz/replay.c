/* Stands in for libFuzzer where it is not built in: gives a fuzz target each seed of a directory,
 * and VARIANTS of each with bytes changed, left out or put in twice. The same in every run. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/bytes.h"
#include "core/base/prng.h"

#include "tape.h"

#define SEED_MAX 2048
#ifndef VARIANTS
#define VARIANTS 2000
#endif

static size_t below(struct nst_prng *prng, size_t n)
{
    return n ? (size_t)nst_prng_below(prng, n) : 0;
}

/* One step away from the input, mostly a small one; returns its new length. */
static size_t vary(struct nst_prng *prng, uint8_t *p, size_t len)
{
    size_t at = below(prng, len), n = below(prng, nst_min(len - at, 16));

    switch (below(prng, 8)) {
    case 0:
        memmove(p + at, p + at + n, len - at - n);
        return len - n;
    case 1:
        n = nst_min(n, SEED_MAX - len);
        memmove(p + at + n, p + at, len - at);
        return len + n;
    default:
        if (len)
            p[at] = (uint8_t)nst_prng_next(prng);
        return len;
    }
}

/* In a block of its own, behind which a sanitizer sees what is read. */
static void run(const uint8_t *p, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);

    if (!copy)
        abort();
    memcpy(copy, p, len);
    LLVMFuzzerTestOneInput(copy, len);
    free(copy);
}

static void replay(const char *path)
{
    uint8_t seed[SEED_MAX], variant[SEED_MAX];
    struct nst_prng prng;
    FILE *file = fopen(path, "rb");

    if (!file)
        return;
    size_t len = fread(seed, 1, sizeof seed, file);
    fclose(file);
    run(seed, len);
    nst_prng_init(&prng, (const uint8_t[32]){0}, "replay");
    for (int i = 0; i < VARIANTS; i++) {
        size_t n = len;
        memcpy(variant, seed, len);
        for (size_t steps = 1 + below(&prng, 8); steps > 0; steps--)
            n = vary(&prng, variant, n);
        run(variant, n);
    }
}

int main(int argc, char **argv)
{
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    char path[4096];
    int seeds = 0;

    if (!dir) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
        replay(path);
        seeds++;
    }
    closedir(dir);
    printf("%d seeds\n", seeds);
    return seeds ? 0 : 1;
}
