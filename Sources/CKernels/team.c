#define _GNU_SOURCE
#include "amx.h"
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
    bk_range_body body;
    void *context;
    size_t items, chunk;
    _Alignas(64) _Atomic size_t next;
} range_job;

/* A member's state: the caller moves it from IDLE to CALLED, the member itself to RUNNING and back to IDLE. The caller
 * may take a call back (CALLED to IDLE) that was not answered yet, and send an idle member to sleep (IDLE to RESTING). A
 * member that runs returns to IDLE when nothing is left of the job, or between two ranges when it is told to leave. */
enum { IDLE, CALLED, RUNNING, RESTING, STOPPED };

typedef struct {
    _Alignas(64) _Atomic uint32_t state;
    _Atomic uint32_t asleep, caller_asleep;
    range_job *job; /* written before CALLED, read while RUNNING */
    _Atomic uint32_t told_to_leave;
    size_t index;
    _Atomic int core; /* where it is to run next; NOT_PINNED: anywhere that the process may */
    const cpu_set_t *allowed;
    pthread_t thread;
} member;

enum { NOT_PINNED = -1 };

struct bk_team {
    size_t started; /* members that there are, without the caller */
    size_t limit;   /* threads that may be at work, the caller included; at least one */
    member *members;
    int caller_core;   /* where the caller was put */
    cpu_set_t allowed; /* where the process may run */
};

static void futex_wait(_Atomic uint32_t *word, uint32_t value) {
    syscall(SYS_futex, (uint32_t *)word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}
static void futex_wake(_Atomic uint32_t *word) {
    syscall(SYS_futex, (uint32_t *)word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Returns once *word != value. The sleeper raises its flag before it looks a last time, the waker changes the word
 * before it looks at the flag: one of them sees the other (sequentially consistent atomics). */
static void sleep_while(_Atomic uint32_t *word, uint32_t value, _Atomic uint32_t *asleep) {
    atomic_store(asleep, 1);
    while (atomic_load(word) == value) futex_wait(word, value);
    atomic_store(asleep, 0);
}

static void wait_while(_Atomic uint32_t *word, uint32_t value, _Atomic uint32_t *asleep) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(word, memory_order_acquire) != value) return;
        relax();
    }
    sleep_while(word, value, asleep);
}

static void set_state(member *m, uint32_t state, _Atomic uint32_t *other_asleep) {
    atomic_store(&m->state, state);
    if (atomic_load(other_asleep)) futex_wake(&m->state);
}

/* Puts the calling thread on `core`, or back on all of `allowed`. A core that the system refuses leaves it where it is:
 * a slower step, not a wrong one. */
static void move_to(int core, const cpu_set_t *allowed) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (core != NOT_PINNED) CPU_SET((size_t)core, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, core == NOT_PINNED ? allowed : &set);
}

size_t bk_allowed_cores(int *cores, size_t capacity) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 0;
    size_t count = 0;
    for (int core = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET(core, &set)) {
            if (count < capacity) cores[count] = core;
            count++;
        }
    return count;
}

void bk_leave_kernels(void) {
#if defined(__x86_64__)
    if (bk_tiles_shaped != 0) bk_release_tiles();
#endif
}

/* One range; false if there is none left. */
static bool take_range(range_job *job, size_t index) {
    size_t begin = atomic_fetch_add(&job->next, job->chunk);
    if (begin >= job->items) return false;
    size_t end = job->items - begin < job->chunk ? job->items : begin + job->chunk;
    job->body(job->context, begin, end, index);
    return true;
}

static void *member_main(void *argument) {
    member *me = argument;
    int core = NOT_PINNED;
    for (;;) {
        wait_while(&me->state, IDLE, &me->asleep);
        uint32_t seen = CALLED;
        if (atomic_compare_exchange_strong(&me->state, &seen, RUNNING)) {
            int wanted = atomic_load_explicit(&me->core, memory_order_relaxed);
            if (wanted != core) move_to(core = wanted, me->allowed);
            while (!atomic_load_explicit(&me->told_to_leave, memory_order_relaxed) && take_range(me->job, me->index)) {}
            bk_leave_kernels();
            set_state(me, IDLE, &me->caller_asleep);
        } else if (seen == RESTING) {
            sleep_while(&me->state, RESTING, &me->asleep);
        } else if (seen == STOPPED) {
            return NULL;
        }
    }
}

