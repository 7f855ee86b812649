/*
 * fuzz_adapter.c - libFuzzer over LoRA adapters: a configuration up to the first NUL, then a tensor a line, "name dtype
 * [shape]". Whatever bytes come, reading them gives faults or parts that can be found and held to a base.
 */
#include "core/table/adapter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TENSORS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t read_tensors(char *text, struct am_adapter_tensor *t)
{
    size_t n = 0;
    for (char *line = text, *next; line && *line && n < TENSORS; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        char *dtype = strchr(line, ' '), *shape = dtype ? strchr(dtype + 1, ' ') : NULL;
        if (!shape)
            continue;
        *dtype = *shape = 0;
        t[n] = (struct am_adapter_tensor){.name = line, .dtype = dtype + 1};
        am_adapter_shape(&t[n++], shape + 1);
    }
    return n;
}

/* The parts' own targets as a base, which has some of them in the shape of their tensors. */
static void hold(struct am_adapter *a, const struct am_adapter_tensor *t, const struct am_adapter_about *about,
                 struct am_faults *f)
{
    struct am_adapter_fit fit = {.a = a, .t = t, .about = about, .f = f};
    for (size_t i = 0; i < a->parts; i++) {
        const struct am_adapter_part *p = &a->part[i];
        struct am_adapter_tensor base = t[p->whole != AM_ADAPTER_NONE ? p->whole
                                          : p->a != AM_ADAPTER_NONE   ? p->a
                                                                      : p->bias];
        base.name = p->target;
        if (am_adapter_find(a, p->target) != p)
            abort();
        if (i % 3)
            am_adapter_meet(&fit, &base);
    }
    am_adapter_missed(&fit);
    am_adapter_base_differs(a, "d/base");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct am_adapter_about about = {"d/lora@v1", "d/base@v1", "#/inputs/models/0"};
    struct am_adapter_tensor t[TENSORS];
    struct am_adapter a = {0};
    struct am_faults faults = {0};
    char *text = malloc(size + 2);
    if (!text)
        abort();
    memcpy(text, data, size);
    text[size] = text[size + 1] = 0;
    size_t config = strlen(text), n = config < size ? read_tensors(text + config + 1, t) : 0;
    if (am_adapter_read(&a, text, config, t, n, &about, &faults) < 0)
        abort();
    if ((a.parts == 0) != (faults.total > 0))
        abort();
    hold(&a, t, &about, &faults);
    for (size_t i = 0; i < faults.n; i++)
        if (!faults.v[i].detail || !faults.v[i].reason)
            abort();
    am_adapter_done(&a);
    am_faults_done(&faults);
    free(text);
    return 0;
}
