/* SPDX-License-Identifier: Apache-2.0 */
/* base/bytes.h and base/mem.h: spans, buffers, readers, the heap, wiping and comparing. */
#include <stdlib.h>

#include "base/mem.h"
#include "tests/lib/test.h"

/* ---- An allocator that shows what a block held when it was given back ---- */

static size_t freed_nonzero, freed;

static void *counting_calloc(size_t n, size_t size)
{
    size_t *block = (size_t *)calloc(1, n * size + 2 * sizeof(size_t));
    block[0] = n * size;
    return block + 2;
}

static void counting_free(void *memory)
{
    if (memory == NULL) {
        return;
    }
    size_t *block = (size_t *)memory - 2;
    const uint8_t *bytes = (const uint8_t *)memory;
    for (size_t i = 0; i < block[0]; i++) {
        freed_nonzero += bytes[i] != 0;
    }
    freed++;
    free(block);
}

static const struct dkv_mem_ops counting_ops = {.calloc = counting_calloc, .realloc = NULL, .free = counting_free};

static void use_counting(void)
{
    freed = freed_nonzero = 0;
    dkv_mem_use(&counting_ops);
}

/* ---- Spans ---- */

static void spans_are_equal_by_length_and_bytes(void)
{
    CU_ASSERT_TRUE(dkv_span_equal(dkv_span_str("abc"), dkv_span_str("abc")));
    CU_ASSERT_FALSE(dkv_span_equal(dkv_span_str("abc"), dkv_span_str("abd")));
    CU_ASSERT_FALSE(dkv_span_equal(dkv_span_str("abc"), dkv_span_str("ab")));
    CU_ASSERT_TRUE(dkv_span_equal(dkv_span(NULL, 0), dkv_span_str("")));
}

/* ---- Buffers ---- */

static void appends_add_up(void)
{
    struct dkv_error err = {0};
    struct dkv_buf buf = {0};

    ASSERT_OK(dkv_buf_append(&buf, dkv_span("\0\1", 2), &err));
    ASSERT_OK(dkv_buf_append_str(&buf, "ab", &err));
    ASSERT_OK(dkv_buf_append(&buf, dkv_span(NULL, 0), &err));
    ASSERT_OK(dkv_buf_printf(&buf, &err, "%d-%s", 42, "x"));

    CU_ASSERT_TRUE(dkv_span_equal(dkv_span_buf(&buf), dkv_span("\0\1ab42-x", 8)));
    dkv_buf_done(&buf);
    CU_ASSERT(buf.data == NULL && buf.len == 0 && buf.capacity == 0);
    dkv_buf_done(&buf);
    dkv_buf_done(NULL);
}

static void printf_writes_more_than_there_was_room_for(void)
{
    struct dkv_error err = {0};
    struct dkv_buf buf = {0};

    for (int len = 0; len < 300; len++) {
        ASSERT_OK(dkv_buf_printf(&buf, &err, "%0*d", len, 0));
    }

    CU_ASSERT_EQUAL(buf.len, 1 + 299 * 300 / 2);
    CU_ASSERT_EQUAL(buf.data[buf.len - 1], '0');
    CU_ASSERT(buf.capacity < 4 * buf.len);
    dkv_buf_done(&buf);
}

static void text_ends_with_a_nul_that_is_not_counted(void)
{
    struct dkv_error err = {0};
    struct dkv_buf buf = {0};

    CU_ASSERT_STRING_EQUAL(dkv_buf_text(&buf), "");
    CU_ASSERT_EQUAL(buf.len, 0);
    for (size_t i = 1; i <= 200; i++) {
        ASSERT_OK(dkv_buf_append_str(&buf, "x", &err));
        CU_ASSERT_EQUAL_FATAL(strlen(dkv_buf_text(&buf)), i);
        CU_ASSERT_EQUAL_FATAL(buf.len, i);
    }
    dkv_buf_done(&buf);
}

static void what_a_buffer_leaves_is_wiped(void)
{
    struct dkv_error err = {0};
    struct dkv_buf buf = {0};
    use_counting();

    for (int i = 0; i < 1000; i++) {
        ASSERT_OK(dkv_buf_append_str(&buf, "secret", &err));
    }
    buf.len = 3; /* what lies behind len counts as well */
    dkv_buf_done(&buf);

    dkv_mem_use(NULL);
    CU_ASSERT(freed > 3);
    CU_ASSERT_EQUAL(freed_nonzero, 0);
}

