/*
 * table_fixture.h - a small described registry for the tests of core/table, written by hand in the shape of api.md 3.9.
 */
#ifndef AM_TESTS_TABLE_FIXTURE_H
#define AM_TESTS_TABLE_FIXTURE_H

#define NEEDS(min, max, base, task, passes, acc)                                                                       \
    "\"needs\":{\"min_inputs\":" min ",\"max_inputs\":" max ",\"base\":\"" base "\",\"task\":\"" task                  \
    "\",\"data\":\"none\",\"engine\":false,\"unit\":\"window\",\"passes\":" passes                                     \
    ",\"scope\":\"tensor\",\"random\":false,\"symmetric\":true,\"deterministic\":\"any threads, any "                  \
    "kernels\",\"acc_bytes\":[" acc ",0,0]}"

#define HEAD(type, name)                                                                                               \
    "{\"id\":\"" type "/" name "\",\"type\":\"" type "\",\"name\":\"" name                                             \
    "\",\"since\":\"0.1\",\"paper\":\"\",\"summary\":\"s\","

#define TAIL(per_input) ",\"per_input\":" per_input ",\"advanced\":false,\"doc\":\"a doc\"}"

#define WEIGHT                                                                                                         \
    "{\"name\":\"weight\",\"kind\":\"real\",\"min\":-1000000,\"max\":1000000,\"required\":true,\"unit\":"              \
    "\"factor\"" TAIL("true")
#define NORMALIZE                                                                                                      \
    "{\"name\":\"normalize\",\"kind\":\"bool\",\"default\":true,\"required\":false,\"unit\":\"none\"" TAIL("false")

static const char registry[] = "{\"abi\":1,\"methods\":["
    /* edit */
    HEAD("edit", "sparsify") NEEDS(
        "1", "1", "none", "none", "1",
        "1000") ",\"params\":["
                "{\"name\":\"sparsity\",\"kind\":\"real\",\"min\":0,\"max\":1,\"open_max\":true,\"required\":true,"
                "\"unit\":\"fraction\"" TAIL(
                    "false") ","
                             "{\"name\":\"scope\",\"kind\":\"choice\",\"choices\":[\"tensor\",\"model\"],\"default\":"
                             "\"tensor\",\"required\":false,\"unit\":\"none\"" TAIL(
                                 "false") ","
                                          "{\"name\":\"include\",\"kind\":\"list\",\"default\":[\"*\"],\"required\":"
                                          "false,\"unit\":\"glob\"" TAIL(
                                              "false") ","
                                                       "{\"name\":\"note\",\"kind\":\"text\",\"default\":\"\","
                                                       "\"required\":false,\"unit\":\"none\"" TAIL(
                                                           "false") ","
                                                                    "{\"name\":\"rounds\",\"kind\":\"int\",\"min\":1,"
                                                                    "\"max\":8,\"default\":2,\"required\":false,"
                                                                    "\"unit\":\"rounds\"" TAIL(
                                                                        "false") ","
                                                                                 "{\"name\":\"power\",\"kind\":"
                                                                                 "\"real\",\"min\":0,\"open_min\":true,"
                                                                                 "\"default\":1,\"required\":false,"
                                                                                 "\"unit\":\"factor\"" TAIL(
                                                                                     "false") "],"
                                                                                              "\"rules\":[]},"
    /* merge */
    HEAD("merge", "linear") NEEDS(
        "1", "null", "optional", "none", "0",
        "0") ",\"params\":[" WEIGHT "," NORMALIZE "],"
             "\"rules\":[{\"kind\":\"sum_not_zero\",\"a\":\"weight\",\"b\":\"normalize\"}]}," HEAD("merge", "slerp")
                 NEEDS("2", "2", "none", "none", "0",
                       "0") ",\"params\":["
                            "{\"name\":\"t\",\"kind\":\"real\",\"required\":true,\"unit\":\"fraction\"" TAIL(
                                "false") "],\"rules\":[]}," HEAD("merge", "task_arithmetic")
                                NEEDS("1", "null", "required", "none", "2",
                                      "0") ",\"params\":[" WEIGHT ","
                                           "{\"name\":\"density\",\"kind\":\"real\",\"min\":0,\"max\":1,\"default\":1,"
                                           "\"required\":false,\"unit\":\"fraction\"" TAIL(
                                               "true") ","
                                                       "{\"name\":\"lambda\",\"kind\":\"real\",\"default\":1.0,"
                                                       "\"required\":false,\"unit\":\"factor\"" TAIL(
                                                           "false") "],\"rules\":[]},"
    /* unlearn */
    HEAD("unlearn", "noise")
        NEEDS("1", "1", "none", "none", "0", "0") ",\"params\":[],\"rules\":[]}," HEAD("unlearn", "task_negation")
            NEEDS("1", "1", "none", "required", "0",
                  "0") ",\"params\":["
                       "{\"name\":\"lambda\",\"kind\":\"real\",\"min\":0,\"max\":1,\"required\":true,\"unit\":"
                       "\"factor\"" TAIL("false") "],\"rules\":[]}]}";

#endif
