/* noop: a libmilter filter that asks for every event and answers CONTINUE to each: the yardstick of `make bench`.
 *
 * noop SPEC    (as smfi_setconn takes it)
 */
#include <libmilter/mfapi.h>
#include <stdio.h>
#include <stdlib.h>

static sfsistat on_connect(SMFICTX *c, char *n, _SOCK_ADDR *a) { (void)c, (void)n, (void)a; return SMFIS_CONTINUE; }
static sfsistat on_text(SMFICTX *c, char *t) { (void)c, (void)t; return SMFIS_CONTINUE; }
static sfsistat on_args(SMFICTX *c, char **v) { (void)c, (void)v; return SMFIS_CONTINUE; }
static sfsistat on_header(SMFICTX *c, char *n, char *v) { (void)c, (void)n, (void)v; return SMFIS_CONTINUE; }
static sfsistat on_body(SMFICTX *c, unsigned char *b, size_t n) { (void)c, (void)b, (void)n; return SMFIS_CONTINUE; }
static sfsistat on_plain(SMFICTX *c) { (void)c; return SMFIS_CONTINUE; }
static sfsistat on_unknown(SMFICTX *c, const char *t) { (void)c, (void)t; return SMFIS_CONTINUE; }

int main(int argc, char **argv) {
    struct smfiDesc filter = {
        "noop", SMFI_VERSION, 0, on_connect, on_text, on_args, on_args, on_header, on_plain, on_body,
        on_plain, on_plain, on_plain, on_unknown, on_plain, NULL,
    };
    if (argc != 2) return fprintf(stderr, "usage: noop SPEC\n"), 2;
    if (smfi_setconn(argv[1]) != MI_SUCCESS || smfi_register(filter) != MI_SUCCESS || smfi_opensocket(1) != MI_SUCCESS)
        return 1;
    return smfi_main() == MI_SUCCESS ? 0 : 1;
}
