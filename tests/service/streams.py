"""A reader of server-sent events over a plain socket, event by event (test_events.py)."""

import http.client
import json
import socket
import urllib.parse


class Stream:
    """One open stream; next() gives one event, comments are kept apart."""

    def __init__(self, client, path, headers=None, timeout=10, receive=None):
        where = urllib.parse.urlsplit(client.url)
        self.connection = http.client.HTTPConnection(where.hostname, where.port, timeout=timeout)
        if receive:  # before the connection is made, so that the window is small from the start
            self.connection.sock = s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
            s.settimeout(timeout)
            s.connect((where.hostname, where.port))
        self.connection.request("GET", path, headers=headers or {})
        self.answer = self.connection.getresponse()
        self.status, self.headers, self.comments, self.retry = self.answer.status, self.answer.headers, [], None

    def next(self):
        """{"id", "event", "data"}, or None at the end."""
        found = {}
        for line in iter(self.answer.readline, b""):
            text = line.decode().rstrip("\n")
            name, _, value = text.partition(": ")
            if not text and found:
                return {**found, "data": json.loads(found["data"])}
            if text.startswith(":"):
                self.comments.append(text)
            elif name == "retry":
                self.retry = int(value)
            elif text:
                found[name] = value
        return None

    def until(self, last, progress=False):
        """All events up to the first of type `last`; without progress."""
        found = []
        while True:
            event = self.next()
            assert event is not None, f"ended before {last}: {[e['event'] for e in found]}"
            if progress or not event["event"].endswith(".progress"):
                found.append(event)
            if event["event"] == last:
                return found

    def rest(self):
        return list(iter(self.next, None))

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
