# cython: language_level=3
"""Compiled twin of `rawio`: libc's own recv and send."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno
from libc.string cimport memset

cdef extern from "Python.h":
    ctypedef struct PyObject
    PyObject *raw_bytes "PyBytes_FromStringAndSize"(const char *, Py_ssize_t) except NULL
    int _PyBytes_Resize(PyObject **, Py_ssize_t) except -1
    char *raw_string "PyBytes_AS_STRING"(PyObject *)
    void Py_DECREF(PyObject *)

cdef extern from "<sys/socket.h>" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len
    struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen
    ssize_t recv(int fd, void *buf, size_t size, int flags)
    ssize_t send(int fd, const void *buf, size_t size, int flags)
    ssize_t sendmsg(int fd, const msghdr *message, int flags)
    int MSG_DONTWAIT
    int MSG_NOSIGNAL

cdef enum:
    SIZE = 65536
    LARGE_SIZE = 262144
    #: From this many bytes on, the buffer itself is cut to size and handed out, and a new one made: cheaper than a copy.
    HAND_OUT = 4096

#: A bytes object that nobody else has seen. Never held across a switch of greenlets.
cdef PyObject *_buffer = NULL

#: For large reads: a bytes object of this size would be mapped and unmapped each time, which costs more than a copy.
cdef char _large_buffer[LARGE_SIZE]


def receive(object sock, int fd, size_t size=65536):
    """As `geuwsgi.server.rawio.receive`."""
    global _buffer
    cdef PyObject *whole
    cdef ssize_t count
    cdef char *target
    if fd < 0:
        return sock.receive(size)
    if size > SIZE:
        target = _large_buffer
        if size > LARGE_SIZE:
            size = LARGE_SIZE
    else:
        if _buffer == NULL:
            _buffer = raw_bytes(NULL, SIZE)
        target = raw_string(_buffer)
    count = recv(fd, target, size, MSG_DONTWAIT)
    if count < 0:
        if errno == EAGAIN or errno == EINTR:
            return None
        return b""
    if count < HAND_OUT or target == _large_buffer:
        return PyBytes_FromStringAndSize(target, count)
    whole = _buffer
    _buffer = NULL
    _PyBytes_Resize(&whole, count)
    result = <object>whole
    Py_DECREF(whole)
    return result


def transmit(object sock, int fd, object data):
    """As `geuwsgi.server.rawio.transmit`."""
    cdef ssize_t count
    cdef Py_buffer view
    if fd < 0:
        return sock.transmit(data)
    if PyBytes_CheckExact(data):
        count = send(fd, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), MSG_DONTWAIT | MSG_NOSIGNAL)
    else:
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        count = send(fd, view.buf, view.len, MSG_DONTWAIT | MSG_NOSIGNAL)
        PyBuffer_Release(&view)
    if count >= 0:
        return count
    return 0 if errno == EAGAIN or errno == EINTR else -1


def transmit_two(object sock, int fd, bytes head not None, object body not None):
    """As `geuwsgi.server.rawio.transmit_two`."""
    cdef iovec parts[2]
    cdef msghdr message
    cdef ssize_t count
    cdef Py_buffer view
    if fd < 0:
        return sock.transmit_two(head, body)
    memset(&message, 0, sizeof(message))
    parts[0].iov_base = PyBytes_AS_STRING(head)
    parts[0].iov_len = PyBytes_GET_SIZE(head)
    PyObject_GetBuffer(body, &view, PyBUF_SIMPLE)
    parts[1].iov_base = view.buf
    parts[1].iov_len = view.len
    message.msg_iov = parts
    message.msg_iovlen = 2
    count = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL)
    PyBuffer_Release(&view)
    if count >= 0:
        return count
    return 0 if errno == EAGAIN or errno == EINTR else -1
