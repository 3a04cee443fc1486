/* Telling systemd: sd_notify(3)'s protocol, a datagram to $NOTIFY_SOCKET. Nothing happens without
 * one. Main thread. */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

/* state: "READY=1", "STOPPING=1", "RELOADING=1\nMONOTONIC_USEC=..." */
void notify_systemd(const char *state);

#endif
