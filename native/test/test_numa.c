// NUMA: what is made of a sysfs tree, of machines that we do not have; nearness; placement, with the kernel and with one that
// refuses everything; and this machine, whatever it is.
#include "numa.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../kernel/numa_layout.h"
#include "capability_optimized.h"
#include "expect.h"

// --- a sysfs of our own -----------------------------------------------------------------------------------------------

static char root[] = "/tmp/test_numa_XXXXXX";
static const char *made[64]; // what is to be removed, newest last
static unsigned made_count;

static void make_folder(const char *path) {
    char whole[512];
    snprintf(whole, sizeof whole, "%s/%s", root, path);
    EXPECT_EQ(mkdir(whole, 0700), 0);
    made[made_count++] = path;
}

static void make_file(const char *path, const char *text) {
    char whole[512];
    snprintf(whole, sizeof whole, "%s/%s", root, path);
    FILE *file = fopen(whole, "we");
    EXPECT(file != NULL);
    fputs(text, file);
    EXPECT_EQ(fclose(file), 0);
    made[made_count++] = path;
}

static void remove_all(void) {
    while (made_count > 0) {
        char whole[512];
        snprintf(whole, sizeof whole, "%s/%s", root, made[--made_count]);
        EXPECT_EQ(remove(whole), 0);
    }
}

static void make_base(void) {
    make_folder("devices");
    make_folder("devices/system");
    make_folder("devices/system/cpu");
    make_folder("devices/system/node");
}

static numa_topology_t *read_root(void) {
    numa_topology_t *topology = NULL;
    EXPECT_EQ(numa_topology_read(root, &topology), STATUS_OK);
    return topology;
}

// Four sockets in a ring, two CPUs each, the kernel's numbers with a gap; node 3 is memory alone, node 7 CPUs alone.
static numa_topology_t *read_ring(void) {
    make_base();
    make_file("devices/system/cpu/possible", "0-9\n");
    make_file("devices/system/node/online", "0-1,3,7\n");
    make_file("devices/system/node/has_memory", "0-1,3\n");
    static const char *const folders[] = {"devices/system/node/node0", "devices/system/node/node1",
                                          "devices/system/node/node3", "devices/system/node/node7"};
    for (int i = 0; i < 4; i++) {
        make_folder(folders[i]);
    }
    make_file("devices/system/node/node0/cpulist", "0,4\n");
    make_file("devices/system/node/node0/distance", "10 16 22 16\n");
    make_file("devices/system/node/node1/cpulist", "1-2\n");
    make_file("devices/system/node/node1/distance", "16 10 16 22\n");
    make_file("devices/system/node/node3/cpulist", "\n");
    make_file("devices/system/node/node3/distance", "22 16 10 16\n");
    make_file("devices/system/node/node7/cpulist", "3,5,8-9\n");
    make_file("devices/system/node/node7/distance", "16 22 17 10\n");
    return read_root();
}

static void a_ring_is_read_as_it_is_written(void) {
    numa_topology_t *topology = read_ring();
    EXPECT_EQ(numa_nodes(topology), 4);
    EXPECT_EQ(numa_cpus(topology), 10);
    static const unsigned kernel_nodes[] = {0, 1, 3, 7}, nodes_of[] = {0, 1, 1, 3, 0, 3, 0, 0, 3, 3};
    for (unsigned node = 0; node < 4; node++) {
        EXPECT_EQ(numa_kernel_node(topology, node), kernel_nodes[node]);
        EXPECT_EQ(numa_has_memory(topology, node), node != 3);
        EXPECT_EQ(numa_firmware_distance(topology, node, node), NUMA_DISTANCE_LOCAL);
    }
    for (unsigned cpu = 0; cpu < 10; cpu++) {
        EXPECT_EQ(numa_node_of_cpu(topology, cpu), nodes_of[cpu]); // 6 and 7 are no node's
    }
    EXPECT_EQ(numa_node_of_cpu(topology, NUMA_MAX_CPUS), 0);
    EXPECT_EQ(numa_node_of_cpu(topology, ~0u), 0);
    EXPECT_EQ(numa_firmware_distance(topology, 0, 2), 22);
    EXPECT_EQ(numa_firmware_distance(topology, 3, 2), 17);
    EXPECT_EQ(numa_next_cpu(topology, 3, 0), 3);
    EXPECT_EQ(numa_next_cpu(topology, 3, 6), 8);
    EXPECT_EQ(numa_next_cpu(topology, 0, 5), NUMA_MAX_CPUS);
    EXPECT_EQ(numa_next_cpu(topology, 2, 0), NUMA_MAX_CPUS);
    EXPECT_EQ(numa_nearest_memory(topology, 1), 1);
    EXPECT_EQ(numa_nearest_memory(topology, 3), 0);
    EXPECT(!numa_has_memory(topology, 4));
    numa_topology_free(topology);
    remove_all();
}

