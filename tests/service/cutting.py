"""A TCP proxy before the daemon that notes every request and cuts the answers it is told to."""

import re
import socket
import threading


class Cutter:
    """.requests: [(method, path, range or None)]. .cuts: {part of a path: body bytes that the first GET of it gets}."""

    def __init__(self, url):
        host, port = re.fullmatch(r"http://([^:]+):(\d+)", url).groups()
        self.upstream = (host, int(port))
        self.requests, self.cuts, self.lock = [], {}, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client, socket.create_connection(self.upstream) as server:
            try:
                while self._exchange(client, server):
                    pass
            except OSError:
                pass

    @staticmethod
    def _head(sock):
        got = b""
        while b"\r\n\r\n" not in got:
            more = sock.recv(65536)
            if not more:
                return None, b""
            got += more
        head, _, rest = got.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n", rest

    @staticmethod
    def _length(head):
        found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        return int(found.group(1)) if found else 0

    def _exchange(self, client, server):
        """One request and its answer. False: the connection is over."""
        head, rest = self._head(client)
        if head is None:
            return False
        method, path = head.split(b" ", 2)[:2]
        wanted = re.search(rb"(?i)\r\nrange: *([^\r]+)", head)
        with self.lock:
            self.requests.append((method.decode(), path.decode(), wanted and wanted.group(1).decode()))
            part = next((p for p in self.cuts if method == b"GET" and p in path.decode()), None)
            cut = self.cuts.pop(part) if part else None
        server.sendall(head + rest)
        self._pass(client, server, self._length(head) - len(rest))
        head, rest = self._head(server)
        if head is None:
            return False
        body = 0 if method == b"HEAD" or head.split(b" ")[1] in (b"204", b"304") else self._length(head)
        client.sendall(head)
        left = body if cut is None else min(cut, body)
        client.sendall(rest[:left])
        self._pass(server, client, left - len(rest))
        return cut is None

    @staticmethod
    def _pass(source, sink, n):
        while n > 0:
            block = source.recv(min(n, 1 << 20))
            if not block:
                raise OSError("closed")
            sink.sendall(block)
            n -= len(block)

    def clear(self):
        with self.lock:
            old, self.requests = self.requests, []
        return old

    def close(self):
        self.listener.close()
