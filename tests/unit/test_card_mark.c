/* test_card_mark.c - a sealed card is known as ours until one byte of it changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the four above */
#include <cmocka.h>

#include "core/table/card_mark.h"

#include <string.h>

static void a_seal_holds_until_a_byte_changes(void **state)
{
    (void)state;
    struct am_buf b;
    am_buf_init(&b, 4096);
    assert_int_equal(am_buf_puts(&b, "---\ntags:\n- x\n---\n\n# x\n"), 0);
    assert_false(am_card_is_sealed(b.data, b.len));
    assert_int_equal(am_card_seal(&b), 0);
    assert_true(am_card_is_sealed(b.data, b.len));
    assert_true(memcmp(b.data + b.len - 5, " -->\n", 5) == 0);
    for (size_t i = 0; i < b.len; i++) {
        b.data[i] ^= 1;
        assert_false(am_card_is_sealed(b.data, b.len));
        b.data[i] ^= 1;
    }
    assert_false(am_card_is_sealed(b.data, b.len - 1));
    assert_false(am_card_is_sealed(b.data + 1, b.len - 1));
    assert_false(am_card_is_sealed("", 0));
    am_buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_seal_holds_until_a_byte_changes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
