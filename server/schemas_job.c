/*
 * schemas_job.c - the body of a job by type, for the OpenAPI document (schemas.h). A method's own row narrows it
 * (openapi.c); the checks themselves are core/table.
 */
#include "server/schemas.h"

#include "core/base/text.h"

#define MADE                                                                                                           \
    "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"job\"],\"properties\":{\"job\":{\"type\":"    \
    "\"string\",\"pattern\":\"^job_[0-9a-f]{32}$\"}},\"description\":\"what that job makes\"}"
#define VERSION "{\"oneOf\":[{\"type\":\"string\",\"description\":\"namespace/name@rev\"}," MADE "]}"
#define OLD_BASE                                                                                                       \
    "{\"oneOf\":[{\"type\":\"string\",\"description\":\"namespace/name@rev; port: the base that this model was tuned " \
    "from\"}," MADE "]}"
#define DATA                                                                                                           \
    "{\"oneOf\":[{\"type\":\"string\",\"minLength\":1,\"maxLength\":512,\"description\":\"name of the "                \
    "dataset\"},{\"type\":"                                                                                            \
    "\"object\",\"additionalProperties\":false,\"required\":[\"external\"],\"properties\":{\"external\":{\"type\":"    \
    "\"string\",\"minLength\":1,\"maxLength\":512},\"sha256\":{\"type\":\"string\"}}}]}"
#define SET "{\"type\":\"string\",\"pattern\":\"^prd_[0-9a-f]{32}$\"}"
#define STACK                                                                                                          \
    "{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"object\",\"additionalProperties\":false,\"required\":["  \
    "\"version\",\"layers\"],\"properties\":{\"version\":" VERSION ",\"adapter\":" VERSION                             \
    ",\"layers\":{\"type\":\"array\",\"minItems\":2,"                                                                  \
    "\"maxItems\":2,\"items\":{\"type\":\"integer\",\"minimum\":0}},\"use\":{\"enum\":[\"all\",\"layers\",\"none\"],"  \
    "\"default\":\"all\"}}},\"description\":\"layers [first, end) of "                                                 \
    "versions, one "                                                                                                   \
    "after the other\"}"
#define VERSIONS                                                                                                       \
    "\"versions\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":16,\"items\":{\"type\":\"string\",\"description\":"  \
    "\"namespace/name@rev, oldest first\"}}"
#define MODEL "\"model\":{\"type\":\"string\"},\"branch\":{\"type\":\"string\",\"default\":\"main\"}"
#define LINE_TASK(name)                                                                                                \
    "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"" name "\"],\"properties\":{\"" name          \
    "\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":512},\"random\":{\"type\":[\"number\",\"null\"],"           \
    "\"minimum\":"                                                                                                     \
    "0,\"maximum\":1},\"predictions\":{\"type\":[\"array\",\"null\"],\"items\":{\"type\":[\"string\",\"null\"],"       \
    "\"pattern\":\"^prd_[0-9a-f]{32}$\"}}}}"
/* A line of versions and its tasks, the versions by `what`. */
#define LINE(required, what)                                                                                           \
    "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"" required                                    \
    "\",\"tasks\"],\"properties\":{" what                                                                              \
    ",\"tasks\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":16,\"items\":{\"oneOf\":[{\"type\":\"string\","        \
    "\"minLength\":1,\"maxLength\":512}," LINE_TASK("name") "," LINE_TASK("external") "]}}}}"
/* What the names of tensors begin with. */
#define PREFIXES                                                                                                       \
    "{\"type\":\"array\",\"minItems\":1,\"maxItems\":16,\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":" \
    "256}}"
static const char *inputs_of(const char *type)
{
    if (am_streq(type, "merge"))
        return "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"models\"],\"properties\":{"
               "\"base\":{\"oneOf\":[{\"type\":\"string\",\"description\":\"namespace/name@rev, with or without "
               "+namespace/adapter@rev\"},{\"type\":\"object\",\"additionalProperties\":false,\"required\":["
               "\"version\"],\"properties\":{\"version\":" VERSION ",\"adapter\":" VERSION "}},"
               "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"stack\"],\"properties\":{"
               "\"stack\":" STACK ",\"modules\":" PREFIXES "}}," MADE
               "]},\"models\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"oneOf\":["
               "{\"type\":\"string\",\"description\":\"namespace/name@rev, with or without "
               "+namespace/adapter@rev\"}," MADE
               ",{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"stack\"],\"properties\":{"
               "\"stack\":" STACK ",\"params\":{\"type\":\"object\"},\"modules\":" PREFIXES "}}"
               ",{\"type\":\"object\",\"additionalProperties\":false,\"anyOf\":[{\"required\":[\"version\"]},{"
               "\"required\":[\"adapter\"]}],\"properties\":{\"version\":" VERSION ",\"adapter\":" VERSION
               ",\"base\":" OLD_BASE ",\"params\":{\"type\":\"object\"},\"modules\":" PREFIXES "}}]}}}}";
    if (am_streq(type, "unlearn"))
        return "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"model\"],\"properties\":{"
               "\"model\":" VERSION ",\"task\":{\"type\":\"object\",\"additionalProperties\":false,\"required\":["
               "\"version\"],\"properties\":{\"version\":" VERSION ",\"base\":" VERSION "}}}}";
    if (am_streq(type, "evaluate"))
        return "{\"oneOf\":[{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"old\",\"new\",\"data\"]"
               ","
               "\"properties\":{\"old\":" VERSION ",\"new\":" VERSION ",\"data\":" DATA "}},"
               "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"old_predictions\","
               "\"new_predictions\"],\"properties\":{\"old_predictions\":" SET ",\"new_predictions\":" SET
               "}}," LINE("versions", VERSIONS) "," LINE("model", MODEL) "]}";
    return "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"model\"],\"properties\":{"
           "\"model\":" VERSION "}}";
}

