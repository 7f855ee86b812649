/*
 * report_draw.c - the drawings of a report's page, as SVG inside it: a rate on a line with its interval and the noise
 * floor, and bars to both sides of zero with whiskers. Each stands beside the numbers that it shows and says them to
 * who cannot see it. Markdown has none.
 */
#include "server/report_parts.h"

#include <math.h>

static void put_label(struct am_doc *d, enum am_report_unit unit, double v)
{
    char text[AM_SHOWN];
    am_number_text(unit, v, text);
    am_doc_put(d, text);
}

#define WIDTH 560.0
#define MARGIN 20.0

/* The least round number that is not smaller: 1, 2 or 5 times a power of ten. */
static double round_up(double v)
{
    double unit = pow(10, floor(log10(v)));
    double steps = v / unit;
    return unit * (steps <= 1 ? 1 : steps <= 2 ? 2 : steps <= 5 ? 5 : 10);
}

static double place(double v, double most)
{
    double f = v / most;
    return MARGIN + (f < 0 ? 0 : f > 1 ? 1 : f) * (WIDTH - 2 * MARGIN);
}

static void put_axis(struct am_doc *d, double most)
{
    char text[AM_SHOWN];
    am_doc_putf(d, "<path class=\"axis\" d=\"M%.1f 44H%.1f\"/>", MARGIN, WIDTH - MARGIN);
    for (int i = 0; i <= 4; i++) {
        double x = place(most * i / 4, most);
        am_number_text(AM_UNIT_SHARE, most * i / 4, text);
        am_doc_putf(d,
                    "<path class=\"axis\" d=\"M%.1f 44v4\"/><text x=\"%.1f\" y=\"60\" text-anchor=\"middle\">%s</text>",
                    x, x, text);
    }
}

void am_draw_rate(struct am_doc *d, const struct am_draw_rate *r)
{
    double most = r->bounded && r->high > r->value ? r->high : r->value;
    if (d->form != AM_DOC_HTML || !(most >= 0 && most <= 1)) /* no rate: there is nothing to draw */
        return;
    most = r->floor > most ? r->floor : most;
    most = most > 0 ? round_up(most * 1.05) : 0.01;
    am_doc_put(d,
               "<svg viewBox=\"0 0 560 66\" width=\"560\" height=\"66\" role=\"img\" aria-label=\"negative flip rate ");
    put_label(d, AM_UNIT_SHARE, r->value);
    if (r->bounded) {
        am_doc_put(d, ", 95 % interval ");
        put_label(d, AM_UNIT_SHARE, r->low);
        am_doc_put(d, " to ");
        put_label(d, AM_UNIT_SHARE, r->high);
    }
    if (r->floor >= 0) {
        am_doc_put(d, "; noise floor ");
        put_label(d, AM_UNIT_SHARE, r->floor);
    }
    am_doc_put(d, "\">");
    put_axis(d, most);
    if (r->bounded)
        am_doc_putf(d, "<path class=\"whisker\" d=\"M%.2f 24H%.2fM%.2f 18v12M%.2f 18v12\"/>", place(r->low, most),
                    place(r->high, most), place(r->low, most), place(r->high, most));
    am_doc_putf(d, "<circle class=\"dot\" cx=\"%.2f\" cy=\"24\" r=\"5\"/>", place(r->value, most));
    if (r->floor >= 0) {
        double x = place(r->floor, most);
        am_doc_putf(d, "<path class=\"floor\" d=\"M%.2f 4V44\"/>", x);
        am_doc_putf(d, "<text x=\"%.2f\" y=\"12\" text-anchor=\"%s\">noise floor</text>", x + (x > WIDTH / 2 ? -5 : 5),
                    x > WIDTH / 2 ? "end" : "start");
    }
    am_doc_put(d, "</svg>\n");
}

#define HALF 100.0

static double beside(double v, double scale)
{
    double f = scale > 0 ? v / scale : 0;
    return HALF + (f < -1 ? -1 : f > 1 ? 1 : f) * (HALF - 4);
}

void am_draw_harm(struct am_doc *d, const struct am_draw_harm *h, double scale)
{
    if (d->form != AM_DOC_HTML)
        return;
    double x = beside(h->value, scale), from = x < HALF ? x : HALF, width = fabs(x - HALF);
    am_doc_put(d, "<svg viewBox=\"0 0 200 18\" width=\"200\" height=\"18\" role=\"img\" aria-label=\"net harm ");
    put_label(d, AM_UNIT_POINTS, h->value);
    am_doc_put(d, h->value > 0 ? ", worse\">" : h->value < 0 ? ", better\">" : "\">");
    am_doc_putf(d, "<rect class=\"%s\" x=\"%.2f\" y=\"3.5\" width=\"%.2f\" height=\"11\"/>",
                h->value > 0 ? "worse" : "better", from, width);
    am_doc_put(d, "<path class=\"axis\" d=\"M100 0v18\"/>");
    if (h->bounded)
        am_doc_putf(d, "<path class=\"whisker\" d=\"M%.2f 9H%.2fM%.2f 5.5v7M%.2f 5.5v7\"/>", beside(h->low, scale),
                    beside(h->high, scale), beside(h->low, scale), beside(h->high, scale));
    am_doc_put(d, "</svg>");
}