static void whatever_makes_no_sense_is_one_node(void) {
    static const char *const texts[] = {"", "\n", "none\n", "5-3\n", "0\n", "0-\n", "99999999999999999999\n", "-1\n"};
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        make_base();
        make_file("devices/system/cpu/possible", "0-3\n");
        make_file("devices/system/node/online", texts[i]);
        numa_topology_t *topology = read_root();
        EXPECT_EQ(numa_nodes(topology), 1);
        EXPECT_EQ(numa_cpus(topology), 4);
        EXPECT(numa_has_memory(topology, 0));
        EXPECT_EQ(numa_firmware_distance(topology, 0, 0), NUMA_DISTANCE_LOCAL);
        EXPECT_EQ(numa_next_cpu(topology, 0, 2), 2);
        numa_topology_free(topology);
        remove_all();
    }
    numa_topology_t *topology = read_root(); // nothing at all
    EXPECT_EQ(numa_nodes(topology), 1);
    EXPECT_EQ(numa_cpus(topology), 1);
    numa_topology_free(topology);
}

static void nodes_of_which_little_is_said_are_equally_far(void) {
    make_base();
    make_file("devices/system/node/online", "0-2,1,2000\n"); // what does not ascend, or is too large, is left out
    make_folder("devices/system/node/node1");
    make_file("devices/system/node/node1/cpulist", "7,9000,1\n");
    make_file("devices/system/node/node1/distance", "3 10 x\n");
    numa_topology_t *topology = read_root();
    EXPECT_EQ(numa_nodes(topology), 3);
    EXPECT_EQ(numa_cpus(topology), 8);
    EXPECT_EQ(numa_node_of_cpu(topology, 7), 1);
    for (unsigned from = 0; from < 3; from++) {
        EXPECT(numa_has_memory(topology, from));
        for (unsigned to = 0; to < 3; to++) {
            EXPECT_EQ(numa_firmware_distance(topology, from, to), from == to ? 10 : 20);
        }
    }
    numa_topology_free(topology);
    remove_all();
}

// --- nearness -----------------------------------------------------------------------------------------------------------

static void expect_order(const numa_topology_t *topology, const numa_distances_t *distances, unsigned cpu,
                         const unsigned *wanted) {
    unsigned cpus[10];
    for (unsigned i = 0; i < 10; i++) {
        cpus[i] = (i * 7 + 3) % 10;
    }
    numa_sort_cpus(topology, distances, cpu, cpus, 10);
    for (unsigned i = 0; i < 10; i++) {
        EXPECT_EQ(cpus[i], wanted[i]);
    }
    numa_sort_cpus(topology, distances, cpu, cpus, 0);
    numa_sort_cpus(topology, distances, cpu, cpus, 1);
}

static void the_nearest_cpus_come_first(void) {
    numa_topology_t *topology = read_ring();
    numa_distances_t *distances = NULL;
    EXPECT_EQ(numa_distances_create(topology, &distances), STATUS_OK);
    // From CPU 4 of node 0: itself, its node (6, 7 and 0), then nodes 1 and 7, equally far, behind 4 first.
    static const unsigned by_firmware[] = {4, 6, 7, 0, 5, 8, 9, 1, 2, 3};
    expect_order(topology, NULL, 4, by_firmware);
    expect_order(topology, distances, 4, by_firmware);
    // Learned: node 1 is nearer than 7, by more than a tenth. And then by less.
    EXPECT(!numa_distance_learned(distances, 0, 1));
    EXPECT_EQ(numa_distance(distances, 0, 1), 160000);
    numa_distances_learn(distances, 0, 1, 120000);
    EXPECT(numa_distance_learned(distances, 0, 1));
    EXPECT_EQ(numa_distance(distances, 0, 1), 120000);
    static const unsigned by_learning[] = {4, 6, 7, 0, 1, 2, 5, 8, 9, 3};
    expect_order(topology, distances, 4, by_learning);
    numa_distances_learn(distances, 0, 3, 125000);
    expect_order(topology, distances, 4, by_firmware);
    for (int i = 0; i < 100; i++) {
        numa_distances_learn(distances, 0, 3, 200000);
    }
    EXPECT(numa_distance(distances, 0, 3) > 199000 && numa_distance(distances, 0, 3) <= 200000);
    numa_distances_learn(distances, 0, 2, UINT64_MAX); // whatever is learned, the order stays one
    expect_order(topology, distances, 4, by_learning);
    numa_distances_free(distances);
    numa_topology_free(topology);
    remove_all();
}

