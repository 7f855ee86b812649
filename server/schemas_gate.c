/*
 * schemas_gate.c - the bodies of the routes of gates, for the document (schemas_parts.h). What a policy may be is
 * checked by core/gate.
 */
#include "server/schemas_parts.h"

json_t *am_schema_gate_policy(void)
{
    return json_loads(
        "{\"type\":\"object\",\"minProperties\":1,\"additionalProperties\":{\"type\":\"number\",\"description\":"
        "\"short form of a rule: NAME_max or NAME_min, such as nfr_max\"},\"properties\":{"
        "\"description\":{\"type\":\"string\",\"maxLength\":1000},"
        "\"min_samples\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":1000000000,\"default\":300},"
        "\"min_ids_matched\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1,\"default\":0.99},"
        "\"protected\":{\"type\":\"array\",\"maxItems\":100,\"items\":{\"type\":\"object\",\"additionalProperties\":"
        "false,\"required\":[\"key\",\"value\"],\"properties\":{\"key\":{\"type\":\"string\"},\"value\":{\"type\":"
        "\"string\"}}}},"
        "\"rules\":{\"type\":\"array\",\"maxItems\":100,\"items\":{\"type\":\"object\",\"required\":[\"id\"]}}}}",
        0, NULL);
}

json_t *am_schema_gate_check(void)
{
    return json_loads("{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
                      "\"report\":{\"type\":\"string\",\"description\":\"rep_...; not with the others\"},"
                      "\"old\":{\"type\":\"string\",\"description\":\"namespace/name@rev, or external:NAME\"},"
                      "\"new\":{\"type\":\"string\"},\"dataset\":{\"type\":\"string\"}}}",
                      0, NULL);
}