static void a_reservation_that_overflows_fails_and_changes_nothing(void)
{
    struct dkv_error err = {0};
    struct dkv_buf buf = {0};
    ASSERT_OK(dkv_buf_append_str(&buf, "abc", &err));
    const struct dkv_buf before = buf;

    ASSERT_RC(DKV_E_RESOURCE, dkv_buf_reserve(&buf, SIZE_MAX, &err));
    ASSERT_RC(DKV_E_RESOURCE, dkv_buf_reserve(&buf, SIZE_MAX - 3, &err));
    ASSERT_RC(DKV_E_RESOURCE, dkv_buf_reserve(&buf, SIZE_MAX / 2, &err));

    CU_ASSERT(buf.data == before.data && buf.len == 3 && buf.capacity == before.capacity);
    dkv_buf_done(&buf);
}

static void steal_moves_and_frees_what_was_there(void)
{
    struct dkv_error err = {0};
    struct dkv_buf from = {0}, to = {0};
    use_counting();
    ASSERT_OK(dkv_buf_append_str(&from, "new", &err));
    ASSERT_OK(dkv_buf_append_str(&to, "old", &err));

    dkv_buf_steal(&to, &from);

    CU_ASSERT_EQUAL(freed, 1);
    CU_ASSERT_EQUAL(freed_nonzero, 0);
    CU_ASSERT_PTR_NULL(from.data);
    CU_ASSERT_STRING_EQUAL(dkv_buf_text(&to), "new");
    dkv_buf_steal(&to, &to);
    CU_ASSERT_STRING_EQUAL(dkv_buf_text(&to), "new");
    dkv_buf_done(&to);
    dkv_mem_use(NULL);
}

static enum dkv_rc fill_a_buffer(void *arg, struct dkv_error *err)
{
    (void)arg;
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf buf = {0};
    DKV_TRY(dkv_buf_append_str(&buf, "some text", err));
    DKV_TRY(dkv_buf_reserve(&buf, 64, err));
    DKV_TRY(dkv_buf_printf(&buf, err, "%300d", 1));
    DKV_TRY(dkv_to_base64(dkv_span_str("a longer text, in base64"), &buf, err));
    DKV_TRY(dkv_buf_reserve(&buf, 4096, err));
    return dkv_buf_text(&buf) != NULL ? DKV_OK : DKV_E_RESOURCE;
}

static void each_failing_allocation_is_told(void)
{
    CU_ASSERT(dkv_test_each_alloc_fails(fill_a_buffer, NULL) >= 4);
}

static void *no_calloc(size_t n, size_t size)
{
    (void)n;
    (void)size;
    return NULL;
}

static void without_memory_text_is_null_and_copies_are_null(void)
{
    static const struct dkv_mem_ops no_ops = {.calloc = no_calloc, .realloc = realloc, .free = free};
    struct dkv_buf buf = {0};
    dkv_mem_use(&no_ops);

    const char *text = dkv_buf_text(&buf);
    char *copy = dkv_strdup("x");

    dkv_mem_use(NULL);
    CU_ASSERT_PTR_NULL(text);
    CU_ASSERT_PTR_NULL(copy);
}

/* ---- Readers ---- */

static void a_reader_takes_fields_off_the_front(void)
{
    struct dkv_reader reader = {.rest = dkv_span("\x01""abc", 4)};
    uint8_t byte = 0;
    struct dkv_span bytes = {0};

    CU_ASSERT_TRUE(dkv_read_u8(&reader, &byte));
    CU_ASSERT_FALSE(dkv_read_is_empty(&reader));
    CU_ASSERT_TRUE(dkv_read_bytes(&reader, 3, &bytes));

    CU_ASSERT_EQUAL(byte, 1);
    CU_ASSERT_TRUE(dkv_span_equal(bytes, dkv_span_str("abc")));
    CU_ASSERT_TRUE(dkv_read_is_empty(&reader));
    CU_ASSERT_TRUE(dkv_read_bytes(&reader, 0, &bytes));
    CU_ASSERT_EQUAL(bytes.len, 0);
}