static void *learn_much(void *distances) {
    for (uint64_t i = 0; i < 20000; i++) {
        numa_distances_learn(distances, 0, 1, 90000 + i % 2 * 20000);
    }
    return NULL;
}

static void many_may_learn_at_once(void) {
    numa_topology_t *topology = read_ring();
    numa_distances_t *distances = NULL;
    EXPECT_EQ(numa_distances_create(topology, &distances), STATUS_OK);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(pthread_create(&threads[i], NULL, learn_much, distances), 0);
    }
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    }
    EXPECT(numa_distance(distances, 0, 1) >= 89000 && numa_distance(distances, 0, 1) <= 110000);
    EXPECT(!numa_distance_learned(distances, 1, 0));
    numa_distances_free(distances);
    numa_topology_free(topology);
    remove_all();
}

// --- placement ----------------------------------------------------------------------------------------------------------

static int refusals, last_mode;
static numa_node_set_t last_nodes;
static int refuse_bind(void *at, size_t bytes, int mode, const numa_node_set_t *nodes) {
    (void)at, (void)bytes, (void)mode, (void)nodes;
    refusals++;
    return -EPERM;
}
static int refuse_policy(int mode, const numa_node_set_t *nodes) { return refuse_bind(NULL, 0, mode, nodes); }
static int refuse_page(const void *page, int *node) {
    (void)page, (void)node;
    return -ENOSYS;
}
static int refuse_huge(void *at, size_t bytes) { return refuse_bind(at, bytes, 0, NULL); }
static int refuse_get(numa_cpu_set_t *cpus) { (void)cpus; return -EPERM; }
static int refuse_set(const numa_cpu_set_t *cpus) { (void)cpus; return -EPERM; }
static int note_bind(void *at, size_t bytes, int mode, const numa_node_set_t *nodes) {
    (void)at, (void)bytes;
    last_mode = mode;
    last_nodes = nodes != NULL ? *nodes : (numa_node_set_t){{0}};
    return 0;
}
static int note_policy(int mode, const numa_node_set_t *nodes) { return note_bind(NULL, 0, mode, nodes); }
static int page_on_seven(const void *page, int *node) { (void)page; *node = 7; return 0; }
static int page_on_five(const void *page, int *node) { (void)page; *node = 5; return 0; }

static void what_the_kernel_is_asked_for(void) {
    numa_topology_t *topology = read_ring();
    numa_calls_t real = numa_calls;
    char page[1] = {0};
    numa_calls.bind = note_bind;
    numa_calls.set_policy = note_policy;
    EXPECT_EQ(numa_place(topology, page, 4096, (numa_placement_t){NUMA_INTERLEAVE, 99}), STATUS_OK);
    EXPECT_EQ(last_mode, NUMA_MODE_INTERLEAVE);
    EXPECT_EQ(last_nodes.bits[0], 1 | 2 | 8); // the kernel's numbers, of those with memory
    EXPECT_EQ(numa_place(topology, page, 4096, (numa_placement_t){NUMA_BIND, 2}), STATUS_OK);
    EXPECT_EQ(last_mode, NUMA_MODE_BIND);
    EXPECT_EQ(last_nodes.bits[0], 8);
    EXPECT_EQ(numa_place_thread(topology, (numa_placement_t){NUMA_BIND, 1}), STATUS_OK);
    EXPECT_EQ(last_nodes.bits[0], 2);
    EXPECT_EQ(numa_place_thread(topology, (numa_placement_t){NUMA_FIRST_TOUCH, 0}), STATUS_OK);
    EXPECT_EQ(last_mode, NUMA_MODE_LOCAL);
    EXPECT_EQ(last_nodes.bits[0], 0);
    EXPECT_EQ(numa_place(topology, page, 4096, (numa_placement_t){NUMA_BIND, 3}), STATUS_INVALID); // no memory there
    EXPECT_EQ(numa_place(topology, page, 4096, (numa_placement_t){NUMA_BIND, 4}), STATUS_INVALID);
    EXPECT_EQ(numa_place_thread(topology, (numa_placement_t){NUMA_POLICY_COUNT, 0}), STATUS_INVALID);
    numa_calls.page_node = page_on_seven;
    EXPECT_EQ(numa_node_of_page(topology, page), 3);
    numa_calls.page_node = page_on_five;
    EXPECT_EQ(numa_node_of_page(topology, page), numa_nodes(topology)); // no node of ours
    numa_calls = real;
    numa_topology_free(topology);
    remove_all();
}

