"""HTTP/2: one connection, one greenlet that reads, one that writes, and one for each stream, which serves its request as HTTP/1.1 would.

connection.py   the TCP connection: the streams, what the client may do and how it all ends; session.py is h2's side of it
output.py       what goes out, written by one greenlet
transport.py    the bytes of one stream, with flow control both ways
stream.py       one request: what the connection is to a request of HTTP/1.1
body.py, response.py    wsgi.input, and what start_response and the iterable become
carrier.py      a websocket's bytes on a stream (RFC 8441)

Imported when the first client speaks HTTP/2: h2 need not be installed, and takes a tenth of a second.
"""
