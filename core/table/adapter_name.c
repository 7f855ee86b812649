/*
 * adapter_name.c - the names that PEFT gives the tensors of an adapter (adapter.h).
 */
#include "core/table/adapter_parts.h"

#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "base_model.model."

/* What follows "lora_A" and its likes: nothing, ".weight", ".bias", each also after the name of the adapter. */
static bool is_tail(const char *tail, const char *member)
{
    const char *dot = tail[0] == '.' ? strchr(tail + 1, '.') : NULL;
    if (am_streq(tail, member))
        return true;
    if (!*member) /* only the name of the adapter */
        return tail[0] == '.' && tail[1] && !dot;
    return dot && dot > tail + 1 && am_streq(dot, member);
}

static bool low_rank(struct am_adapter_name *ret, const char *after)
{
    static const struct {
        const char *word, *member;
        enum am_adapter_slot slot;
        bool embedding;
    } known[] = {{"lora_A", ".weight", AM_LORA_A, false},
                 {"lora_B", ".weight", AM_LORA_B, false},
                 {"lora_B", ".bias", AM_LORA_BIAS, false},
                 {"lora_embedding_A", "", AM_LORA_A, true},
                 {"lora_embedding_B", "", AM_LORA_B, true}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!am_starts(after, known[i].word) || !is_tail(after + strlen(known[i].word), known[i].member))
            continue;
        ret->slot = known[i].slot;
        ret->embedding = known[i].embedding;
        return true;
    }
    return false;
}

/* Takes what wrappers put between a module and its tensor out of the name. */
static void unwrap(char *name)
{
    static const char *const words[] = {".base_layer.", ".modules_to_save."};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char *at = strstr(name, words[i]);
        if (!at)
            continue;
        const char *rest = at + strlen(words[i]) - 1, *last = strrchr(rest, '.');
        memmove(at, i ? last : rest, strlen(i ? last : rest) + 1); /* the name of the adapter goes, too */
    }
}

int am_adapter_name(struct am_adapter_name *ret, const char *name)
{
    struct am_adapter_name n = {.slot = AM_LORA_STRANGE};
    const char *own = am_starts(name, PREFIX) ? name + strlen(PREFIX) : name, *lora = strstr(own, ".lora_");
    if (lora && low_rank(&n, lora + 1)) {
        n.module = (size_t)(lora - own);
        if (asprintf(&n.target, "%.*s.%s", (int)n.module, own, n.slot == AM_LORA_BIAS ? "bias" : "weight") < 0)
            return -AM_E_OUT_OF_MEMORY;
    } else {
        n.target = strdup(own);
        if (!n.target)
            return -AM_E_OUT_OF_MEMORY;
        if (!strstr(own, "lora_") && !strstr(own, "vera_lambda"))
            n.slot = AM_LORA_WHOLE;
        unwrap(n.target);
        const char *dot = strrchr(n.target, '.');
        n.module = dot ? (size_t)(dot - n.target) : 0;
    }
    *ret = n;
    return 0;
}