static void a_kernel_that_refuses_changes_no_answer_but_one(void) {
    numa_topology_t *topology = read_ring();
    numa_calls_t real = numa_calls;
    numa_calls = (numa_calls_t){refuse_bind, refuse_policy, refuse_page, refuse_huge, refuse_get, refuse_set, refuse_get};
    char page[1] = {0};
    EXPECT_EQ(numa_place(topology, page, 4096, (numa_placement_t){NUMA_INTERLEAVE, 0}), STATUS_DENIED);
    EXPECT_EQ(numa_place(topology, page, 4096, (numa_placement_t){NUMA_FIRST_TOUCH, 0}), STATUS_DENIED);
    EXPECT_EQ(numa_place_thread(topology, (numa_placement_t){NUMA_BIND, 0}), STATUS_DENIED);
    EXPECT_EQ(numa_place(topology, page, 0, (numa_placement_t){NUMA_BIND, 0}), STATUS_OK); // nothing to ask
    EXPECT_EQ(refusals, 3);
    EXPECT_EQ(numa_node_of_page(topology, page), numa_nodes(topology));
    numa_distances_t *distances = NULL;
    EXPECT_EQ(numa_distances_create(topology, &distances), STATUS_OK);
    EXPECT_EQ(numa_distances_measure(distances, 1 << 16, 1), 0);
    numa_calls.get_affinity = real.get_affinity;
    EXPECT_EQ(numa_distances_measure(distances, 1 << 16, 1), 0);
    EXPECT(!numa_distance_learned(distances, 0, 0));
    EXPECT_EQ(numa_ask_huge(page, 1), NUMA_HUGE_REFUSED); // no whole huge page in it
    numa_distances_free(distances);
    numa_calls = real;
    numa_topology_free(topology);
    remove_all();
}

static unsigned long moved_to;
static numa_cpu_set_t moved_last;
static int get_pinned(numa_cpu_set_t *cpus) {
    bit_add(cpus->bits, 0);
    return 0;
}
static int get_all(numa_cpu_set_t *cpus) {
    cpus->bits[0] = 0x3bf; // not CPU 6
    return 0;
}
static int note_move(const numa_cpu_set_t *cpus) {
    moved_to |= cpus->bits[0];
    moved_last = *cpus;
    return 0;
}

static void a_pinned_thread_measures_from_every_node(void) {
    numa_topology_t *topology = read_ring();
    numa_calls_t real = numa_calls;
    numa_distances_t *distances = NULL;
    EXPECT_EQ(numa_distances_create(topology, &distances), STATUS_OK);
    numa_calls.bind = note_bind;
    numa_calls.get_affinity = get_pinned;
    numa_calls.get_first_affinity = get_all;
    numa_calls.set_affinity = note_move;
    (void)numa_distances_measure(distances, 1 << 16, 1);
    EXPECT_EQ(moved_to, 1 << 0 | 1 << 1 | 1 << 3); // the first CPU of each node that has one
    EXPECT_EQ(moved_last.bits[0], 1);              // and back
    moved_to = 0;
    numa_calls.get_first_affinity = refuse_get;
    (void)numa_distances_measure(distances, 1 << 16, 1);
    EXPECT_EQ(moved_to, 1);
    numa_distances_free(distances);
    numa_calls = real;
    numa_topology_free(topology);
    remove_all();
}

// --- this machine -------------------------------------------------------------------------------------------------------

static void *get_system(void *unused) {
    (void)unused;
    return (void *)(uintptr_t)numa_system();
}

static void everybody_gets_the_same_system(void) {
    pthread_t threads[4];
    void *found[4];
    for (int i = 0; i < 4; i++) {
        EXPECT_EQ(pthread_create(&threads[i], NULL, get_system, NULL), 0);
    }
    for (int i = 0; i < 4; i++) {
        EXPECT_EQ(pthread_join(threads[i], &found[i]), 0);
        EXPECT(found[i] == (const void *)numa_system());
    }
}

