/* The upper limit: websocket echo, fan-out and a hello over HTTP on one epoll loop, with no check beyond what framing needs.
 *
 *     echo PORT
 *
 * /room: whatever a client sends goes to every client of /room, itself included. Any other upgrade: echo. GET: "hello, world\n".
 * It listens on 127.0.0.1 only and prints "listening PORT" when it does.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

#define CHUNK (256 * 1024)
#define LARGEST (16 * 1024 * 1024)

struct bytes {
    uint8_t *data;
    size_t length, capacity;
};

struct client {
    int fd, websocket, member; /* member: index in the room, or -1 */
    struct bytes in, out;      /* what is incomplete; what the kernel refused */
};

static int loop;
static struct client **room;
static int members, room_capacity;
static uint8_t chunk[CHUNK], reply[CHUNK + HEADER_MAX];

static const char hello[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nhello, world\n";

static void append(struct bytes *b, const uint8_t *data, size_t length) {
    if (b->length + length > b->capacity) {
        b->capacity = (b->length + length) * 2;
        b->data = realloc(b->data, b->capacity);
        if (!b->data) abort();
    }
    memcpy(b->data + b->length, data, length);
    b->length += length;
}

static void watch(struct client *c, uint32_t events, int operation) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(loop, operation, c->fd, &event);
}

/* Sends what it can and keeps the rest. An error is left to the next read. */
static void transmit(struct client *c, const uint8_t *data, size_t length) {
    ssize_t n = 0;
    if (!c->out.length) {
        n = send(c->fd, data, length, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN) return;
            n = 0;
        }
        if ((size_t)n == length) return;
        watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    }
    append(&c->out, data + n, length - (size_t)n);
}

static void flush(struct client *c) {
    ssize_t n = send(c->fd, c->out.data, c->out.length, MSG_NOSIGNAL);
    if (n <= 0) return;
    memmove(c->out.data, c->out.data + n, c->out.length - (size_t)n);
    c->out.length -= (size_t)n;
    if (!c->out.length) watch(c, EPOLLIN, EPOLL_CTL_MOD);
}

static void leave(struct client *c) {
    if (c->member < 0) return;
    room[c->member] = room[--members];
    room[c->member]->member = c->member;
    c->member = -1;
}

static void join(struct client *c) {
    if (members == room_capacity) {
        room_capacity = room_capacity ? room_capacity * 2 : 64;
        room = realloc(room, (size_t)room_capacity * sizeof *room);
        if (!room) abort();
    }
    c->member = members;
    room[members++] = c;
}

static void hang_up(struct client *c) {
    leave(c);
    close(c->fd);
    free(c->in.data);
    free(c->out.data);
    free(c);
}

