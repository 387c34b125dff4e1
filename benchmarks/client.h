/* One side of many websocket or HTTP connections on one epoll loop: opening them, reading frames, sending prepared ones.
 *
 * What a message means is the scenario's business: it gives the callbacks in `struct scenario`. Payloads are checked while they
 * stream by, so nothing is buffered and nothing is taken on trust: the first HEAD_SIZE bytes of a message are kept for the scenario,
 * the rest must equal `filler` byte by byte.
 *
 * Compiled with WITH_TLS all connections are TLS; without it nothing of that is there.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifdef WITH_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#endif

#include "wire.h"

#define CHUNK (256 * 1024)
#define HEAD_SIZE 40 /* of a message: numbers and the time it was sent */
#define TEXT_LIMIT 8192
#define OPENING_AT_ONCE 64 /* below every server's listen backlog; the connect scenario opens all at once instead */

enum phase { CLOSED, CONNECTING, SECURING, HANDSHAKING, OPEN, CLOSING };

struct conn {
    int fd, phase;
    uint32_t id, generation; /* generation: goes up at each end, so that code after a callback knows */
    uint8_t mask[4];
    int want_write;
    uint64_t opened_at; /* ns, when connect() was called */

    uint8_t *ring;       /* `slots` prepared frames; slot seq % slots is free once seq - slots is sent */
    uint32_t slots;
    uint64_t queued, sent, received; /* messages; sent counts whole frames */
    size_t offset;                   /* bytes of the frame `sent` that the kernel has */
    uint64_t *stamps;                /* ns, per slot: when the message was queued */

    uint8_t pong[HEADER_MAX + 125]; /* an answer that had to wait for the end of a frame */
    size_t pong_length;

    uint8_t header[HEADER_MAX];
    size_t header_length, header_need, left, position; /* of the frame being read; position is within the message */
    int opcode;
    uint8_t head[HEAD_SIZE], control[125];
    size_t control_length;

    char *text; /* the HTTP response so far, when it did not come in one piece */
    size_t text_length;
    void *extra;
#ifdef WITH_TLS
    SSL *ssl;
#endif
};

struct scenario {
    void (*opened)(struct conn *);
    void (*message)(struct conn *);                        /* whole, filler already compared */
    void (*lost)(struct conn *, const char *why, int was); /* the peer ended it; was: the phase it was in */
    size_t (*response)(struct conn *, const char *, size_t); /* plain HTTP: bytes taken; NULL: handshake and frames */
    void (*path)(const struct conn *, char *, size_t);       /* NULL: the same path for all */
};

static struct scenario scenario;
static struct conn *conns;
static int loop, port, total, opening, opened, opening_at_once = OPENING_AT_ONCE;
static int next_to_open;
static size_t message_size, frame_size, header_size;
static const char *path = "/echo";
static uint8_t chunk[CHUNK], *filler;
static uint64_t errors, retries, pings, now; /* now: ns, when the last bytes came */
static char first_error[200];

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void note_error(const struct conn *c, const char *what) {
    if (errors++) return;
    snprintf(first_error, sizeof first_error, "connection %u: %s", c ? c->id : 0, what);
    for (char *p = first_error; *p; p++)
        if (*p < ' ' || *p == '"' || *p == '\\') *p = '?'; /* it goes into JSON */
}

#ifdef WITH_TLS
static SSL_CTX *tls;

static void prepare_tls(void) {
    tls = SSL_CTX_new(TLS_client_method()); /* the certificate is of no interest here */
    if (!tls) abort();
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(tls, 1);
}

/* As send() and recv(): -1 with EAGAIN when the kernel has no room or no bytes. */
static ssize_t outcome(struct conn *c, int n) {
    if (n > 0) return n;
    int error = SSL_get_error(c->ssl, n);
    ERR_clear_error();
    if (error == SSL_ERROR_ZERO_RETURN) return 0;
    errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
    return -1;
}

static ssize_t put(struct conn *c, const void *data, size_t length) { return outcome(c, SSL_write(c->ssl, data, (int)length)); }
static ssize_t get(struct conn *c, void *data, size_t length) { return outcome(c, SSL_read(c->ssl, data, (int)length)); }
#else
static ssize_t put(struct conn *c, const void *data, size_t length) { return send(c->fd, data, length, MSG_NOSIGNAL); }
static ssize_t get(struct conn *c, void *data, size_t length) { return recv(c->fd, data, length, 0); }
#endif

static void watch(struct conn *c, uint32_t events, int operation) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(loop, operation, c->fd, &event);
}

