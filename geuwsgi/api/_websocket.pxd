# C types for `websocket.py`, which is compiled as it stands under the name `_websocket`.

cimport cython

from geuwsgi.server._request cimport Request as CompiledRequest
from geuwsgi.server._websocket cimport WebSocketConnection as CompiledWebSocket


cdef CompiledRequest _request(object request_context)
cdef CompiledWebSocket _websocket(object request_context, str error_text)

@cython.locals(websocket=CompiledWebSocket)
cpdef websocket_recv(object request_context=*)

@cython.locals(websocket=CompiledWebSocket)
cpdef websocket_recv_nb(object request_context=*)

@cython.locals(websocket=CompiledWebSocket, opcode=int)
cpdef websocket_send(object message, object request_context=*)

@cython.locals(websocket=CompiledWebSocket)
cpdef websocket_send_binary(object message, object request_context=*)
