/*
 * schemas_datasets.c - the bodies that routes of datasets take, and a sample, which is whatever was uploaded. Part of
 * schemas.h.
 */
#include "server/schemas.h"

#define LABELS(value)                                                                                                  \
    "\"labels\":{\"type\":\"object\",\"maxProperties\":64,\"additionalProperties\":{\"type\":" value                   \
    ",\"maxLength\":255}}"
#define CRITERIA                                                                                                       \
    "\"ids\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"                                                    \
    "\"classes\":{\"type\":\"array\",\"items\":{\"type\":[\"integer\",\"string\"]}},"                                  \
    "\"where\":{\"type\":\"object\",\"description\":\"field: a value or a list of them\"},"                            \
    "\"rows\":{\"type\":\"array\",\"maxItems\":1000,\"items\":{\"type\":\"array\",\"minItems\":2,\"maxItems\":2,"      \
    "\"items\":{\"type\":\"integer\",\"minimum\":0}},\"description\":\"half-open ranges\"}"

void am_schemas_datasets(json_t *all)
{
    json_object_set_new(all, "Sample", json_pack("{s:s}", "type", "object"));
    json_object_set_new(
        all, "DatasetRequest",
        json_loads("{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"id\"],"
                   "\"properties\":{\"id\":{\"type\":\"string\",\"description\":\"namespace/name\"},"
                   "\"description\":{\"type\":\"string\",\"maxLength\":4096}," LABELS("\"string\"") "}}",
                   0, NULL));
    json_object_set_new(all, "DatasetPatch",
                        json_loads("{\"type\":\"object\",\"additionalProperties\":false,\"minProperties\":1,"
                                   "\"properties\":{\"description\":{\"type\":\"string\",\"maxLength\":4096}," LABELS(
                                       "[\"string\",\"null\"]") "}}",
                                   0, NULL));
    json_object_set_new(
        all, "Selection",
        json_loads(
            "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
            "\"dataset\":{\"type\":\"string\",\"description\":\"that of the path, or nothing\"}," CRITERIA
            ",\"except\":{\"type\":\"object\",\"additionalProperties\":false,\"minProperties\":1,"
            "\"properties\":{" CRITERIA "}},"
            "\"sample\":{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"n\"],\"properties\":{"
            "\"n\":{\"type\":\"integer\",\"minimum\":1},\"seed\":{\"type\":\"integer\",\"minimum\":0,"
            "\"default\":0}}}}}",
            0, NULL));
}
