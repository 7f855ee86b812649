/*
 * doc.c - see doc.h. Texts of others are escaped here and nowhere else; the page's style is doc_style.c.
 */
#include "server/doc.h"

#include "core/base/text.h"
#include "server/doc_style.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void put(struct am_doc *d, const char *bytes, size_t n)
{
    if (d->rc == 0)
        d->rc = am_buf_put(d->buf, bytes, n);
}

void am_doc_put(struct am_doc *d, const char *own)
{
    put(d, own, strlen(own));
}

static void putv(struct am_doc *d, const char *fmt, va_list ap)
{
    char text[1024];
    int n = vsnprintf(text, sizeof text, fmt, ap);
    if (d->rc == 0 && (n < 0 || (size_t)n >= sizeof text))
        d->rc = -AM_E_TOO_LARGE;
    else
        am_doc_put(d, text);
}

void am_doc_putf(struct am_doc *d, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    putv(d, fmt, ap);
    va_end(ap);
}

void am_doc_html(struct am_doc *d, const char *fmt, ...)
{
    va_list ap;
    if (d->form != AM_DOC_HTML)
        return;
    va_start(ap, fmt);
    putv(d, fmt, ap);
    va_end(ap);
}

void am_doc_md(struct am_doc *d, const char *fmt, ...)
{
    va_list ap;
    if (d->form != AM_DOC_MD)
        return;
    va_start(ap, fmt);
    putv(d, fmt, ap);
    va_end(ap);
}

/* ---- texts of others ---- */

/* Length of the UTF-8 character at `p`; its code point. A byte that is none counts alone, as U+FFFD. */
static size_t decode(const char *p, unsigned *ret)
{
    const unsigned char *s = (const unsigned char *)p;
    size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 0;
    if (!n || strnlen(p, n) < n || !am_utf8_ok(p, n)) {
        *ret = 0xfffd;
        return 1;
    }
    unsigned v = n == 1 ? s[0] : s[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++)
        v = v << 6 | (s[i] & 0x3f);
    *ret = v;
    return n;
}

/* What moves other characters about, or shows nothing and could hide something. */
static bool tricky(unsigned c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || c == 0xfffd;
}

