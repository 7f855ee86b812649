/*
 * notify.h - tells systemd what we are doing (sd_notify's datagram, without its library). Does nothing outside systemd.
 */
#ifndef AM_SERVER_NOTIFY_H
#define AM_SERVER_NOTIFY_H

void am_notify(const char *state); /* "READY=1", "STOPPING=1" */

#endif
