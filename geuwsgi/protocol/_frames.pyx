# cython: language_level=3, boundscheck=False, wraparound=False
"""Compiled twin of the writing half of `frames`: one allocation and one copy."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.string cimport memcpy


def encode_frame(int opcode, bytes payload not None, bint rsv1=False):
    """As `geuwsgi.protocol.frames.encode_frame`."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(payload)
    cdef Py_ssize_t head = 2 if size < 126 else 4 if size < 65536 else 10
    cdef bytes frame = PyBytes_FromStringAndSize(NULL, head + size)
    cdef unsigned char *target = <unsigned char *>PyBytes_AS_STRING(frame)
    cdef uint64_t rest = <uint64_t>size
    cdef Py_ssize_t i
    target[0] = 0x80 | opcode | (0x40 if rsv1 else 0)
    if head == 2:
        target[1] = <unsigned char>size
    else:
        target[1] = 126 if head == 4 else 127
        for i in range(head - 1, 1, -1):
            target[i] = rest & 0xFF
            rest >>= 8
    memcpy(target + head, PyBytes_AS_STRING(payload), size)
    return frame
