/* The load generator: one thread, one epoll loop, 127.0.0.1 only, bounded in time.
 *
 *     load SCENARIO --port PORT [--connections N] [--size BYTES] [--seconds S] [--warmup S] [--cpu N] ...
 *
 * echo     --depth D: every connection keeps D messages under way; each answer is compared byte by byte
 * room     all connections join a room; --publishers K of them send, --window W messages at once, or --rate R a second;
 *          --channels C: pairs of connections with C channels each instead of one room
 * connect  opens all connections at once (or --at-once N), each says one message and hears it back; then closes them; again
 * idle     opens them, one echo each, holds them until its standard input ends
 * get      keep-alive GET of --path, answered with --body
 *
 * Events go to standard output, one JSON object a line: "open", "measure", "done" (with the figures).
 */
#define _GNU_SOURCE
#include "client.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

#include "histogram.h"

#define STALL_NS 500000000ull /* a room that delivers nothing for so long has lost the messages under way */

static struct histogram latencies;
static uint64_t messages, lost_messages, stalls, reconnects, started_at, measured_from;
static int running, measuring;
static int depth = 1, publishers = 1, window = 8, channels, at_once;
static double seconds = 2, warmup = 0.5, open_timeout = 30, publish_rate;
static const char *body = "hello, world\n";

static void put_hex(uint8_t *out, uint64_t value, int digits) {
    for (int i = digits - 1; i >= 0; i--, value >>= 4) out[i] = (uint8_t) "0123456789abcdef"[value & 15];
}

static uint64_t get_hex(const uint8_t *in, int digits) {
    uint64_t value = 0;
    for (int i = 0; i < digits; i++) value = value << 4 | ((in[i] & 15u) + (in[i] >> 6) * 9u);
    return value;
}

/* The part of the kept head that belongs to the filler. */
static int tail_is_right(const struct conn *c, size_t used) {
    size_t end = message_size < HEAD_SIZE ? message_size : HEAD_SIZE;
    return !memcmp(c->head + used, filler + used, end - used);
}

static void count(uint64_t latency) {
    messages++;
    histogram_add(&latencies, latency);
}

/* While opening, a refusal is tried again (a full backlog is no failure of the scenario); later it is an error. */
static void lost_websocket(struct conn *c, const char *why, int was) {
    if (was != OPEN && retries < 3 * (uint64_t)total) {
        uint64_t opened_at = c->opened_at;
        retries++;
        start_connect(c);
        c->opened_at = opened_at;
        return;
    }
    note_error(c, why);
}

static double since(uint64_t start) { return (double)(now_ns() - start) / 1e9; }

