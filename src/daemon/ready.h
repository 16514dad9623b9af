/* Telling a service manager that the stack is up, as sd_notify(3) describes: a datagram to the
 * socket that $NOTIFY_SOCKET names. */
#ifndef NST_DAEMON_READY_H
#define NST_DAEMON_READY_H

/* Connects to whoever wants to be told, while names can still be seen. Returns the descriptor; -1
 * when nobody does, or, with a warning, when he can't be reached. */
int nst_ready_open(void);

/* Tells, and closes the descriptor; -1 is nobody. */
void nst_ready_tell_take(int fd);

#endif
