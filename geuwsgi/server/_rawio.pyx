# cython: language_level=3
"""Compiled twin of `rawio`: libc's own recv and send, and one buffer for all connections."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno

cdef extern from "<sys/socket.h>" nogil:
    ssize_t recv(int fd, void *buf, size_t size, int flags)
    ssize_t send(int fd, const void *buf, size_t size, int flags)
    int MSG_DONTWAIT
    int MSG_NOSIGNAL

cdef enum:
    SIZE = 65536

#: Never held across a switch of greenlets: the bytes are copied out before anything else runs.
cdef char _buffer[SIZE]


def receive(object sock, int fd, size_t size=SIZE):
    """As `geuwsgi.server.rawio.receive`."""
    cdef ssize_t count = recv(fd, _buffer, size if size < SIZE else SIZE, MSG_DONTWAIT)
    if count >= 0:
        return PyBytes_FromStringAndSize(_buffer, count)
    if errno == EAGAIN or errno == EINTR:
        return None
    return b""


def transmit(object sock, int fd, object data):
    """As `geuwsgi.server.rawio.transmit`."""
    cdef ssize_t count
    cdef Py_buffer view
    if PyBytes_CheckExact(data):
        count = send(fd, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), MSG_DONTWAIT | MSG_NOSIGNAL)
    else:
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        count = send(fd, view.buf, view.len, MSG_DONTWAIT | MSG_NOSIGNAL)
        PyBuffer_Release(&view)
    if count >= 0:
        return count
    if errno == EAGAIN or errno == EINTR:
        return 0
    return -1