static void a_reader_that_lacks_bytes_takes_none(void)
{
    struct dkv_reader reader = {.rest = dkv_span("\x07", 1)};
    struct dkv_reader empty = {0};
    uint8_t byte = 99;
    struct dkv_span bytes = {.len = 99};

    CU_ASSERT_FALSE(dkv_read_bytes(&reader, 2, &bytes));
    CU_ASSERT_FALSE(dkv_read_bytes(&reader, SIZE_MAX, &bytes));
    CU_ASSERT_FALSE(dkv_read_u8(&empty, &byte));

    CU_ASSERT(byte == 99 && bytes.len == 99);
    CU_ASSERT_TRUE(dkv_read_u8(&reader, &byte));
    CU_ASSERT_EQUAL(byte, 7);
    CU_ASSERT_TRUE(dkv_read_bytes(&empty, 0, &bytes));
}

/* ---- Heap, wiping, comparing ---- */

static void equal_ct_sees_every_difference(void)
{
    uint8_t left[64], right[64];
    for (size_t i = 0; i < sizeof(left); i++) {
        left[i] = right[i] = (uint8_t)(i * 7);
    }
    CU_ASSERT_EQUAL(dkv_equal_ct(left, right, sizeof(left)), 1);
    CU_ASSERT_EQUAL(dkv_equal_ct(left, right, 0), 1);
    CU_ASSERT_EQUAL(dkv_equal_ct(NULL, NULL, 0), 1);
    for (size_t bit = 0; bit < 8 * sizeof(left); bit++) {
        right[bit / 8] ^= (uint8_t)(1U << bit % 8);
        CU_ASSERT_EQUAL_FATAL(dkv_equal_ct(left, right, sizeof(left)), 0);
        CU_ASSERT_EQUAL_FATAL(dkv_equal_ct(left, right, bit / 8), 1);
        right[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

static void wipe_clears_so_much_and_no_more(void)
{
    uint8_t bytes[16];
    memset(bytes, 0xff, sizeof(bytes));

    dkv_wipe(bytes + 4, 8);
    dkv_wipe(NULL, 0);

    for (size_t i = 0; i < sizeof(bytes); i++) {
        CU_ASSERT_EQUAL_FATAL(bytes[i], i >= 4 && i < 12 ? 0 : 0xff);
    }
}

static void heap_memory_is_zeroed_and_overflow_is_refused(void)
{
    uint8_t *bytes = (uint8_t *)dkv_calloc(8, 8);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    for (size_t i = 0; i < 64; i++) {
        CU_ASSERT_EQUAL_FATAL(bytes[i], 0);
    }
    bytes = (uint8_t *)dkv_realloc(bytes, 128);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    dkv_freep(&bytes);
    dkv_free(NULL);
    volatile size_t huge = SIZE_MAX / 2; /* out of the compiler's sight, which would warn */
    CU_ASSERT_PTR_NULL(dkv_calloc(huge, 3));
}

static void copies_end_with_a_nul(void)
{
    char *whole = dkv_strdup("text");
    char *part = dkv_strndup("text", 2);
    char *longer = dkv_strndup("text", 99);
    static const char unterminated[3] = {'a', 'b', 'c'};
    char *exact = dkv_strndup(unterminated, 3);

    CU_ASSERT_STRING_EQUAL(whole, "text");
    CU_ASSERT_STRING_EQUAL(part, "te");
    CU_ASSERT_STRING_EQUAL(longer, "text");
    CU_ASSERT_STRING_EQUAL(exact, "abc");
    dkv_free(whole);
    dkv_free(part);
    dkv_free(longer);
    dkv_free(exact);
}

static const struct dkv_test tests[] = {
    DKV_TEST(spans_are_equal_by_length_and_bytes),
    DKV_TEST(appends_add_up),
    DKV_TEST(printf_writes_more_than_there_was_room_for),
    DKV_TEST(text_ends_with_a_nul_that_is_not_counted),
    DKV_TEST(what_a_buffer_leaves_is_wiped),
    DKV_TEST(a_reservation_that_overflows_fails_and_changes_nothing),
    DKV_TEST(steal_moves_and_frees_what_was_there),
    DKV_TEST(each_failing_allocation_is_told),
    DKV_TEST(without_memory_text_is_null_and_copies_are_null),
    DKV_TEST(a_reader_takes_fields_off_the_front),
    DKV_TEST(a_reader_that_lacks_bytes_takes_none),
    DKV_TEST(equal_ct_sees_every_difference),
    DKV_TEST(wipe_clears_so_much_and_no_more),
    DKV_TEST(heap_memory_is_zeroed_and_overflow_is_refused),
    DKV_TEST(copies_end_with_a_nul),
};

int main(int argc, char **argv)
{
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
