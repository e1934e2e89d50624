#include <zmq.h>
/* Wakes a thread that waits in zmq_poll; not in Swift's own module of the C library. */
#include <sys/eventfd.h>