static const char *html_entity(unsigned c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

static void put_one(struct am_doc *d, const char *p, size_t n, unsigned c)
{
    const char *entity = d->form == AM_DOC_HTML ? html_entity(c) : NULL;
    bool escape = d->form == AM_DOC_MD && c < 0x80 && strchr("\\`*_[]<>|~&", (int)c);
    escape = escape || (d->form == AM_DOC_MD && am_starts(p, "://")); /* no link by itself */
    if (c == '\n' || c == '\t' || c == '\r')
        am_doc_put(d, " ");
    else if (tricky(c))
        am_doc_putf(d, c == 0xfffd ? "\xef\xbf\xbd" : "U+%04X", c);
    else if (entity)
        am_doc_put(d, entity);
    else {
        am_doc_put(d, escape ? "\\" : "");
        put(d, p, n);
    }
}

void am_doc_text(struct am_doc *d, const char *text)
{
    unsigned c;
    for (size_t n; *text; text += n) {
        n = decode(text, &c);
        put_one(d, text, n, c);
    }
}

void am_doc_name(struct am_doc *d, const char *text)
{
    bool ascii = true;
    for (const char *p = text; *p; p++)
        ascii = ascii && (unsigned char)*p < 0x80;
    if (!*text) {
        am_doc_put(d, d->form == AM_DOC_HTML ? "<i>(empty)</i>" : "(empty)");
        return;
    }
    am_doc_html(d, "<bdi>");
    am_doc_md(d, "%s", ascii ? "" : "\xe2\x81\xa8"); /* U+2068 .. U+2069: an isolate */
    am_doc_text(d, text);
    am_doc_md(d, "%s", ascii ? "" : "\xe2\x81\xa9");
    am_doc_html(d, "</bdi>");
}

void am_doc_number(struct am_doc *d, double exact, const char *shown)
{
    char text[AM_F64_TEXT];
    am_f64_text(exact, text);
    if (d->form == AM_DOC_HTML)
        am_doc_putf(d, "<data value=\"%s\">%s</data>", text, shown);
    else
        am_doc_put(d, shown);
}

/* ---- the parts of a document ---- */

void am_doc_begin(struct am_doc *d, enum am_doc_form form, struct am_buf *buf, const char *title)
{
    *d = (struct am_doc){.buf = buf, .form = form};
    if (form == AM_DOC_HTML) {
        am_doc_put(d, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                      "<meta name=\"color-scheme\" content=\"light dark\">\n"
                      "<meta http-equiv=\"Content-Security-Policy\" content=\"" AM_DOC_CSP "\">\n<title>");
        am_doc_text(d, title);
        am_doc_put(d, "</title>\n<style>\n");
        am_doc_put(d, am_doc_style);
        am_doc_put(d, "</style>\n</head>\n<body>\n<main>\n<h1>");
        am_doc_text(d, title);
        am_doc_put(d, "</h1>\n");
    } else {
        am_doc_put(d, "# ");
        am_doc_text(d, title);
        am_doc_put(d, "\n\n");
    }
}

int am_doc_end(struct am_doc *d)
{
    am_doc_html(d, "</main>\n</body>\n</html>\n");
    return d->rc;
}

void am_doc_heading(struct am_doc *d, const char *own)
{
    am_doc_html(d, "<h2>%s</h2>\n", own);
    am_doc_md(d, "## %s\n\n", own);
}

void am_doc_open(struct am_doc *d, const char *kind)
{
    am_doc_html(d, kind ? "<p class=\"%s\">" : "<p>", kind);
}

void am_doc_close(struct am_doc *d)
{
    am_doc_html(d, "</p>\n");
    am_doc_md(d, "\n\n");
}

void am_doc_items(struct am_doc *d, bool begin)
{
    am_doc_html(d, begin ? "<ul>\n" : "</ul>\n");
    am_doc_md(d, "%s", begin ? "" : "\n");
}

void am_doc_item(struct am_doc *d, const char *kind)
{
    am_doc_html(d, kind ? "<li class=\"%s\">" : "<li>", kind);
    am_doc_md(d, "- ");
}

void am_doc_item_end(struct am_doc *d)
{
    am_doc_html(d, "</li>\n");
    am_doc_md(d, "\n");
}

/* ---- tables ---- */

static void html_head(struct am_doc *d, const char *caption, const char *const *heads)
{
    am_doc_putf(d, "<table>\n<caption>%s</caption>\n<thead><tr>", caption);
    for (size_t i = 0; heads[i]; i++)
        am_doc_putf(d, heads[i][0] == '>' ? "<th scope=\"col\" class=\"num\">%s</th>" : "<th scope=\"col\">%s</th>",
                    heads[i] + (heads[i][0] == '>' || heads[i][0] == '|'));
    am_doc_put(d, "</tr></thead>\n<tbody>\n");
}

static void md_head(struct am_doc *d, const char *const *heads)
{
    for (size_t i = 0; heads[i]; i++)
        if (heads[i][0] != '|')
            am_doc_putf(d, "| %s ", heads[i] + (heads[i][0] == '>'));
    am_doc_put(d, "|\n");
    for (size_t i = 0; heads[i]; i++)
        if (heads[i][0] != '|')
            am_doc_put(d, heads[i][0] == '>' ? "|---:" : "|---");
    am_doc_put(d, "|\n");
}

void am_doc_table(struct am_doc *d, const char *caption, const char *const *heads)
{
    d->numbers = d->drawings = 0;
    for (size_t i = 0; heads[i]; i++) {
        d->numbers |= heads[i][0] == '>' ? 1u << i : 0;
        d->drawings |= heads[i][0] == '|' ? 1u << i : 0;
    }
    if (d->form == AM_DOC_HTML)
        html_head(d, caption, heads);
    else
        md_head(d, heads);
}

void am_doc_row(struct am_doc *d, const char *kind)
{
    d->col = 0;
    am_doc_html(d, kind ? "<tr class=\"%s\">" : "<tr>", kind);
}

void am_doc_cell(struct am_doc *d)
{
    size_t i = d->col++;
    bool number = d->numbers >> i & 1, drawing = d->drawings >> i & 1;
    am_doc_html(d, "%s", i == 0 ? "" : i == 1 ? "</th>" : "</td>");
    am_doc_html(d, i == 0 ? "<th scope=\"row\">" : number ? "<td class=\"num\">" : "<td>");
    if (!drawing)
        am_doc_md(d, i == 0 ? "| " : " | ");
}

void am_doc_row_end(struct am_doc *d)
{
    am_doc_html(d, d->col == 1 ? "</th></tr>\n" : "</td></tr>\n");
    am_doc_md(d, " |\n");
}

void am_doc_table_end(struct am_doc *d)
{
    am_doc_html(d, "</tbody>\n</table>\n");
    am_doc_md(d, "\n");
}
