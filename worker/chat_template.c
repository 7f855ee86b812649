/*
 * chat_template.c - see chat_template.h. The built-in texts were written for amend from the formats as they are
 * published; a loop over messages, what comes before and after each, and the beginning of an answer.
 */
#include "worker/chat_template.h"

#include "core/base/text.h"

#include <jansson.h>
#include <string.h>

static const struct {
    const char *name, *text;
} builtin[] = {
    {"alpaca", "{%- for message in messages -%}\n"
               "{%- if message['role'] == 'system' -%}\n"
               "{{ message['content'] + '\\n\\n' }}\n"
               "{%- elif message['role'] == 'user' -%}\n"
               "{{ '### Instruction:\\n' + message['content'] + '\\n\\n' }}\n"
               "{%- elif message['role'] == 'assistant' -%}\n"
               "{{ '### Response:\\n' + message['content'] + eos_token + '\\n\\n' }}\n"
               "{%- endif -%}\n"
               "{%- endfor -%}\n"
               "{%- if add_generation_prompt -%}\n"
               "{{ '### Response:\\n' }}\n"
               "{%- endif -%}"},
    {"chatml", "{%- for message in messages -%}\n"
               "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}\n"
               "{%- endfor -%}\n"
               "{%- if add_generation_prompt -%}\n"
               "{{ '<|im_start|>assistant\\n' }}\n"
               "{%- endif -%}"},
    {"exaone", "{%- for message in messages -%}\n"
               "{%- if loop.first and message['role'] != 'system' -%}\n"
               "{{ '[|system|][|endofturn|]\\n' }}\n"
               "{%- endif -%}\n"
               "{{ '[|' + message['role'] + '|]' + message['content'] }}\n"
               "{%- if message['role'] != 'user' -%}\n"
               "{{ '[|endofturn|]' }}\n"
               "{%- endif -%}\n"
               "{{ '\\n' }}\n"
               "{%- endfor -%}\n"
               "{%- if add_generation_prompt -%}\n"
               "{{ '[|assistant|]' }}\n"
               "{%- endif -%}"},
    {"llama3", "{{- bos_token -}}\n"
               "{%- for message in messages -%}\n"
               "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim "
               "+ '<|eot_id|>' }}\n"
               "{%- endfor -%}\n"
               "{%- if add_generation_prompt -%}\n"
               "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}\n"
               "{%- endif -%}"},
    {"mistral", "{{- bos_token -}}\n"
                "{%- set ns = namespace(system='') -%}\n"
                "{%- for message in messages -%}\n"
                "{%- if message['role'] == 'system' -%}\n"
                "{%- set ns.system = message['content'] + '\\n\\n' -%}\n"
                "{%- elif message['role'] == 'user' -%}\n"
                "{{ '[INST] ' + ns.system + message['content'] + ' [/INST]' }}\n"
                "{%- set ns.system = '' -%}\n"
                "{%- elif message['role'] == 'assistant' -%}\n"
                "{{ ' ' + message['content'] + eos_token }}\n"
                "{%- endif -%}\n"
                "{%- endfor -%}"},
};

const char *am_chat_builtin(const char *name)
{
    for (size_t i = 0; i < sizeof builtin / sizeof *builtin; i++)
        if (am_streq(builtin[i].name, name))
            return builtin[i].text;
    return NULL;
}

char *am_chat_of(const char *text, size_t n)
{
    json_t *root = json_loadb(text, n, JSON_DECODE_INT_AS_REAL, NULL), *o, *v = json_object_get(root, "chat_template");
    const char *found = json_string_value(v);
    size_t i;
    json_array_foreach(v, i, o) if (am_streq(json_string_value(json_object_get(o, "name")), "default")) found =
        json_string_value(json_object_get(o, "template"));
    char *own = found ? strdup(found) : NULL;
    json_decref(root);
    return own;
}

const char *am_chat_most_common(char *const *v, size_t n)
{
    const char *best = NULL;
    size_t most = 0;
    for (size_t i = 0; i < n; i++) {
        size_t same = 0;
        for (size_t k = 0; v[i] && k < n; k++)
            same += am_streq(v[i], v[k]);
        if (same > most) {
            most = same;
            best = v[i];
        }
    }
    return best;
}
