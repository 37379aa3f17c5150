/* Latency and bandwidth from the CPUs of each node to the memory of each node: one thread goes from node to node. A figure is the
 * best of its samples, of those in which the thread kept its CPU: noise only makes worse. Pairs that cannot be had (no CPU of the
 * node that may be used, or memory that is refused) have none. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arms.h"
#include "numa.h"

enum { MIB, SHOWN = 6, STEPS = 2048, STREAM = 256 << 10, NAME = 32 };

static const setting_t settings[] = {
    [MIB] = SETTING_INTEGER("mib", 64, 1, 65536, "memory on each node; more than the last cache holds, to measure memory"),
};

typedef struct link {
    struct link *next;
    uint64_t rest[7];
} link_t;

typedef struct {
    unsigned long bits[NUMA_MAX_CPUS / (8 * sizeof(unsigned long))];
} mask_t;

typedef struct {
    const numa_topology_t *topology;
    unsigned nodes;
    mask_t own, allowed; /* CPUs: of the thread as it began; of the process */
    struct node {
        link_t *links; /* NULL: no memory could be put there */
        link_t *at;    /* the walk goes on there: no line is met again before all others */
        numa_huge_t huge;
    } *memory;
    struct pair {
        double latency_ns, gib_s; /* 0: not measured yet */
        char latency_name[NAME], bandwidth_name[NAME];
    } *pairs;
    size_t count; /* links per node */
    unsigned at;  /* the pair whose turn it is */
    size_t offset;
    unsigned dropped;
} shared_t;

static void link_all(link_t *links, size_t count, uint64_t seed) {
    rng_t rng = rng_seeded(seed);
    for (size_t i = 0; i < count; i++)
        links[i].next = &links[i];
    for (size_t i = count - 1; i > 0; i--) { /* one cycle through all */
        size_t j = rng_next(&rng) % i;
        link_t *swapped = links[i].next;
        links[i].next = links[j].next;
        links[j].next = swapped;
    }
}

static bool put_memory(run_t *run, shared_t *shared, unsigned node) {
    size_t bytes = shared->count * sizeof(link_t);
    void *links = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (links == MAP_FAILED) {
        run_fail(run, "memory exhausted: %zu MiB of node %u", bytes >> 20, numa_kernel_node(shared->topology, node));
        return false;
    }
    if (numa_place(shared->topology, links, bytes, (numa_placement_t){NUMA_BIND, node}) != STATUS_OK) {
        munmap(links, bytes);
        return true;
    }
    shared->memory[node].huge = numa_ask_huge(links, bytes);
    link_all(links, shared->count, run->options->seed + node);
    shared->memory[node].links = shared->memory[node].at = links;
    return true;
}

/* What the process may use, though this thread is pinned: the main thread has stepped aside, so it is what the two may use together. */
static void find_allowed(shared_t *shared) {
    mask_t others = {{0}};
    (void)syscall(SYS_sched_getaffinity, 0, sizeof shared->own, &shared->own);
    (void)syscall(SYS_sched_getaffinity, getpid(), sizeof others, &others);
    for (size_t i = 0; i < sizeof others.bits / sizeof others.bits[0]; i++)
        shared->allowed.bits[i] = shared->own.bits[i] | others.bits[i];
}

static bool setup(run_t *run) {
    shared_t *shared = calloc(1, sizeof *shared);
    if (shared) {
        run->shared = shared;
        shared->topology = numa_system();
        shared->nodes = numa_nodes(shared->topology);
        shared->memory = calloc(shared->nodes, sizeof *shared->memory);
        shared->pairs = calloc((size_t)shared->nodes * shared->nodes, sizeof *shared->pairs);
    }
    if (!shared || !shared->memory || !shared->pairs) {
        run_fail(run, "memory exhausted: a matrix of nodes");
        return false;
    }
    shared->count = ((size_t)run_int(run, MIB) << 20) / sizeof(link_t);
    find_allowed(shared);
    for (unsigned node = 0; node < shared->nodes; node++)
        if (numa_has_memory(shared->topology, node) && !put_memory(run, shared, node))
            return false;
    return true;
}

static bool enter(worker_t *worker) {
    worker->state = worker->run->shared;
    return true;
}

static bool may_use(const shared_t *shared, unsigned cpu) {
    enum { BITS = 8 * sizeof(unsigned long) };
    return (shared->allowed.bits[cpu / BITS] >> (cpu % BITS) & 1) != 0;
}

static bool go_to(const shared_t *shared, unsigned node) {
    enum { BITS = 8 * sizeof(unsigned long) };
    const numa_topology_t *topology = shared->topology;
    for (unsigned cpu = numa_next_cpu(topology, node, 0); cpu < NUMA_MAX_CPUS; cpu = numa_next_cpu(topology, node, cpu + 1)) {
        mask_t one = {{0}};
        one.bits[cpu / BITS] = 1ul << (cpu % BITS);
        if (may_use(shared, cpu) && syscall(SYS_sched_setaffinity, 0, sizeof one, &one) == 0)
            return true;
    }
    return false;
}