static void want_write(struct conn *c, int wanted) {
    if (c->want_write == wanted) return;
    c->want_write = wanted;
    watch(c, wanted ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
}

static void drop(struct conn *c) {
#ifdef WITH_TLS
    SSL_free(c->ssl);
    c->ssl = NULL;
#endif
    if (c->fd >= 0) close(c->fd);
    if (c->phase == CONNECTING || c->phase == SECURING || c->phase == HANDSHAKING) opening--;
    if (c->phase == OPEN) opened--;
    c->fd = -1;
    c->phase = CLOSED;
    c->generation++;
    free(c->text);
    c->text = NULL;
    c->text_length = 0;
}

static void fail(struct conn *c, const char *why) {
    int was = c->phase;
    drop(c);
    scenario.lost(c, why, was);
}

static void start_connect(struct conn *c) {
    /* several addresses of the loopback network, so that ports in TIME_WAIT never run out */
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + c->id % 8)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        perror("load: socket");
        exit(1);
    }
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from)) {
        perror("load: bind");
        exit(1);
    }
    c->phase = CONNECTING;
    c->queued = c->sent = c->received = 0;
    c->offset = c->header_length = c->left = c->position = c->pong_length = 0;
    c->header_need = 2;
    c->want_write = 1;
    opening++;
    c->opened_at = now_ns();
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) {
        fail(c, strerror(errno));
        return;
    }
    watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD);
}

static void open_more(void) {
    while (next_to_open < total && opening < opening_at_once) start_connect(&conns[next_to_open++]);
}

/* The key is 16 bytes that name the connection, so both ends can work out the accept value without keeping it. */
static void make_key(const struct conn *c, char key[24]) {
    uint8_t raw[16];
    memcpy(raw, c->mask, 4);
    memcpy(raw + 4, &c->id, 4);
    memcpy(raw + 8, &conns, 8);
    base64(raw, 16, key);
}

