#define _GNU_SOURCE
#include "baton_kernels.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Spins before sleeping: some tens of microseconds, the distance between two kernels of a step. */
enum { SPINS = 2000 };

static inline void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

typedef struct {
    _Alignas(64) _Atomic uint32_t ticket; /* counts the jobs that this member was called to */
    _Atomic uint32_t asleep;
    bk_team *team;
    size_t index;
    int core; /* -1: not pinned */
    pthread_t thread;
} member;

struct bk_team {
    size_t started; /* members that run, without the caller */
    bk_team_body body;
    void *context;
    size_t threads;
    bool stop;
    _Alignas(64) _Atomic uint32_t pending;
    _Atomic uint32_t caller_asleep;
    member *members;
};

static void futex_wait(_Atomic uint32_t *word, uint32_t value) {
    syscall(SYS_futex, (uint32_t *)word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}
static void futex_wake(_Atomic uint32_t *word) {
    syscall(SYS_futex, (uint32_t *)word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Returns once *word != value. The sleeper raises its flag before it looks a last time, the waker changes the word
 * before it looks at the flag: one of them sees the other (sequentially consistent atomics). */
static void await_change(_Atomic uint32_t *word, uint32_t value, _Atomic uint32_t *asleep) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(word, memory_order_acquire) != value) return;
        relax();
    }
    atomic_store(asleep, 1);
    while (atomic_load(word) == value) futex_wait(word, value);
    atomic_store(asleep, 0);
}

bool bk_pin_current_thread(int core) {
    if (core < 0 || core >= CPU_SETSIZE) return false;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    return pthread_setaffinity_np(pthread_self(), sizeof set, &set) == 0;
}

static void *member_main(void *argument) {
    member *me = argument;
    bk_team *team = me->team;
    if (me->core >= 0) bk_pin_current_thread(me->core);
    for (uint32_t seen = 0;; seen++) {
        await_change(&me->ticket, seen, &me->asleep);
        if (team->stop) return NULL;
        team->body(team->context, me->index, team->threads);
        if (atomic_fetch_sub(&team->pending, 1) == 1 && atomic_load(&team->caller_asleep)) futex_wake(&team->pending);
    }
}

static void call(member *m) {
    atomic_fetch_add(&m->ticket, 1);
    if (atomic_load(&m->asleep)) futex_wake(&m->ticket);
}

bk_team *bk_team_create(size_t max_threads, const int *cores, size_t core_count) {
    if (max_threads == 0) return NULL;
    bk_team *team = aligned_alloc(64, (sizeof(bk_team) + 63) / 64 * 64);
    if (!team) return NULL;
    *team = (bk_team){0};
    team->members = max_threads > 1 ? aligned_alloc(64, (max_threads - 1) * sizeof(member)) : NULL;
    if (max_threads > 1 && !team->members) {
        free(team);
        return NULL;
    }
    for (size_t i = 0; i + 1 < max_threads; i++) {
        member *m = &team->members[i];
        *m = (member){.team = team, .index = i + 1, .core = i + 1 < core_count ? cores[i + 1] : -1};
        if (pthread_create(&m->thread, NULL, member_main, m) != 0) {
            bk_team_destroy(team);
            return NULL;
        }
        team->started++;
    }
    return team;
}

void bk_team_destroy(bk_team *team) {
    team->stop = true;
    for (size_t i = 0; i < team->started; i++) call(&team->members[i]);
    for (size_t i = 0; i < team->started; i++) pthread_join(team->members[i].thread, NULL);
    free(team->members);
    free(team);
}

void bk_team_run(bk_team *team, size_t threads, bk_team_body body, void *context) {
    if (threads > team->started + 1) threads = team->started + 1;
    if (threads > 1) {
        team->body = body;
        team->context = context;
        team->threads = threads;
        atomic_store(&team->pending, (uint32_t)(threads - 1));
        for (size_t i = 0; i + 1 < threads; i++) call(&team->members[i]);
    }
    body(context, 0, threads);
    if (threads <= 1) return;
    for (uint32_t left; (left = atomic_load(&team->pending)) != 0;)
        await_change(&team->pending, left, &team->caller_asleep);
}

typedef struct {
    bk_range_body body;
    void *context;
    size_t items, chunk;
    _Alignas(64) _Atomic size_t next;
} range_job;

static void take_ranges(void *argument, size_t index, size_t count) {
    (void)count;
    range_job *job = argument;
    for (;;) {
        size_t begin = atomic_fetch_add(&job->next, job->chunk);
        if (begin >= job->items) return;
        size_t end = job->items - begin < job->chunk ? job->items : begin + job->chunk;
        job->body(job->context, begin, end, index);
    }
}

void bk_team_for(bk_team *team, size_t threads, size_t items, size_t chunk, bk_range_body body, void *context) {
    size_t chunks = (items + chunk - 1) / chunk;
    if (threads > chunks) threads = chunks;
    if (items == 0) return;
    range_job job = {.body = body, .context = context, .items = items, .chunk = chunk};
    bk_team_run(team, threads, take_ranges, &job);
}
