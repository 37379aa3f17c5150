// PDAC where memory runs out: at every allocation there is, one after the other. The call that needed it says NO_MEMORY and has changed nothing: the same
// call goes through once there is memory, and the graph runs as if nothing had been; or all is given up, and nothing is left behind.
#include "pdac_bed.h"
#include "scarce_memory.h"

enum { NODES = 60, EDGES = 140, CLASSES = 3 };

static model_t model;
static uint64_t said; // NO_MEMORY, by all calls

// The model's body, and whether its guards held.
static bool holds(const void *table, cap_id_t id, cap_rights_t need) {
    (void)table;
    return id != CAPABILITY_NONE && need != 0;
}

typedef struct stand {
    scheduler_lockfree_t *scheduler;
    pdac_t *engine;
    pdac_graph_t *graph;
} stand_t;

static bool refused(status_t status) {
    if (status == STATUS_NO_MEMORY) {
        said++;
        return true;
    }
    EXPECT_EQ(status, STATUS_OK);
    return false;
}

// Makes the call; where there is no memory for it, once more, or gives up.
#define CALL(PATIENT, STATUS)                                                                                          \
    do {                                                                                                               \
        while (refused(STATUS)) {                                                                                      \
            if (!(PATIENT)) {                                                                                          \
                return false;                                                                                          \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

static bool make_engine(stand_t *stand, bool patient) {
    static const uint32_t tickets[CLASSES] = {3, 2, 7};
    static pdac_vector_t system;
    for (int i = 0; i < PDAC_DIMENSIONS; i++) {
        system.of[i] = 3 * PDAC_ONE;
    }
    pdac_config_t config = {.scheduler = stand->scheduler, .gate = {holds, NULL}, .system = &system, .tickets = tickets,
                            .classes = CLASSES, .seed = 7};
    CALL(patient, pdac_create(&config, &stand->engine));
    CALL(patient, pdac_graph_create(stand->engine, 2, 2, &stand->graph)); // grows often
    return true;
}

static bool add_nodes(stand_t *stand, bool patient) {
    static const guard_t guards[2] = {{.id = 1, .need = 1}, {.id = 2, .need = 1}};
    for (uint32_t i = 0; i < model.nodes; i++) {
        pdac_vector_t needs = {{0}};
        needs.of[i % PDAC_DIMENSIONS] = PDAC_ONE;
        pdac_task_t task = {.body = model_body, .context = &model, .class = i % CLASSES};
        task.needs = i >= 5 && i % 3 == 0 ? &needs : NULL;
        task.guards = i % 4 == 1 ? guards : NULL;
        task.guards_count = i % 4 == 1 ? 1 + i % 2 : 0;
        pdac_node_t node = UINT32_MAX;
        CALL(patient, pdac_add(stand->graph, &task, &node));
        EXPECT_EQ(node, i);
        EXPECT_EQ(pdac_nodes(stand->graph), i + 1);
    }
    return true;
}

// OK where an edge against another is refused.
static status_t way_back(pdac_graph_t *graph, const pdac_node_t edge[2]) {
    status_t status = pdac_connect(graph, edge[1], edge[0]);
    return status == STATUS_CYCLE ? STATUS_OK : status == STATUS_OK ? STATUS_INVALID : status;
}

static bool connect_nodes(stand_t *stand, bool patient) {
    for (uint32_t e = 0; e < model.edges; e++) {
        CALL(patient, pdac_connect(stand->graph, model.edge[e][0], model.edge[e][1]));
        CALL(patient, way_back(stand->graph, model.edge[e])); // the order is right, also where it was tried before
    }
    return true;
}

static bool build(stand_t *stand, bool patient) {
    pdac_vector_t whole = {{0}};
    if (!make_engine(stand, patient) || !add_nodes(stand, patient) || !connect_nodes(stand, patient)) {
        return false;
    }
    CALL(patient, pdac_compose(stand->graph, PDAC_PEAK, NULL, &whole));
    EXPECT_EQ(whole.of[0], PDAC_ONE);
    CALL(patient, pdac_seal(stand->graph));
    return true;
}

// Twice; a run allocates nothing.
static void run(stand_t *stand) {
    memset(model.runs, 0, sizeof model.runs);
    uint64_t asked = memory.asked;
    for (model.run = 1; model.run <= 2; model.run++) {
        EXPECT(crew_run(stand->scheduler, stand->graph, 1));
        EXPECT_EQ(pdac_outcome(stand->graph).ran, model.nodes);
    }
    EXPECT_EQ(memory.asked, asked);
}

static void tear_down(stand_t *stand) {
    if (stand->graph != NULL) {
        pdac_graph_destroy(stand->graph);
    }
    if (stand->engine != NULL) {
        pdac_destroy(stand->engine);
    }
    stand->graph = NULL;
    stand->engine = NULL;
}

// The allocation after `left` is refused. Whether there was one.
static bool once(stand_t *stand, uint64_t left, bool patient) {
    int64_t held = memory.held;
    said = 0;
    memory_scarce(left, !patient);
    bool built = build(stand, patient);
    bool reached = memory.refused > 0;
    memory_plenty();
    EXPECT_EQ(said, reached ? 1 : 0); // nobody keeps a refusal to himself
    EXPECT_EQ(built, patient || !reached);
    if (built) {
        run(stand);
    }
    tear_down(stand);
    EXPECT_EQ(memory.held, held);
    return reached;
}

int main(void) {
    random_t random = {3};
    stand_t stand = {.scheduler = bed_scheduler(1)};
    model_draw(&model, &random, NODES, EDGES, 20);
    uint64_t left = 0;
    while (once(&stand, left, true)) {
        EXPECT(once(&stand, left, false));
        left++;
    }
    EXPECT(left > 100); // edges against the order of the numbers take most
    scheduler_destroy(stand.scheduler);
    EXPECT_EQ(memory.held, 0);
    printf("ok pdac: memory was refused at each of %llu allocations\n", (unsigned long long)left);
    return 0;
}
