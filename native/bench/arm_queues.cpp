/* Queues of other libraries in op_enqueue (batches of 32 in), op_queue (a batch in, a batch out) and op_deque_pair (one in,
 * one out). What has no batches is given one at a time. They hold pointers; what is behind them stays as it is. */
#include <concurrentqueue.h>
#include <tbb/concurrent_queue.h>

#include <boost/lockfree/queue.hpp>
#include <boost/lockfree/stack.hpp>

#include "arms.h"
#include "op_tasks.h"

namespace {

void *const an_item = reinterpret_cast<void *>(64);

/* moodycamel, with the tokens that make it fast */
struct Moodycamel {
    moodycamel::ConcurrentQueue<void *> queue{4 * OP_TASKS};
    moodycamel::ProducerToken in{queue};
    moodycamel::ConsumerToken out{queue};
    void push(void *item) { queue.enqueue(in, item); }
    bool pop(void **item) { return queue.try_dequeue(out, *item); }
    void push_batch(void *const *items) { queue.enqueue_bulk(in, items, OP_BATCH); }
    size_t pop_batch(void **items) { return queue.try_dequeue_bulk(out, items, OP_BATCH); }
};

template <typename Queue> struct OneAtATime : Queue {
    void push_batch(void *const *items) {
        for (int i = 0; i < OP_BATCH; i++)
            this->push(items[i]);
    }
    size_t pop_batch(void **items) {
        size_t count = 0;
        while (count < OP_BATCH && this->pop(&items[count]))
            count++;
        return count;
    }
};

struct TbbQueue {
    tbb::concurrent_queue<void *> queue;
    void push(void *item) { queue.push(item); }
    bool pop(void **item) { return queue.try_pop(*item); }
};

struct BoostQueue {
    boost::lockfree::queue<void *, boost::lockfree::capacity<2 * OP_TASKS>> queue;
    void push(void *item) { queue.bounded_push(item); }
    bool pop(void **item) { return queue.pop(*item); }
};

struct BoostStack {
    boost::lockfree::stack<void *, boost::lockfree::capacity<2 * OP_TASKS>> stack;
    void push(void *item) { stack.bounded_push(item); }
    bool pop(void **item) { return stack.pop(*item); }
};

template <typename Queue> struct Arm {
    static bool setup(run_t *, void **shared) {
        *shared = new Queue;
        return true;
    }
    static void finish(run_t *, void *shared) { delete static_cast<Queue *>(shared); }

    static void drain(worker_t *, void *shared, void *) {
        void *items[OP_BATCH];
        while (static_cast<Queue *>(shared)->pop_batch(items) > 0) {
        }
    }

    static uint64_t enqueue(worker_t *, void *shared, void *, const sample_t *) {
        auto *queue = static_cast<Queue *>(shared);
        void *items[OP_BATCH];
        for (auto &item : items)
            item = an_item;
        KEEP(items);
        for (int at = 0; at < OP_TASKS; at += OP_BATCH)
            queue->push_batch(items);
        return OP_TASKS;
    }

    static uint64_t through(worker_t *worker, void *shared, void *, const sample_t *sample) {
        auto *queue = static_cast<Queue *>(shared);
        void *items[OP_BATCH];
        for (auto &item : items)
            item = an_item;
        uint64_t done = 0;
        for (; done < sample->ops; done += OP_BATCH) {
            KEEP(items);
            queue->push_batch(items);
            size_t got = 0, more = 1;
            for (; got < OP_BATCH && more > 0; got += more)
                more = queue->pop_batch(items);
            if (got != OP_BATCH)
                run_fail(worker->run, "%zu of %d items came out", got, OP_BATCH);
        }
        return done;
    }

    static uint64_t pair(worker_t *worker, void *shared, void *, const sample_t *sample) {
        auto *queue = static_cast<Queue *>(shared);
        void *item = an_item;
        for (uint64_t i = 0; i < sample->ops; i++) {
            queue->push(item);
            if (!queue->pop(&item))
                run_fail(worker->run, "an item did not come out");
            KEEP(item);
        }
        return sample->ops;
    }

    arm_t arms[3];
    explicit Arm(const char *name) : arms{} {
        const char *const benches[] = {"op_enqueue", "op_queue", "op_deque_pair"};
        uint64_t (*const samples[])(worker_t *, void *, void *, const sample_t *) = {enqueue, through, pair};
        for (int i = 0; i < 3; i++) {
            arms[i].bench = benches[i];
            arms[i].name = name;
            arms[i].kind = ARM_PEER;
            arms[i].setup = setup;
            arms[i].finish = finish;
            arms[i].sample = samples[i];
            arms[i].fixed_ops = i == 0 ? OP_TASKS : 0;
            arms[i].prepare = i == 0 ? drain : nullptr;
            arm_register(&arms[i]);
        }
    }
};

Arm<Moodycamel> moodycamel_arm("moodycamel");
Arm<OneAtATime<TbbQueue>> tbb_arm("tbb");
Arm<OneAtATime<BoostQueue>> boost_queue_arm("boost_queue");
Arm<OneAtATime<BoostStack>> boost_stack_arm("boost_stack");

} // namespace