static long switches(void) {
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nvcsw + usage.ru_nivcsw;
}

static double follow(struct node *memory) {
    link_t *at = memory->at;
    uint64_t begin = clock_ns();
    for (int i = 0; i < STEPS; i++)
        at = at->next;
    KEEP(at);
    memory->at = at;
    return (double)(clock_ns() - begin) / STEPS;
}

static double stream(const link_t *from) {
    const uint64_t *words = (const uint64_t *)(const void *)from;
    uint64_t sums[4] = {0};
    uint64_t begin = clock_ns();
    for (size_t i = 0; i < STREAM / sizeof *words; i += 4)
        for (int j = 0; j < 4; j++)
            sums[j] += words[i + (size_t)j];
    KEEP(sums[0] + sums[1] + sums[2] + sums[3]);
    uint64_t took = clock_ns() - begin;
    return took > 0 ? (double)STREAM / 1.073741824 / (double)took : 0; /* bytes per ns, as GiB/s */
}

/* One pair a time: a few hundred microseconds. */
static uint64_t batch(worker_t *worker) {
    shared_t *shared = worker->state;
    unsigned from = shared->at / shared->nodes, to = shared->at % shared->nodes;
    struct pair *pair = &shared->pairs[shared->at];
    link_t *links = shared->memory[to].links;
    shared->at = (shared->at + 1) % (shared->nodes * shared->nodes);
    size_t chunk = STREAM / sizeof *links;
    shared->offset = (shared->offset + chunk) % (shared->count - chunk + 1); /* not what is still in a cache */
    if (!links || !go_to(shared, from))
        return 1;
    long switched = switches();
    double latency = follow(&shared->memory[to]), gib_s = stream(links + shared->offset);
    if (!run_measuring(worker->run))
        return STEPS;
    if (switches() != switched) {
        shared->dropped++;
        return STEPS;
    }
    pair->latency_ns = pair->latency_ns > 0 && pair->latency_ns < latency ? pair->latency_ns : latency;
    pair->gib_s = gib_s > pair->gib_s ? gib_s : pair->gib_s;
    return STEPS;
}

static void leave(worker_t *worker) {
    shared_t *shared = worker->state;
    (void)syscall(SYS_sched_setaffinity, 0, sizeof shared->own, &shared->own);
}

static void report(run_t *run, shared_t *shared) {
    double remote_ns = 0, local_ns = 0;
    for (unsigned at = 0; at < shared->nodes * shared->nodes; at++) {
        struct pair *pair = &shared->pairs[at];
        unsigned from = at / shared->nodes, to = at % shared->nodes;
        if (pair->latency_ns <= 0)
            continue;
        double *worst = from == to ? &local_ns : &remote_ns;
        *worst = pair->latency_ns > *worst ? pair->latency_ns : *worst;
        if (from >= SHOWN || to >= SHOWN)
            continue;
        unsigned a = numa_kernel_node(shared->topology, from), b = numa_kernel_node(shared->topology, to);
        snprintf(pair->latency_name, NAME, "latency_%u_%u_ns", a, b);
        snprintf(pair->bandwidth_name, NAME, "bandwidth_%u_%u", a, b);
        run_metric(run, pair->latency_name, pair->latency_ns, "ns");
        run_metric(run, pair->bandwidth_name, pair->gib_s, "GiB/s");
    }
    if (local_ns > 0)
        run_metric(run, "latency_local_ns", local_ns, "ns");
    if (remote_ns > 0)
        run_metric(run, "latency_remote_ns", remote_ns, "ns");
}

/* The pairs' names are used until the process ends: they are not freed. */
static shared_t *kept;

static void finish(worker_t *worker) {
    run_t *run = worker->run;
    shared_t *shared = run->shared;
    unsigned huge = 0, with_memory = 0;
    report(run, shared);
    for (unsigned node = 0; node < shared->nodes; node++) {
        if (!shared->memory[node].links)
            continue;
        with_memory++;
        huge += shared->memory[node].huge == NUMA_HUGE_ASKED;
        munmap(shared->memory[node].links, shared->count * sizeof(link_t));
    }
    run_counter(run, "nodes", shared->nodes, "1");
    run_counter(run, "nodes_with_memory", with_memory, "1");
    run_counter(run, "huge_pages_asked_on", huge, "1");
    run_counter(run, "dropped", shared->dropped, "1");
    free(shared->memory);
    kept = shared;
}

static bench_t bench = {
    .name = "numa_matrix",
    .summary = "latency and bandwidth from the CPUs of each NUMA node to the memory of each",
    .unit_of_work = "one load that waits for the one before",
    .settings = settings,
    .settings_count = sizeof settings / sizeof settings[0],
    .check = arms_one_thread,
    .setup = setup,
    .enter = enter,
    .batch = batch,
    .leave = leave,
    .finish = finish,
};
BENCH_REGISTER(bench)
