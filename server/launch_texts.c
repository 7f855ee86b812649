/*
 * launch_texts.c - which of an input's small files a worker may read, when the job asks about tokenizers
 * (worker/contract.md, member `texts`).
 */
#include "core/base/text.h"
#include "server/launch_parts.h"

bool am_launch_reads_texts(const json_t *options)
{
    return json_is_object(json_object_get(options, "tokenizer")) || json_object_get(options, "chat_template") ||
           json_object_get(options, "vocab");
}

bool am_launch_is_text(const char *path)
{
    static const char *const names[] = {"tokenizer.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "config.json",
                                        "generation_config.json",
                                        "chat_template.jinja",
                                        "chat_template.json",
                                        "vocab.json",
                                        "vocab.txt",
                                        "merges.txt",
                                        "tokenizer.model",
                                        "spiece.model",
                                        "sentencepiece.bpe.model"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (am_streq(path, names[i]))
            return true;
    return false;
}
