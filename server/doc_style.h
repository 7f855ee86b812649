/*
 * doc_style.h - how pages of doc.h look: one text of CSS for light, dark and paper, and what such a page may load.
 */
#ifndef AM_SERVER_DOC_STYLE_H
#define AM_SERVER_DOC_STYLE_H

/* Nothing from anywhere; only the style inside the page. */
#define AM_DOC_CSP "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

extern const char am_doc_style[];

#endif