// On every node: memory that is bound there is there, where the kernel says at all. Refused is fine; wrong is not.
static void memory_is_where_it_was_put(void) {
    const numa_topology_t *topology = numa_system();
    unsigned nodes = numa_nodes(topology);
    size_t bytes = (size_t)4 << 20;
    for (unsigned node = 0; node < nodes; node++) {
        char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        EXPECT(at != MAP_FAILED);
        status_t status = numa_place(topology, at, bytes, (numa_placement_t){NUMA_BIND, node});
        EXPECT(status == STATUS_OK || status == STATUS_DENIED || !numa_has_memory(topology, node));
        numa_huge_t huge = numa_ask_huge(at, bytes);
        memset(at, 1, bytes);
        unsigned found = numa_node_of_page(topology, at + bytes / 2);
        EXPECT(status != STATUS_OK || found == node || found == nodes);
        printf("node %u: bind %s, found on %u of %u, huge pages %s, %zu KiB\n", numa_kernel_node(topology, node),
               status_name(status), found, nodes, numa_huge_name(huge), numa_huge_bytes(at, bytes) / 1024);
        munmap(at, bytes);
    }
}

static void a_table_is_right_wherever_its_memory_is(void) {
    const numa_topology_t *topology = numa_system();
    for (unsigned i = 0; i < numa_nodes(topology) + 2; i++) {
        numa_placement_t placement = {i == 0 ? NUMA_FIRST_TOUCH : i == 1 ? NUMA_INTERLEAVE : NUMA_BIND, i < 2 ? 0 : i - 2};
        capability_config_t config = {.capacity = 1 << 18, .placement = placement};
        capability_table_t *table = NULL;
        capability_thread_t *self = NULL;
        if (placement.policy == NUMA_BIND && !numa_has_memory(topology, placement.node)) {
            EXPECT_EQ(capability_table_create(&config, &table), STATUS_INVALID);
            continue;
        }
        EXPECT_EQ(capability_table_create(&config, &table), STATUS_OK);
        EXPECT_EQ(capability_thread_join(table, &self), STATUS_OK);
        cap_id_t id = CAPABILITY_NONE;
        for (int count = 0; count < 3000; count++) {
            EXPECT_EQ(capability_create(self, 1, 3, &id), STATUS_OK);
            EXPECT(capability_check(table, id, 2));
        }
        unsigned found = numa_node_of_page(topology, capability_find(table, id).entry);
        EXPECT(placement.policy != NUMA_BIND || found == placement.node || found == numa_nodes(topology));
        capability_thread_leave(self);
        capability_table_destroy(table);
    }
    capability_config_t config = {.placement = {NUMA_BIND, numa_nodes(topology)}};
    capability_table_t *table = NULL;
    EXPECT_EQ(capability_table_create(&config, &table), STATUS_INVALID);
}

static void what_is_measured_is_learned(void) {
    const numa_topology_t *topology = numa_system();
    numa_distances_t *distances = NULL;
    EXPECT_EQ(numa_distances_create(topology, &distances), STATUS_OK);
    numa_cpu_set_t before = {{0}}, after = {{0}}; // the kernel fills as much as it has
    EXPECT_EQ(numa_calls.get_affinity(&before), 0);
    unsigned measured = numa_distances_measure(distances, (size_t)1 << 20, 1), learned = 0;
    EXPECT_EQ(numa_calls.get_affinity(&after), 0);
    EXPECT(memcmp(&before, &after, sizeof before) == 0);
    for (unsigned from = 0; from < numa_nodes(topology); from++) {
        for (unsigned to = 0; to < numa_nodes(topology); to++) {
            learned += numa_distance_learned(distances, from, to);
            EXPECT(numa_distance(distances, from, to) > 0);
        }
    }
    EXPECT_EQ(learned, measured); // none, where every sample was disturbed
    EXPECT_EQ(numa_distances_measure(distances, 0, 1), 0);
    numa_distances_free(distances);
}

int main(void) {
    EXPECT(mkdtemp(root) != NULL);
    a_ring_is_read_as_it_is_written();
    whatever_makes_no_sense_is_one_node();
    nodes_of_which_little_is_said_are_equally_far();
    the_nearest_cpus_come_first();
    many_may_learn_at_once();
    what_the_kernel_is_asked_for();
    a_kernel_that_refuses_changes_no_answer_but_one();
    a_pinned_thread_measures_from_every_node();
    everybody_gets_the_same_system();
    memory_is_where_it_was_put();
    a_table_is_right_wherever_its_memory_is();
    what_is_measured_is_learned();
    EXPECT_EQ(rmdir(root), 0);
    puts("ok numa: topology, nearness, placement, refusals, this machine");
    return 0;
}