static double own_cpu(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void event(const char *name) {
    printf("{\"event\": \"%s\", \"connections\": %d, \"seconds\": %.3f}\n", name, opened, since(started_at));
    fflush(stdout);
}

/* ---- echo, and the single echo of connect and idle ---- */

#define ECHO_HEAD 16

static void queue_echo(struct conn *c, uint64_t at) {
    uint8_t head[ECHO_HEAD];
    put_hex(head, c->id, 8);
    put_hex(head + 8, c->queued, 8);
    queue_message(c, head, ECHO_HEAD, at);
}

static int echo_is_right(struct conn *c) {
    if (c->received < c->queued && get_hex(c->head, 8) == c->id && get_hex(c->head + 8, 8) == (uint32_t)c->received && tail_is_right(c, ECHO_HEAD))
        return 1;
    fail(c, "the echo is not what was sent");
    return 0;
}

static void echo_opened(struct conn *c) {
    if (!c->ring) prepare_ring(c, (uint32_t)depth);
}

static void echo_message(struct conn *c) {
    if (!echo_is_right(c)) return;
    uint64_t stamp = c->stamps[c->received++ % c->slots];
    if (measuring) count(now - stamp);
    if (running) queue_echo(c, now);
}

static void echo_start(void) {
    for (int i = 0; i < total; i++) {
        struct conn *c = &conns[i];
        if (c->phase != OPEN) continue;
        for (int d = 0; d < depth; d++) queue_echo(c, now_ns());
        flush(c);
    }
}

/* ---- connect, idle: one echo at once ---- */

static int answered;

static void greet_opened(struct conn *c) {
    if (!c->ring) prepare_ring(c, 1);
    queue_echo(c, now);
}

static void greet_message(struct conn *c) {
    if (!echo_is_right(c)) return;
    c->received++;
    answered++;
    count(now - c->opened_at);
}

static void close_all(double timeout) {
    uint64_t from = now_ns();
    for (int i = 0; i < total; i++)
        if (conns[i].phase == OPEN) send_close(&conns[i]);
    for (int alive = 1; alive && since(from) < timeout;) {
        alive = 0;
        for (int i = 0; i < total; i++) alive += conns[i].phase == CLOSING;
        if (alive) turn(20);
    }
    for (int i = 0; i < total; i++)
        if (conns[i].phase != CLOSED) drop(&conns[i]);
}

/* Returns the seconds from the first connect() to the last echo, all bursts together; closing is not counted. */
static double connect_bursts(double *cpu) {
    double spent = 0;
    do {
        double before = own_cpu();
        uint64_t from = now_ns();
        answered = next_to_open = 0;
        while (answered < total && since(from) < open_timeout && errors <= (uint64_t)total) {
            open_more();
            turn(20);
        }
        spent += since(from);
        *cpu += own_cpu() - before;
        if (answered < total) note_error(NULL, "not all connections were opened in time");
        next_to_open = total;
        close_all(3);
    } while (spent < seconds && !errors);
    return spent;
}

/* ---- room ---- */

#define ROOM_HEAD 32 /* 16 hex digits of time, 8 of the lane, 8 of the number within the lane */

/* A lane is an order to keep: a publisher of the one room, or a channel of a pair. */
static uint32_t *lane_sent;
static int next_lane;
static int64_t expected; /* deliveries still to come */
static uint64_t last_delivery, next_publish;

static void room_path(const struct conn *c, char *out, size_t size) {
    if (channels) snprintf(out, size, "/rooms/%u/%d", c->id / 2 * (unsigned)channels, channels);
    else snprintf(out, size, "%s", path);
}

static void room_opened(struct conn *c) {
    int lanes = channels ? channels : publishers;
    int sends = channels ? c->id % 2 == 0 : c->id < (uint32_t)publishers;
    if (!c->extra) c->extra = calloc((size_t)lanes, sizeof(uint32_t));
    if (sends && !c->ring) prepare_ring(c, 256);
}

static void room_message(struct conn *c) {
    uint32_t lane = (uint32_t)get_hex(c->head + 16, 8), number = (uint32_t)get_hex(c->head + 24, 8);
    uint32_t first = channels ? c->id / 2 * (uint32_t)channels : 0, lanes = (uint32_t)(channels ? channels : publishers);
    if (lane - first >= lanes || number >= lane_sent[lane] || !tail_is_right(c, ROOM_HEAD)) {
        fail(c, "a message that nobody sent to this room");
        return;
    }
    uint32_t *next = (uint32_t *)c->extra + (lane - first);
    if (number < *next) {
        note_error(c, "a message twice or out of order");
        return;
    }
    lost_messages += number - *next;
    expected -= (int64_t)(number - *next) + 1;
    *next = number + 1;
    last_delivery = now;
    if (measuring) count(now - get_hex(c->head, 16));
}

static void room_lost(struct conn *c, const char *why, int was) {
    if (was == OPEN && running) expected = 0; /* what it had to come will not; the others' count settles at the next message */
    lost_websocket(c, why, was);
}

/* Sends the next message; 0 when its publisher is gone or still has the ring full. */
static int publish(uint64_t at) {
    int lanes = channels ? total / 2 * channels : publishers;
    int lane = next_lane;
    next_lane = (next_lane + 1) % lanes;
    struct conn *c = &conns[channels ? lane / channels * 2 : lane];
    if (c->phase != OPEN || c->queued - c->sent >= c->slots) return 0;
    uint8_t head[ROOM_HEAD];
    put_hex(head, at, 16);
    put_hex(head + 16, (uint64_t)lane, 8);
    put_hex(head + 24, lane_sent[lane]++, 8);
    queue_message(c, head, ROOM_HEAD, at);
    expected += channels ? 2 : opened;
    flush(c);
    return 1;
}

static void room_tick(void) {
    uint64_t at = now_ns();
    int audience = channels ? 2 : opened;
    if (publish_rate > 0) {
        for (; next_publish <= at; next_publish += (uint64_t)(1e9 / publish_rate)) publish(now_ns());
        return;
    }
    if (expected > 0 && at - last_delivery > STALL_NS) expected = 0, stalls++;
    if (expected <= 0) last_delivery = at;
    for (int i = 0; i < window && opened && expected <= (int64_t)(window - 1) * audience; i++)
        if (!publish(at) && !channels && publishers == 1) break;
}

static void room_start(void) {
    int lanes = channels ? total / 2 * channels : publishers;
    lane_sent = calloc((size_t)lanes, sizeof *lane_sent);
    next_publish = last_delivery = now_ns();
}

/* ---- get ---- */

static int single_use; /* how often a connection ended after its first response: the server keeps none alive */

static void get_opened(struct conn *c) {
    if (running) send_request(c);
}

static void get_start(void) {
    for (int i = 0; i < total; i++) {
        conns[i].opened_at = now_ns();
        if (conns[i].phase == OPEN) send_request(&conns[i]);
        else if (conns[i].phase == CLOSED) start_connect(&conns[i]); /* its server has no patience with idle ones */
    }
}

static size_t get_response(struct conn *c, const char *data, size_t length) {
    const char *end = memmem(data, length, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t head = (size_t)(end - data) + 4, size = 0;
    const char *line = memmem(data, head, "ontent-", 7);
    while (line && strncasecmp(line, "ontent-length:", 14)) line = memmem(line + 1, (size_t)(end + 4 - line - 1), "ontent-", 7);
    if (memcmp(data + 9, "200", 3) || !line) {
        fail(c, "not a 200 with a Content-Length");
        return length;
    }
    size = (size_t)atoi(line + 14);
    if (length < head + size) return 0;
    if (size != strlen(body) || memcmp(data + head, body, size)) {
        fail(c, "the body is not what was asked for");
        return length;
    }
    c->received++;
    if (measuring) count(now - c->opened_at);
    if (running && single_use < 3) {
        c->opened_at = now;
        send_request(c);
    }
    return head + size;
}

static void get_lost(struct conn *c, const char *why, int was) {
    if (!running && was != CONNECTING) return;
    if (was == OPEN && c->received) {
        reconnects++;
        if (c->received == 1 && single_use < 3) single_use++;
    } else if (++retries > 1000 + reconnects) {
        note_error(c, why);
        return;
    }
    start_connect(c);
}

/* ---- the run ---- */

static void report(const char *name, double spent, double cpu) {
    printf("{\"event\": \"done\", \"scenario\": \"%s\", \"connections\": %d, \"size\": %zu, \"messages\": %llu, \"seconds\": %.4f, "
           "\"rate\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f, \"errors\": %llu, \"first_error\": \"%s\", "
           "\"retries\": %llu, \"reconnects\": %llu, \"lost\": %llu, \"stalls\": %llu, \"pings\": %llu, \"load_cpu\": %.3f}\n",
           name, total, message_size, (unsigned long long)messages, spent, spent > 0 ? (double)messages / spent : 0,
           histogram_quantile(&latencies, 0.5), histogram_quantile(&latencies, 0.99), (double)latencies.largest / 1000,
           (unsigned long long)errors, first_error, (unsigned long long)retries, (unsigned long long)reconnects,
           (unsigned long long)lost_messages, (unsigned long long)stalls, (unsigned long long)pings, spent > 0 ? cpu / spent : 0);
    fflush(stdout);
}

static void run_until(uint64_t end, void (*tick)(void)) {
    while (now_ns() < end && (opened || opening) && errors <= (uint64_t)total) {
        if (tick) tick();
        turn(publish_rate > 0 ? 1 : 20);
    }
}

static int open_all(void) {
    open_more();
    while ((opening || next_to_open < total) && since(started_at) < open_timeout) turn(20);
    if (opened == total) return 1;
    char why[sizeof first_error];
    snprintf(why, sizeof why, "only %d of %d connections were opened%s%.120s", opened, total, errors ? "; " : "", first_error);
    errors++;
    memcpy(first_error, why, sizeof why);
    return 0;
}

static void measure(const char *name, void (*start)(void), void (*tick)(void)) {
    double cpu;
    if (!open_all()) {
        report(name, 0, 0);
        return;
    }
    event("open");
    running = 1;
    if (start) start();
    run_until(now_ns() + (uint64_t)(warmup * 1e9), tick);
    event("measure");
    measured_from = now_ns();
    cpu = own_cpu();
    measuring = 1;
    run_until(measured_from + (uint64_t)(seconds * 1e9), tick);
    measuring = running = 0;
    double spent = since(measured_from);
    report(name, spent, own_cpu() - cpu);
    /* what is under way comes home before the close frames go out */
    uint64_t from = now_ns();
    while (since(from) < 0.3) {
        turn(20);
        int away = 0;
        for (int i = 0; i < total; i++) away += conns[i].phase == OPEN && conns[i].received < conns[i].queued;
        if (!away) break;
    }
    if (!scenario.response) close_all(2);
}

static void hold(void) {
    struct pollfd input = {.fd = 0, .events = POLLIN | POLLHUP};
    if (open_all())
        while (answered < opened && since(started_at) < open_timeout) turn(20);
    event("open");
    while (poll(&input, 1, 0) == 0 && opened && since(started_at) < open_timeout + seconds) turn(50);
    report("idle", since(started_at), own_cpu());
    close_all(5);
}

static double number(int argc, char **argv, const char *name, double fallback) {
    for (int i = 2; i + 1 < argc; i += 2)
        if (!strcmp(argv[i], name)) return atof(argv[i + 1]);
    return fallback;
}

static const char *string(int argc, char **argv, const char *name, const char *fallback) {
    for (int i = 2; i + 1 < argc; i += 2)
        if (!strcmp(argv[i], name)) return argv[i + 1];
    return fallback;
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "";
    port = (int)number(argc, argv, "--port", 0);
    total = (int)number(argc, argv, "--connections", 1);
    message_size = (size_t)number(argc, argv, "--size", 64);
    depth = (int)number(argc, argv, "--depth", 1);
    publishers = (int)number(argc, argv, "--publishers", 1);
    window = (int)number(argc, argv, "--window", 8);
    channels = (int)number(argc, argv, "--channels", 0);
    publish_rate = number(argc, argv, "--rate", 0);
    seconds = number(argc, argv, "--seconds", 2);
    warmup = number(argc, argv, "--warmup", 0.5);
    open_timeout = number(argc, argv, "--open-timeout", 30);
    at_once = (int)number(argc, argv, "--at-once", 0);
    path = string(argc, argv, "--path", path);
    body = string(argc, argv, "--body", body);
    int core = (int)number(argc, argv, "--cpu", -1);
    if (argc < 4 || argc % 2 || !port || total < 1 || message_size < HEAD_SIZE || depth < 1 || publishers < 1 || publishers > total || window < 1 ||
        (channels && total % 2)) {
        fprintf(stderr, "usage: load echo|room|connect|idle|get --port PORT [--connections N] [--size BYTES, at least %d] ...\n", HEAD_SIZE);
        return 2;
    }
    if (core >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(core, &set);
        if (sched_setaffinity(0, sizeof set, &set)) perror("load: --cpu");
    }
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    signal(SIGPIPE, SIG_IGN);
    alarm((unsigned)(open_timeout + warmup + seconds * 2 + 60)); /* never outlive a mistake */

    filler = malloc(message_size + HEAD_SIZE);
    for (size_t i = 0; i < message_size + HEAD_SIZE; i++) filler[i] = (uint8_t)('a' + (i * 2654435761u >> 11) % 26);
    uint8_t scratch[HEADER_MAX], no_mask[4] = {0};
    header_size = put_header(scratch, OP_TEXT, message_size, no_mask);
    frame_size = header_size + message_size;
    loop = epoll_create1(EPOLL_CLOEXEC);
    prepare_conns();
#ifdef WITH_TLS
    prepare_tls();
#endif
    started_at = now = now_ns();

    if (!strcmp(name, "echo")) {
        scenario = (struct scenario){.opened = echo_opened, .message = echo_message, .lost = lost_websocket};
        measure(name, echo_start, NULL);
    } else if (!strcmp(name, "room")) {
        scenario = (struct scenario){.opened = room_opened, .message = room_message, .lost = room_lost, .path = room_path};
        measure(name, room_start, room_tick);
    } else if (!strcmp(name, "get")) {
        scenario = (struct scenario){.opened = get_opened, .lost = get_lost, .response = get_response};
        measure(name, get_start, NULL);
    } else if (!strcmp(name, "connect")) {
        scenario = (struct scenario){.opened = greet_opened, .message = greet_message, .lost = lost_websocket};
        opening_at_once = at_once ? at_once : total;
        event("measure");
        double cpu = 0, spent = connect_bursts(&cpu);
        report(name, spent, cpu);
    } else if (!strcmp(name, "idle")) {
        scenario = (struct scenario){.opened = greet_opened, .message = greet_message, .lost = lost_websocket};
        hold();
    } else {
        fprintf(stderr, "load: no scenario %s\n", name);
        return 2;
    }
    return errors ? 1 : 0;
}