/* One HTTP request at the start of the buffer. Returns the bytes it took, 0 when it is not complete. */
static size_t serve_http(struct client *c, const uint8_t *data, size_t length) {
    const uint8_t *end = memmem(data, length, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t taken = (size_t)(end - data) + 4;
    const char *key = memmem(data, taken, "Sec-WebSocket-Key: ", 19);
    if (!key) {
        transmit(c, (const uint8_t *)hello, sizeof hello - 1);
        return taken;
    }
    char head[160];
    int n = sprintf(head, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ");
    accept_key(key + 19, 24, head + n);
    memcpy(head + n + ACCEPT_LENGTH, "\r\n\r\n", 4);
    transmit(c, (const uint8_t *)head, (size_t)n + ACCEPT_LENGTH + 4);
    c->websocket = 1;
    if (length > 10 && !memcmp(data, "GET /room ", 10)) join(c);
    return taken;
}

/* All complete frames of the buffer, answered in one send. Returns the bytes taken, -1 to hang up. */
static ssize_t serve_frames(struct client *c, uint8_t *data, size_t length) {
    size_t at = 0, ready = 0;
    while (length - at >= 6) {
        uint8_t *frame = data + at;
        size_t header = 6, size = frame[1] & 127;
        if (!(frame[1] & 0x80)) return -1;
        if (size == 126) {
            uint16_t big;
            header = 8;
            memcpy(&big, frame + 2, 2);
            size = be16toh(big);
        } else if (size == 127) {
            uint64_t big;
            if (length - at < 14) break;
            header = 14;
            memcpy(&big, frame + 2, 8);
            size = be64toh(big);
            if (size > LARGEST) return -1;
        }
        if (length - at < header + size) break;
        uint8_t *payload = frame + header;
        int opcode = frame[0] & 15;
        apply_mask(payload, payload, size, payload - 4, 0);
        at += header + size;
        if (opcode == OP_PONG) continue;
        if (opcode == OP_PING) opcode = OP_PONG;
        /* the answer's header is four bytes shorter than the question's, so it fits in front of the payload */
        size_t answer = header - 4;
        uint8_t *start = payload - answer;
        put_header(start, opcode, size, NULL);
        if (c->member >= 0 && opcode <= OP_BINARY) {
            for (int i = 0; i < members; i++) transmit(room[i], start, answer + size);
            continue;
        }
        if (opcode == OP_CLOSE) {
            transmit(c, start, answer + size);
            return -1;
        }
        int last = at == length;
        if (last && !ready) {
            transmit(c, start, answer + size);
        } else if (answer + size > sizeof reply) {
            if (ready) transmit(c, reply, ready);
            ready = 0;
            transmit(c, start, answer + size);
        } else {
            if (ready + answer + size > sizeof reply) {
                transmit(c, reply, ready);
                ready = 0;
            }
            memcpy(reply + ready, start, answer + size);
            ready += answer + size;
        }
    }
    if (ready) transmit(c, reply, ready);
    return (ssize_t)at;
}

/* Returns the bytes taken, -1 to hang up. */
static ssize_t serve(struct client *c, uint8_t *data, size_t length) {
    size_t at = 0, taken;
    while (!c->websocket && at < length) {
        taken = serve_http(c, data + at, length - at);
        if (!taken) return (ssize_t)at;
        at += taken;
    }
    if (at == length) return (ssize_t)at;
    ssize_t frames = serve_frames(c, data + at, length - at);
    return frames < 0 ? -1 : (ssize_t)at + frames;
}

static void readable(struct client *c) {
    ssize_t n = recv(c->fd, chunk, sizeof chunk, 0), taken;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        hang_up(c);
        return;
    }
    if (!c->in.length) {
        taken = serve(c, chunk, (size_t)n);
        if (taken >= 0 && taken < n) append(&c->in, chunk + taken, (size_t)(n - taken));
    } else {
        append(&c->in, chunk, (size_t)n);
        taken = serve(c, c->in.data, c->in.length);
        if (taken > 0) {
            memmove(c->in.data, c->in.data + taken, c->in.length - (size_t)taken);
            c->in.length -= (size_t)taken;
        }
    }
    if (taken < 0) hang_up(c);
}

static void accept_clients(int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct client *c = calloc(1, sizeof *c);
        if (!c) abort();
        c->fd = fd;
        c->member = -1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(c, EPOLLIN, EPOLL_CTL_ADD);
    }
}

int main(int argc, char **argv) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event events[1024], first = {.events = EPOLLIN, .data.ptr = NULL};
    int one = 1, listener;
    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: echo PORT [PROCESSES]\n");
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    for (int further = argc == 3 ? atoi(argv[2]) - 1 : 0; further > 0; further--) {
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            break;
        }
    }
    address.sin_port = htons((uint16_t)atoi(argv[1]));
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    /* the kernel shares connections out: whoever wakes up first would take them all */
    setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) {
        perror("echo: 127.0.0.1");
        return 1;
    }
    loop = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(loop, EPOLL_CTL_ADD, listener, &first);
    printf("listening %s\n", argv[1]);
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(loop, events, 1024, -1);
        for (int i = 0; i < n; i++) {
            struct client *c = events[i].data.ptr;
            if (!c) {
                accept_clients(listener);
                continue;
            }
            if (events[i].events & EPOLLOUT) flush(c);
            if (events[i].events & ~(uint32_t)EPOLLOUT) readable(c);
        }
    }
}