#define MOVE                                                                                                           \
    "{\"type\":\"array\",\"maxItems\":32,\"items\":{\"type\":\"object\",\"additionalProperties\":false,\"required\":"  \
    "[\"ref\"],\"properties\":{\"ref\":{\"type\":\"string\"},\"to\":{\"const\":\"new\",\"default\":\"new\"},\"when\":" \
    "{"                                                                                                                \
    "\"enum\":[\"promote\",\"always\"],\"default\":\"promote\"}}}}"

/* Of a job that makes a version: beside a policy in its short form stand the sides. */
#define GATE                                                                                                           \
    "{\"oneOf\":[{\"type\":\"string\",\"description\":\"name of a gate; enough where there is nothing to compare "     \
    "with\"}"                                                                                                          \
    ",{\"type\":\"object\",\"properties\":{\"policy\":{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"object\"}]},"      \
    "\"against\":{\"type\":\"string\"},\"old_predictions\":{\"type\":\"string\"},"                                     \
    "\"new_predictions\":{\"type\":\"string\"}}},{\"type\":\"null\"}]}"

static const char common[] =
    "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"type\",\"method\",\"inputs\"],\"properties\":{"
    "\"options\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
    "\"seed\":{\"type\":\"integer\",\"minimum\":0,\"default\":0},\"threads\":{\"type\":\"integer\",\"minimum\":1,"
    "\"maximum\":64},"
    "\"out_dtype\":{\"type\":\"string\"},\"shard_bytes\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":50000000000,"
    "\"default\":5000000000},"
    "\"max_attempts\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":10},"
    "\"time_limit_seconds\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":31622400},"
    "\"not_before\":{\"type\":\"string\",\"format\":\"date-time\"},\"reuse\":{\"type\":\"boolean\"},"
    "\"post_layers_t\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1},"
    "\"allow_mixed_architectures\":{\"type\":\"boolean\"},"
    "\"missing\":{\"enum\":[\"refuse\",\"present\",\"base\"],\"default\":\"refuse\"},"
    "\"extra\":{\"enum\":[\"refuse\",\"keep\",\"drop\"],\"default\":\"refuse\"},"
    "\"tokenizer\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"source\":{\"type\":"
    "\"string\",\"default\":\"union\"},\"tokens\":{\"type\":\"object\",\"additionalProperties\":{\"type\":"
    "\"object\",\"additionalProperties\":false,\"properties\":{\"source\":{\"type\":[\"string\",\"object\"]},"
    "\"force\":{\"type\":\"boolean\"}}}},\"pad_to_multiple_of\":{\"type\":\"integer\",\"minimum\":1,"
    "\"maximum\":65536}}},"
    "\"vocab\":{\"enum\":[\"refuse\",\"truncate\"],\"default\":\"refuse\"},"
    "\"chat_template\":{\"type\":\"string\",\"minLength\":1}}},"
    "\"mergekit_config\":{\"type\":\"string\"},"
    "\"publish\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
    "\"model\":{\"type\":\"string\"},\"branch\":{\"type\":\"string\",\"default\":\"main\"},\"message\":{\"type\":"
    "\"string\"},"
    "\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},\"if_head\":{\"type\":\"string\"},"
    "\"on_conflict\":{\"enum\":[\"append\",\"detach\",\"fail\"]},\"move\":" MOVE "}},"
    "\"gate\":" GATE ","
    "\"metadata\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}},"
    "\"client_token\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":255,\"description\":\"the same as the "
    "header Idempotency-Key\"},"
    "\"priority\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":100,\"default\":50}}}";

/* What an evaluate job has in place of a version to publish. */
static void narrow_evaluate(json_t *props)
{
    json_t *options = json_object_get(json_object_get(props, "options"), "properties");
    static const char *const of_weights[] = {"out_dtype", "shard_bytes", "post_layers_t", "allow_mixed_architectures",
                                             "tokenizer", "vocab",       "chat_template", "missing",
                                             "extra"};
    for (size_t i = 0; i < sizeof of_weights / sizeof *of_weights; i++)
        json_object_del(options, of_weights[i]);
    json_object_set_new(
        props, "publish",
        json_loads("{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"move\":" MOVE "}}", 0, NULL));
    json_object_set_new(props, "gate",
                        json_loads("{\"oneOf\":[{\"type\":\"string\",\"description\":\"name of a gate, with a "
                                   "revision if one is meant: default@3\"},{\"type\":\"object\",\"description\":"
                                   "\"{\\\"policy\\\": its name}, or a policy itself\"},{\"type\":\"null\"}]}",
                                   0, NULL));
}

/* Of the forms of inputs that such jobs have, the first two are those of a comparison, the others those of a line,
   which nothing judges and nothing follows. */
void am_schema_evaluate_inputs(json_t *body, const char *method)
{
    json_t *props = json_object_get(body, "properties"),
           *forms = json_object_get(json_object_get(props, "inputs"), "oneOf");
    bool line = am_streq(method, "continual");
    for (int i = 0; i < 2; i++)
        json_array_remove(forms, line ? 0 : 2);
    if (!line)
        return;
    json_object_del(props, "gate");
    json_object_del(json_object_get(json_object_get(props, "publish"), "properties"), "move");
}

json_t *am_schema_job_body(const char *type)
{
    json_t *body = json_loads(common, 0, NULL);
    if (am_streq(type, "evaluate"))
        narrow_evaluate(json_object_get(body, "properties"));
    json_object_set_new(json_object_get(body, "properties"), "inputs", json_loads(inputs_of(type), 0, NULL));
    return body;
}
