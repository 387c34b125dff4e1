# C types for `writer.py`, which is compiled as it stands under the name `_writer`.

cimport cython


cdef class FrameWriter:
    cdef public bint open
    cdef public bint corked
    cdef public Py_ssize_t size
    cdef public long long bytes_sent
    cdef public long long dropped
    cdef public int kind
    cdef object _hub
    cdef int _fd
    cdef object _native
    cdef object _stream
    cdef object _settings
    cdef object _deflater
    cdef object _owner
    cdef object _outbox
    cdef object _waiting
    cdef object _watcher

    @cython.locals(size=Py_ssize_t, sent=Py_ssize_t)
    cpdef send_frame(self, object frame)
    @cython.locals(size=Py_ssize_t, sent=Py_ssize_t)
    cpdef send_message(self, int opcode, bytes payload)
    @cython.locals(size=Py_ssize_t, sent=Py_ssize_t)
    cpdef send_view(self, int opcode, object view)
    cpdef send_urgent(self, bytes frame)
    cpdef encode(self, int opcode, bytes payload)
    cpdef encode_for_many(self, int opcode, bytes payload)
    cpdef bint deliver(self, object frame, Py_ssize_t queue, Py_ssize_t queue_bytes, int overflow) except -1
    @cython.locals(sent=Py_ssize_t, taken=Py_ssize_t)
    cpdef Py_ssize_t deliver_several(self, bytes joined, list frames, Py_ssize_t queue, Py_ssize_t queue_bytes, int overflow) except -1
    cdef bint _make_room(self, Py_ssize_t size, Py_ssize_t queue, Py_ssize_t queue_bytes, int overflow) except -1
    cdef bint _too_much(self, Py_ssize_t size, Py_ssize_t queue, Py_ssize_t queue_bytes) except -1
    cdef bint _drop_oldest(self) except -1
    cpdef wait(self)
    cpdef uncork(self)
    cdef _watch(self)
    @cython.locals(sent=Py_ssize_t, complete=bint)
    cdef _flush(self)
    cpdef wake_soon(self)
    cpdef leave(self)
    cpdef arrive(self)
    cpdef shut(self)
    cdef _stop_watching(self)


@cython.locals(
    index=Py_ssize_t,
    taken=Py_ssize_t,
    dropped=Py_ssize_t,
    before=Py_ssize_t,
    writer=FrameWriter,
    exclude=tuple,
    single=bint,
    frames=tuple,
    together=dict,
)
cpdef tuple spread(tuple writers, Py_ssize_t start, Py_ssize_t stop, tuple messages, Py_ssize_t queue, Py_ssize_t queue_bytes, int overflow)

cdef _frame(FrameWriter writer, object message)