bk_team *bk_team_create(size_t max_threads) {
    if (max_threads == 0) return NULL;
    bk_team *team = calloc(1, sizeof(bk_team));
    if (!team) return NULL;
    team->caller_core = NOT_PINNED;
    team->limit = max_threads;
    if (sched_getaffinity(0, sizeof team->allowed, &team->allowed) != 0) CPU_ZERO(&team->allowed);
    if (max_threads == 1) return team;
    team->members = aligned_alloc(64, (max_threads - 1) * sizeof(member));
    if (!team->members) {
        free(team);
        return NULL;
    }
    for (size_t i = 0; i + 1 < max_threads; i++) {
        member *m = &team->members[i];
        *m = (member){.index = i + 1, .core = NOT_PINNED, .allowed = &team->allowed};
        if (pthread_create(&m->thread, NULL, member_main, m) != 0) {
            bk_team_destroy(team);
            return NULL;
        }
        team->started++;
    }
    return team;
}

void bk_team_destroy(bk_team *team) {
    for (size_t i = 0; i < team->started; i++) set_state(&team->members[i], STOPPED, &team->members[i].asleep);
    for (size_t i = 0; i < team->started; i++) pthread_join(team->members[i].thread, NULL);
    free(team->members);
    free(team);
}

/* Returns once the member is neither called nor at work. What it has not done of a job is left to the others. */
static void recall(member *m) {
    uint32_t seen = CALLED;
    if (atomic_compare_exchange_strong(&m->state, &seen, IDLE) || seen != RUNNING) return;
    atomic_store_explicit(&m->told_to_leave, 1, memory_order_relaxed);
    wait_while(&m->state, RUNNING, &m->caller_asleep);
    atomic_store_explicit(&m->told_to_leave, 0, memory_order_relaxed);
}

/* Whoever sleeps already needs no waking for this. */
static void send_away(member *m) {
    recall(m);
    uint32_t seen = IDLE;
    atomic_compare_exchange_strong(&m->state, &seen, RESTING);
}

bool bk_team_place(bk_team *team, const int *cores, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (cores[i] < 0 || cores[i] >= CPU_SETSIZE || !CPU_ISSET((size_t)cores[i], &team->allowed)) return false;
    for (size_t i = 0; i < team->started; i++) {
        member *m = &team->members[i];
        int core = i + 1 < count ? cores[i + 1] : NOT_PINNED;
        if (atomic_load_explicit(&m->core, memory_order_relaxed) == core) continue;
        send_away(m);
        atomic_store_explicit(&m->core, core, memory_order_relaxed);
    }
    int own = count > 0 ? cores[0] : NOT_PINNED;
    if (own != team->caller_core) move_to(team->caller_core = own, &team->allowed);
    return true;
}

void bk_team_limit(bk_team *team, size_t threads) {
    team->limit = threads > 0 ? threads : 1;
    for (size_t i = team->limit - 1; i < team->started; i++) send_away(&team->members[i]);
}

static size_t helpers_within(const bk_team *team, size_t threads) {
    size_t helpers = (threads < team->limit ? threads : team->limit) - 1;
    return helpers < team->started ? helpers : team->started;
}

static void call(member *m, range_job *job) {
    m->job = job;
    set_state(m, CALLED, &m->asleep);
}

/* The members that may be at work and are not, while there is something to do. */
static void call_missing(bk_team *team, range_job *job) {
    if (atomic_load_explicit(&job->next, memory_order_relaxed) >= job->items) return;
    size_t helpers = helpers_within(team, team->started + 1);
    for (size_t i = 0; i < helpers; i++) {
        uint32_t state = atomic_load(&team->members[i].state);
        if (state == IDLE || state == RESTING) call(&team->members[i], job);
    }
}

/* Returns when no member is at work; those that have not answered need not come. */
static void gather(bk_team *team, size_t helpers) {
    for (size_t i = 0; i < helpers; i++) {
        member *m = &team->members[i];
        uint32_t seen = CALLED;
        if (!atomic_compare_exchange_strong(&m->state, &seen, IDLE)) wait_while(&m->state, RUNNING, &m->caller_asleep);
    }
}

void bk_team_for(bk_team *team, size_t threads, size_t items, size_t chunk, bk_range_body body, void *context) {
    if (items == 0) return;
    size_t chunks = (items + chunk - 1) / chunk, helpers = helpers_within(team, threads);
    if (helpers > chunks - 1) helpers = chunks - 1;
    range_job job = {.body = body, .context = context, .items = items, .chunk = chunk};
    for (size_t i = 0; i < helpers; i++) call(&team->members[i], &job);
    while (take_range(&job, 0)) {}
    bk_leave_kernels();
    gather(team, helpers);
}

void bk_team_for_relieved(
    bk_team *team, size_t items, size_t chunk, bk_range_body body, bk_relief relief, void *context) {
    range_job job = {.body = body, .context = context, .items = items, .chunk = chunk};
    call_missing(team, &job);
    while (take_range(&job, 0)) {
        relief(context);
        call_missing(team, &job);
    }
    bk_leave_kernels();
    gather(team, team->started);
}
