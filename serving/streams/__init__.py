"""The WebSockets: PCM in and a container out, or a container in and PCM out, while the client is still sending.

    routes      what the API wires in: the two paths, and how many streams there are at once      routes.py
    session     the event loop's side: messages from and to one client, idleness, failures       session.py
    exchange    the thread's side: bytes to read, bytes and messages to write, all of it bounded  exchange.py
    encoding    PCM to the container's bytes, in one generator                                    encoding.py
    decoding    the container's bytes to audio, likewise                                          decoding.py

A stream's generator runs in a thread of its own, which takes what has come, computes, and gives what that makes
certain. Either side that is faster than the other is held back: a few messages wait in each direction, no more, and
behind them TCP. Torch is imported only where a stream is coded.
"""
