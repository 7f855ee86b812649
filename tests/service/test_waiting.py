"""Registrations that wait for their task: they must not hold up anybody else, nor the end of the service."""

import os
import signal
import threading
import time

import numpy as np
import pytest
import requests
from safetensors.numpy import save_file

from harness import Client


@pytest.fixture
def stuck(launch, roots):
    """A daemon whose import workers are stopped as soon as they start, with 20 registrations waiting for them."""
    folder = roots / "waiting"
    folder.mkdir(exist_ok=True)
    save_file({"w": np.ones((64, 64), np.float32)}, folder / "model.safetensors")
    d = launch("--jobs.cancel_grace=200", "--workers.helpers=2")
    sessions = [requests.Session() for _ in range(48)]  # kept alive: they live on the threads of the registrations
    for s in sessions:
        s.trust_env = False
        assert s.get(d.url + "/livez", timeout=5).status_code == 200
    frozen, answers, over = set(), [], threading.Event()

    def freeze():
        while not over.is_set():
            for pid in set(d.workers()) - frozen:
                try:
                    # not between fork and exec: the daemon waits for the exec
                    if os.readlink(f"/proc/{pid}/exe").endswith("amend-worker"):
                        os.kill(pid, signal.SIGSTOP)
                        frozen.add(pid)
                except OSError:
                    pass
            time.sleep(0.001)

    def register(i):
        try:
            answers.append(Client(d.url).register_raw(folder, f"wait/m{i}").status_code)
        except requests.RequestException as e:
            answers.append(e)

    freezer = threading.Thread(target=freeze)
    freezer.start()
    posts = [threading.Thread(target=register, args=(i,)) for i in range(20)]
    for t in posts:
        t.start()
    deadline = time.monotonic() + 10
    while len(d.client.all("/v1/jobs?type=task")) < 20 and time.monotonic() < deadline:
        time.sleep(0.02)
    over.set()
    freezer.join()
    yield d, sessions, posts, answers, frozen
    for s in sessions:
        s.close()


def thaw(frozen):
    for pid in frozen:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass


def test_others_are_answered_while_registrations_wait(stuck):
    d, sessions, posts, answers, frozen = stuck
    try:
        for s in sessions:
            for path in ("/livez", "/readyz"):
                assert s.get(d.url + path, timeout=2).status_code == 200
        assert answers.count(202) == 0  # hundreds may wait, so nobody was sent away
    finally:
        thaw(frozen)
    for t in posts:
        t.join(30)
    assert len(answers) == 20 and set(answers) <= {201, 202}, answers


def test_the_service_stops_while_registrations_wait(stuck):
    d, _, posts, answers, _ = stuck
    began = time.monotonic()
    d.stop()
    assert time.monotonic() - began < 5
    for t in posts:
        t.join(5)
    assert len(answers) == 20 and set(answers) <= {201, 202}, answers  # nobody is cut off
