/* miltload: the milter client of `make bench`.
 *
 * It speaks the milter protocol (version 6) as Postfix does: a macro packet before every event, headers and body
 * included, and packets of events that want no reply are buffered until one does. It honours what the filter
 * negotiates. Each connection has a thread; messages are counted and timed from MAIL to the reply at end of message.
 *
 * miltload SPEC CONNECTIONS MESSAGES PER_CONNECTION HEADERS BODY_BYTES
 *   SPEC  unix:/path or inet:PORT@HOST (IPv4 address)
 * It prints one line of JSON; exit 1 where a message got no final reply.
 *
 * It refuses: TLS, SMTP, anything that Postfix doesn't send.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { /* protocol steps that a filter may switch off, and events that want no reply (libmilter/mfdef.h) */
    NO_CONNECT = 0x1, NO_HELO = 0x2, NO_MAIL = 0x4, NO_RCPT = 0x8, NO_BODY = 0x10, NO_HEADERS = 0x20, NO_EOH = 0x40,
    NR_HEADER = 0x80, NO_UNKNOWN = 0x100, NO_DATA = 0x200, SKIP = 0x400, NR_CONNECT = 0x1000, NR_HELO = 0x2000,
    NR_MAIL = 0x4000, NR_RCPT = 0x8000, NR_DATA = 0x10000, NR_UNKNOWN = 0x20000, NR_EOH = 0x40000, NR_BODY = 0x80000
};

static const char *spec;
static int connections, messages, per_connection, headers, body_bytes;
static int next_message;
static double *latency;
static long verdicts[256], failures;
static pthread_mutex_t tally = PTHREAD_MUTEX_INITIALIZER;

typedef struct { int fd; uint32_t steps; size_t used; char out[1 << 17]; } link_t;

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static int flush(link_t *l) {
    size_t done = 0;
    while (done < l->used) {
        ssize_t n = write(l->fd, l->out + done, l->used - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return -1;
        done += (size_t)n;
    }
    l->used = 0;
    return 0;
}

static int put(link_t *l, char command, const char *data, size_t size) {
    if (l->used + size + 5 > sizeof l->out && flush(l)) return -1;
    uint32_t length = htonl((uint32_t)(size + 1));
    memcpy(l->out + l->used, &length, 4);
    l->out[l->used + 4] = command;
    memcpy(l->out + l->used + 5, data, size);
    l->used += size + 5;
    return 0;
}

static int take(link_t *l, char *data, size_t room) {
    uint32_t length;
    size_t got = 0;
    while (got < 4) {
        ssize_t n = read(l->fd, (char *)&length + got, 4 - got);
        if (n <= 0) return -1;
        got += (size_t)n;
    }
    length = ntohl(length);
    if (length == 0 || length > room) return -1;
    for (got = 0; got < length;) {
        ssize_t n = read(l->fd, data + got, length - got);
        if (n <= 0) return -1;
        got += (size_t)n;
    }
    return (unsigned char)data[0];
}

/* The final reply to an event; edits that come before it at end of message are read past. -1: link lost. */
static int answer(link_t *l) {
    static __thread char data[1 << 16];
    if (flush(l)) return -1;
    for (;;) {
        int c = take(l, data, sizeof data);
        if (c < 0 || !strchr("+-2hibemqp", c)) return c;
    }
}

static int event(link_t *l, char command, const char *data, size_t size, uint32_t off, uint32_t quiet) {
    if (l->steps & off) return 'c';
    if (put(l, command, data, size)) return -1;
    return l->steps & quiet ? 'c' : answer(l);
}

static size_t pairs(char *out, char stage, int count, const char *const *text) {
    size_t n = 0;
    out[n++] = stage;
    for (int i = 0; i < count; i++) {
        size_t k = strlen(text[i]) + 1;
        memcpy(out + n, text[i], k);
        n += k;
    }
    return n;
}

static void macros(link_t *l, char stage, int count, const char *const *text) {
    char data[2048];
    put(l, 'D', data, pairs(data, stage, count, text));
}

static int dial(void) {
    int fd;
    if (!strncmp(spec, "unix:", 5)) {
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        strncpy(a.sun_path, spec + 5, sizeof a.sun_path - 1);
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&a, sizeof a)) return close(fd), -1;
        return fd;
    }
    struct sockaddr_in a = {.sin_family = AF_INET};
    a.sin_port = htons((uint16_t)atoi(spec + 5));
    inet_pton(AF_INET, strchr(spec, '@') + 1, &a.sin_addr);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&a, sizeof a)) return close(fd), -1;
    return fd;
}

static int greet(link_t *l) {
    uint32_t offer[3] = {htonl(6), htonl(0x1ff), htonl(0x1fffff)};
    char data[1024];
    if (put(l, 'O', (char *)offer, sizeof offer) || flush(l) || take(l, data, sizeof data) != 'O') return -1;
    uint32_t steps;
    memcpy(&steps, data + 9, 4);
    l->steps = ntohl(steps);
    const char *connect_macros[] = {"j", "mx.bench.example", "{daemon_name}", "ORIGINATING", "v", "Postfix 3.7.11"};
    macros(l, 'C', 6, connect_macros);
    char where[64];
    size_t n = 0;
    memcpy(where, "client.bench.example", 21), n = 21;
    where[n++] = '4';
    uint16_t port = htons(40000);
    memcpy(where + n, &port, 2), n += 2;
    memcpy(where + n, "192.0.2.17", 11), n += 11;
    if (event(l, 'C', where, n, NO_CONNECT, NR_CONNECT) != 'c') return -1;
    macros(l, 'H', 0, NULL);
    return event(l, 'H', "client.bench.example", 21, NO_HELO, NR_HELO) == 'c' ? 0 : -1;
}