static void send_request(struct conn *c) {
    char text[400], key[24], own[60];
    int n;
    if (scenario.response) {
        n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: load\r\nAccept: */*\r\n\r\n", path, port);
    } else {
        if (scenario.path) scenario.path(c, own, sizeof own);
        make_key(c, key);
        n = snprintf(text, sizeof text,
                     "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Key: %.24s\r\nSec-WebSocket-Version: 13\r\nOrigin: http://127.0.0.1:%d\r\n\r\n",
                     scenario.path ? own : path, port, key, port);
    }
    if (put(c, text, (size_t)n) != n) fail(c, "the request was not taken");
}

static void become_open(struct conn *c) {
    c->phase = OPEN;
    opening--;
    opened++;
    scenario.opened(c);
}

static void speak(struct conn *c) {
    c->phase = HANDSHAKING;
    if (scenario.response) become_open(c);
    else send_request(c);
}

#ifdef WITH_TLS
static void secure(struct conn *c) {
    int n = SSL_do_handshake(c->ssl);
    if (n == 1) speak(c);
    else if (outcome(c, n) < 0 && errno != EAGAIN) fail(c, "no TLS");
}
#endif

static void connected(struct conn *c) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        fail(c, strerror(error));
        return;
    }
    want_write(c, 0);
#ifdef WITH_TLS
    c->phase = SECURING;
    c->ssl = SSL_new(tls);
    if (!c->ssl || !SSL_set_fd(c->ssl, c->fd)) abort();
    SSL_set_connect_state(c->ssl);
    secure(c);
#else
    speak(c);
#endif
}

/* Sends queued frames and a waiting pong, as far as the kernel takes them; slots are stamped by the scenario when queued. */
static void flush(struct conn *c) {
    while (c->sent < c->queued) {
        uint64_t slot = c->sent % c->slots, run = c->queued - c->sent;
        if (run > c->slots - slot) run = c->slots - slot;
        size_t length = run * frame_size - c->offset;
        ssize_t n = put(c, c->ring + slot * frame_size + c->offset, length);
        if (n < 0) {
            if (errno == EAGAIN) want_write(c, 1);
            return; /* a reset shows at the next read */
        }
        c->sent += (c->offset + (size_t)n) / frame_size;
        c->offset = (c->offset + (size_t)n) % frame_size;
        if ((size_t)n < length) {
            want_write(c, 1);
            return;
        }
    }
    if (c->pong_length) {
        if (put(c, c->pong, c->pong_length) != (ssize_t)c->pong_length) note_error(c, "a pong was not taken");
        c->pong_length = 0;
    }
    want_write(c, 0);
}

/* Lays out `slots` masked frames of message_size bytes; the scenario overwrites the start of each with its numbers. */
static void prepare_ring(struct conn *c, uint32_t slots) {
    c->slots = slots;
    c->ring = malloc(slots * frame_size);
    c->stamps = calloc(slots, sizeof *c->stamps);
    if (!c->ring || !c->stamps) abort();
    for (uint32_t i = 0; i < slots; i++) {
        uint8_t *frame = c->ring + i * frame_size;
        put_header(frame, OP_TEXT, message_size, c->mask);
        apply_mask(frame + header_size, filler, message_size, c->mask, 0);
    }
}

/* Queues one message whose first `length` bytes are `head`; flush() sends it. */
static void queue_message(struct conn *c, const uint8_t *head, size_t length, uint64_t at) {
    uint64_t slot = c->queued % c->slots;
    apply_mask(c->ring + slot * frame_size + header_size, head, length, c->mask, 0);
    c->stamps[slot] = at;
    c->queued++;
}

static void send_close(struct conn *c) {
    uint8_t frame[8] = {0}, code[2] = {1000 >> 8, 1000 & 255};
    size_t n = put_header(frame, OP_CLOSE, 2, c->mask);
    apply_mask(frame + n, code, 2, c->mask, 0);
    if (c->phase == OPEN) opened--;
    c->phase = CLOSING;
    if (put(c, frame, n + 2) < 0) drop(c);
}

static void control_frame(struct conn *c) {
    if (c->opcode == OP_PING) {
        pings++;
        c->pong_length = put_header(c->pong, OP_PONG, c->control_length, c->mask);
        apply_mask(c->pong + c->pong_length, c->control, c->control_length, c->mask, 0);
        c->pong_length += c->control_length;
        if (c->offset) want_write(c, 1);
        else flush(c);
    } else if (c->opcode == OP_CLOSE && c->phase == OPEN) {
        char why[60];
        unsigned code = c->control_length >= 2 ? (unsigned)(c->control[0] << 8 | c->control[1]) : 1005;
        snprintf(why, sizeof why, "the server closed with %u", code);
        fail(c, why);
    }
}

/* Returns 0 when the header is one that a client may see. */
static int begin_frame(struct conn *c) {
    uint8_t *h = c->header;
    size_t size = h[1] & 127;
    int opcode = h[0] & 15;
    if (size == 126) {
        uint16_t big;
        memcpy(&big, h + 2, 2);
        size = be16toh(big);
    } else if (size == 127) {
        uint64_t big;
        memcpy(&big, h + 2, 8);
        size = be64toh(big);
    }
    c->opcode = opcode;
    c->left = size;
    if (opcode & 8) {
        c->control_length = 0;
        return size > 125 || !(h[0] & 0x80);
    }
    if (opcode == OP_CONTINUATION ? !c->position : c->position != 0) return 1;
    return c->position + size > message_size;
}

static int take_payload(struct conn *c, const uint8_t *data, size_t n) {
    if (c->opcode & 8) {
        memcpy(c->control + c->control_length, data, n);
        c->control_length += n;
    } else {
        size_t kept = 0;
        if (c->position < HEAD_SIZE) {
            kept = n < HEAD_SIZE - c->position ? n : HEAD_SIZE - c->position;
            memcpy(c->head + c->position, data, kept);
        }
        if (memcmp(data + kept, filler + c->position + kept, n - kept)) return 1;
        c->position += n;
    }
    c->left -= n;
    return 0;
}

static void take_frames(struct conn *c, const uint8_t *data, size_t length) {
    uint32_t generation = c->generation;
    while (length) {
        if (c->header_length < c->header_need) {
            size_t n = c->header_need - c->header_length;
            if (n > length) n = length;
            memcpy(c->header + c->header_length, data, n);
            c->header_length += n;
            data += n;
            length -= n;
            if (c->header_length < c->header_need) return;
            if (c->header_need == 2) {
                if (c->header[0] & 0x70 || c->header[1] & 0x80) {
                    fail(c, "a frame with reserved bits or a mask");
                    return;
                }
                c->header_need = (c->header[1] & 127) == 126 ? 4 : (c->header[1] & 127) == 127 ? 10 : 2;
                if (c->header_need > 2) continue;
            }
            if (begin_frame(c)) {
                fail(c, "a frame that does not belong here");
                return;
            }
        }
        size_t n = c->left < length ? c->left : length;
        if (take_payload(c, data, n)) {
            fail(c, "the payload is not what was sent");
            return;
        }
        data += n;
        length -= n;
        if (c->left) return;
        c->header_length = 0;
        c->header_need = 2;
        if (c->opcode & 8) {
            control_frame(c);
        } else if (c->header[0] & 0x80) {
            if (c->position != message_size) {
                fail(c, "a message of the wrong length");
                return;
            }
            c->position = 0;
            if (c->phase != CLOSING) scenario.message(c);
        }
        if (c->generation != generation) return;
    }
}

static size_t take_handshake(struct conn *c, const char *data, size_t length) {
    char key[24], expected[ACCEPT_LENGTH];
    const char *end = memmem(data, length, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t taken = (size_t)(end - data) + 4;
    const char *accept = memmem(data, taken, "Accept: ", 8), *lower = memmem(data, taken, "accept: ", 8);
    if (!accept) accept = lower;
    make_key(c, key);
    accept_key(key, 24, expected);
    if (length < 12 || memcmp(data + 9, "101", 3) || !accept || memcmp(accept + 8, expected, ACCEPT_LENGTH)) {
        char why[64];
        snprintf(why, sizeof why, "no handshake: %.30s", data);
        why[strcspn(why, "\r\n")] = 0;
        fail(c, why);
        return length;
    }
    become_open(c);
    return taken;
}

/* HTTP text, kept until the part that belongs together is there. */
static void take_text(struct conn *c, uint8_t *data, size_t length) {
    uint32_t generation = c->generation;
    if (c->text) {
        if (c->text_length + length > TEXT_LIMIT) {
            fail(c, "a response head that does not end");
            return;
        }
        memcpy(c->text + c->text_length, data, length);
        length += c->text_length;
        data = memcpy(chunk, c->text, length);
    }
    size_t taken = scenario.response ? scenario.response(c, (char *)data, length) : take_handshake(c, (char *)data, length);
    if (c->generation != generation) return;
    free(c->text);
    c->text = NULL;
    c->text_length = 0;
    if (taken == length) return;
    if (taken && !scenario.response) {
        take_frames(c, data + taken, length - taken);
        return;
    }
    if (length - taken > TEXT_LIMIT || !(c->text = malloc(TEXT_LIMIT))) {
        fail(c, "a response head that does not end");
        return;
    }
    c->text_length = length - taken;
    memcpy(c->text, data + taken, c->text_length);
}

/* Returns whether there was something, and the connection is still there. */
static int read_some(struct conn *c) {
    ssize_t n = get(c, chunk, sizeof chunk);
    if (n < 0 && errno == EAGAIN) return 0;
    if (n <= 0) {
        if (c->phase == CLOSING) drop(c);
        else fail(c, n ? strerror(errno) : "the server closed the connection");
        return 0;
    }
    uint32_t generation = c->generation;
    now = now_ns();
    if (scenario.response || c->phase == HANDSHAKING) take_text(c, chunk, (size_t)n);
    else take_frames(c, chunk, (size_t)n);
    if (c->sent < c->queued && !c->want_write) flush(c);
    return c->generation == generation;
}

static void readable(struct conn *c) {
#ifdef WITH_TLS
    if (c->phase == SECURING) {
        secure(c);
        if (c->phase != HANDSHAKING && c->phase != OPEN) return;
    }
    while (read_some(c) && SSL_has_pending(c->ssl)) {} /* what OpenSSL has taken from the kernel raises no event */
#else
    read_some(c);
#endif
}

/* Waits at most `milliseconds` and serves what happened. */
static void turn(int milliseconds) {
    static struct epoll_event events[1024];
    int n = epoll_wait(loop, events, 1024, milliseconds);
    for (int i = 0; i < n; i++) {
        struct conn *c = events[i].data.ptr;
        if (c->phase == CONNECTING) {
            connected(c);
            continue;
        }
        if (events[i].events & EPOLLOUT && c->phase != CLOSED) flush(c);
        if (events[i].events & ~(uint32_t)EPOLLOUT && c->phase != CLOSED) readable(c);
    }
    if (next_to_open < total) open_more();
}

static void prepare_conns(void) {
    conns = calloc((size_t)total, sizeof *conns);
    if (!conns) abort();
    for (int i = 0; i < total; i++) {
        conns[i].fd = -1;
        conns[i].id = (uint32_t)i;
        conns[i].header_need = 2;
        if (getrandom(conns[i].mask, 4, 0) != 4) abort();
    }
}

#endif
