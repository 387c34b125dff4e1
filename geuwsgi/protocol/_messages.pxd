# C types for `messages.py`, which is compiled as it stands under the name `_messages`.

cimport cython


cdef class MessageDecoder:
    cdef object __weakref__
    cdef public Py_ssize_t max_size
    cdef public Py_ssize_t size
    cdef public list messages
    cdef public list control
    cdef public object error
    cdef public int close_code
    cdef public str close_reason
    cdef object _inflater
    cdef bint _compressed
    cdef bytes _head
    cdef int _frame_opcode
    cdef bint _frame_fin
    cdef Py_ssize_t _frame_size
    cdef Py_ssize_t _frame_offset
    cdef bytes _key
    cdef int _message_opcode
    cdef bytearray _message
    cdef bytes _control_payload
    cdef object _utf8

    @cython.locals(position=Py_ssize_t, end=Py_ssize_t)
    cpdef feed(self, bytes data)

    @cython.locals(
        first=int, second=int, opcode=int, control=bint, size=Py_ssize_t, position=Py_ssize_t, octet="unsigned char", key=bytes, payload=bytes
    )
    cdef Py_ssize_t _frame(self, bytes data, Py_ssize_t start, Py_ssize_t end) except -1

    @cython.locals(stop=Py_ssize_t, part=bytes, complete=bint, final=bint, opcode=int, payload=bytes)
    cdef Py_ssize_t _payload(self, bytes data, Py_ssize_t start) except -1

    @cython.locals(code=int, reason=str)
    cdef _deliver_control(self, int opcode, bytes payload)