static int message(link_t *l, int number) {
    char user[64], bracketed[80], data[4096];
    int c;
    snprintf(user, sizeof user, "user%d@corp%d.bench.example", number % 997, number % 50);
    snprintf(bracketed, sizeof bracketed, "<%s>", user);
    const char *mail[] = {"{auth_type}", "PLAIN", "{auth_authen}", user, "{auth_author}", "", "{mail_addr}", user,
                          "{mail_host}", "relay", "{mail_mailer}", "smtp"};
    macros(l, 'M', 12, mail);
    if ((c = event(l, 'M', bracketed, strlen(bracketed) + 1, NO_MAIL, NR_MAIL)) != 'c') return c;
    char rcpt[64];
    snprintf(rcpt, sizeof rcpt, "friend%d@dest%d.example.net", number % 1009, number % 211);
    snprintf(bracketed, sizeof bracketed, "<%s>", rcpt);
    const char *to[] = {"{rcpt_addr}", rcpt, "{rcpt_host}", "dest.example.net", "{rcpt_mailer}", "smtp"};
    macros(l, 'R', 6, to);
    if ((c = event(l, 'R', bracketed, strlen(bracketed) + 1, NO_RCPT, NR_RCPT)) != 'c') return c;
    const char *queue[] = {"i", "4BenchQueue1"};
    macros(l, 'T', 2, queue);
    if ((c = event(l, 'T', "", 0, NO_DATA, NR_DATA)) != 'c') return c;
    for (int i = 0; i < headers; i++) {
        int n = i == 0   ? snprintf(data, sizeof data, "From%c\"User %d\" <%s>", 0, number % 997, user)
                : i == 1 ? snprintf(data, sizeof data, "To%c%s", 0, rcpt)
                : i == 2 ? snprintf(data, sizeof data, "Subject%cQuarterly figures number %d for the team", 0, number)
                : i == 3 ? snprintf(data, sizeof data, "Message-Id%c<%d.%d.bench@corp.bench.example>", 0, number, (int)getpid())
                : i == 4 ? snprintf(data, sizeof data, "Date%cTue, 24 Nov 2026 10:00:00 +0000", 0)
                         : snprintf(data, sizeof data, "X-Bench-%d%cvalue %d of a header that no rule reads", i, 0, i);
        macros(l, 'L', 2, queue);
        if ((c = event(l, 'L', data, (size_t)n + 1, NO_HEADERS, NR_HEADER)) != 'c') return c;
    }
    macros(l, 'N', 2, queue);
    if ((c = event(l, 'N', "", 0, NO_EOH, NR_EOH)) != 'c') return c;
    static char block[65535];
    for (int left = body_bytes; left > 0;) {
        int n = left > (int)sizeof block ? (int)sizeof block : left;
        macros(l, 'B', 2, queue);
        if ((c = event(l, 'B', block, (size_t)n, NO_BODY, NR_BODY)) != 'c' && c != 's') return c;
        if (c == 's') break;
        left -= n;
    }
    macros(l, 'E', 2, queue);
    return event(l, 'E', "", 0, 0, 0);
}

static void *client(void *unused) {
    (void)unused;
    link_t *l = malloc(sizeof *l);
    for (;;) {
        int first = __sync_fetch_and_add(&next_message, per_connection);
        if (first >= messages) break;
        l->used = 0, l->steps = 0;
        l->fd = dial();
        int alive = l->fd >= 0 && greet(l) == 0;
        for (int i = first; i < first + per_connection && i < messages; i++) {
            double start = seconds();
            int c = alive ? message(l, i) : -1;
            latency[i] = seconds() - start;
            pthread_mutex_lock(&tally);
            if (c < 0) failures++; else verdicts[c]++;
            pthread_mutex_unlock(&tally);
            if (c < 0) alive = 0;
        }
        if (alive) put(l, 'Q', "", 0), flush(l);
        if (l->fd >= 0) close(l->fd);
    }
    free(l);
    return NULL;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc != 7) return fprintf(stderr, "usage: miltload SPEC CONNECTIONS MESSAGES PER_CONNECTION HEADERS BODY\n"), 2;
    spec = argv[1], connections = atoi(argv[2]), messages = atoi(argv[3]), per_connection = atoi(argv[4]);
    headers = atoi(argv[5]), body_bytes = atoi(argv[6]);
    latency = calloc((size_t)messages, sizeof *latency);
    pthread_t *threads = calloc((size_t)connections, sizeof *threads);
    double start = seconds();
    for (int i = 0; i < connections; i++) pthread_create(&threads[i], NULL, client, NULL);
    for (int i = 0; i < connections; i++) pthread_join(threads[i], NULL);
    double wall = seconds() - start;
    struct rusage own;
    getrusage(RUSAGE_SELF, &own);
    qsort(latency, (size_t)messages, sizeof *latency, ascending);
    printf("{\"messages\": %d, \"seconds\": %.4f, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"max_ms\": %.4f, "
           "\"client_cpu\": %.3f, \"failures\": %ld, \"verdicts\": {", messages, wall, latency[messages / 2] * 1e3,
           latency[(int)(messages * 0.99)] * 1e3, latency[messages - 1] * 1e3,
           own.ru_utime.tv_sec + own.ru_utime.tv_usec / 1e6 + own.ru_stime.tv_sec + own.ru_stime.tv_usec / 1e6, failures);
    const char *comma = "";
    for (int c = 0; c < 256; c++)
        if (verdicts[c]) printf("%s\"%c\": %ld", comma, c, verdicts[c]), comma = ", ";
    printf("}}\n");
    return failures ? 1 : 0;
}
