"""What clients asked and were told across crashes, and whether it can all be true.

Client threads submit (with Idempotency-Key where the daemon knows it), look, and cancel; an answer that never came is asked
for again with the same key. verify() then checks: what was acknowledged exists (read your writes); a state never goes back
except by a counted restart or a new attempt; an end is an end; one key has one job; nobody publishes twice.
"""

import threading
import time
import uuid

import requests

import scene
from store import Promises

RANK = {"queued": 0, "running": 1, "cancelling": 2, "succeeded": 3, "failed": 3, "cancelled": 3}
LIVE_EACH = 3  # jobs that one client keeps open


class History:
    def __init__(self):
        self.lock = threading.Lock()
        self.log = []  # (time, client, what, job or key, answer)
        self.url, self.ended = None, False
        self.idempotent = self.cancel_more = False
        self.keys_used = self.repeated = 0
        self.wrong = []

    def up(self, url):
        self.url = url

    def down(self):
        self.url = None

    def over(self):
        self.ended = True

    def put(self, *entry):
        with self.lock:
            self.log.append((scene.now(), *entry))

    def learn(self, client):
        """Does this daemon know Idempotency-Key?"""
        body, key = scene.blend("t/first", 0.5), {"Idempotency-Key": str(uuid.uuid4())}
        first, second = (client.post("/v1/jobs", body, headers=key) for _ in range(2))
        assert first.status_code == 202, first.text
        self.idempotent = second.status_code == 202 and first.json()["id"] == second.json()["id"]
        client.wait(first.json()["id"])
        if second.status_code == 202:
            client.wait(second.json()["id"])

    def jobs(self):
        """{uid: (client, key)} of what was acknowledged."""
        return {e[4]: (e[1], e[3]) for e in self.log if e[2] == "submitted"}

    def promises(self):
        p = Promises()
        with self.lock:
            for _, _, what, name, answer in self.log:
                if what == "submitted":
                    p.jobs.add(answer)
                elif what == "cancel" and answer == 202:
                    p.cancelled.add(name)
                elif what == "seen" and answer[0] == "succeeded":
                    p.succeeded.add(name)
                elif what == "moved":
                    p.moves.add((Mover.MODEL, name, *answer))
        return p

    def settle(self, client):
        """Waits for the end of every acknowledged job: {uid: job}."""
        return {uid: client.wait(uid, 120) for uid in self.jobs()}


class Client(threading.Thread):
    def __init__(self, history, number, rng):
        super().__init__(daemon=True)
        self.h, self.number, self.rng = history, number, rng
        self.live, self.unsure, self.weight = [], None, number * 100_000 + 1

    def run(self):
        session = requests.Session()
        session.trust_env = False
        while not self.h.ended:
            url = self.h.url
            if not url:
                time.sleep(0.002)
                continue
            try:
                self.step(session, url)
            except requests.RequestException:
                time.sleep(0.002)
            except Exception as e:  # a wrong answer must not end the thread unseen
                self.h.wrong.append(f"client {self.number}: {type(e).__name__}: {e}")

    def step(self, session, url):
        if self.unsure or len(self.live) < LIVE_EACH:
            self.submit(session, url)
        elif self.rng.random() < (0.5 if self.h.cancel_more else 0.04):
            self.cancel(session, url, self.rng.choice(self.live))
        else:
            self.look(session, url, self.rng.choice(self.live))

    def submit(self, session, url):
        """The key and the weight stay the same until an answer has come."""
        again = self.unsure is not None
        if not again:
            self.weight += 1
            self.unsure = (str(uuid.UUID(int=self.rng.getrandbits(128), version=4)), float(self.weight))
        key, weight = self.unsure
        headers = {"Idempotency-Key": key} if self.h.idempotent else {}
        if again and not self.h.idempotent:  # nobody can know whether it was taken: a new one
            self.unsure = None
            return
        self.h.keys_used += bool(headers) and not again
        self.h.repeated += again
        self.h.put(self.number, "submit", key, weight)
        answer = session.post(f"{url}/v1/jobs", json=scene.blend(f"t/out{self.number}", weight), headers=headers, timeout=20)
        if answer.status_code >= 500:
            time.sleep(0.01)
            return
        self.unsure = None
        if answer.status_code != 202:
            self.h.wrong.append(f"a submit was answered {answer.status_code}: {answer.text[:300]}")
            return
        uid = answer.json()["id"]
        self.h.put(self.number, "submitted", key, uid)
        self.live.append(uid)

    def look(self, session, url, uid):
        answer = session.get(f"{url}/v1/jobs/{uid}", timeout=20)
        if answer.status_code >= 500:
            return
        if answer.status_code != 200:
            self.h.wrong.append(f"{uid} was acknowledged, then answered {answer.status_code}")
            self.live.remove(uid)
            return
        job = answer.json()
        version = ((job.get("result") or {}).get("version") or {}).get("commit")
        self.h.put(self.number, "seen", uid, (job["status"], job["attempt"], version))
        if RANK[job["status"]] == 3 and self.rng.random() < 0.5:  # others are looked at once more
            self.live.remove(uid)
        time.sleep(0.004)

    def cancel(self, session, url, uid):
        self.h.put(self.number, "cancel asked", uid, None)
        answer = session.post(f"{url}/v1/jobs/{uid}/cancel", timeout=20)
        self.h.put(self.number, "cancel", uid, answer.status_code)
        if answer.status_code not in (202, 409) and answer.status_code < 500:
            self.h.wrong.append(f"a cancel was answered {answer.status_code}: {answer.text[:300]}")


class Mover(threading.Thread):
    """Moves aliases of one model, back and forth, and deletes some; what was answered must be in the history."""

    MODEL = "t/r"  # with v1 and v2

    def __init__(self, history, rng):
        super().__init__(daemon=True)
        self.h, self.rng = history, rng

    def run(self):
        session = requests.Session()
        session.trust_env = False
        while not self.h.ended:
            url = self.h.url
            try:
                if url:
                    self.step(session, url)
            except requests.RequestException:
                pass
            except Exception as e:  # a wrong answer must not end the thread unseen
                self.h.wrong.append(f"mover: {type(e).__name__}: {e}")
            time.sleep(0.004)

    def step(self, session, url):
        name, what = self.rng.choice(("prod", "next")), self.rng.choice(("move", "move", "move", "back", "delete"))
        path = f"{url}/v1/models/{self.MODEL}/refs/{name}"
        more = {"headers": {"If-Match": "*"}, "timeout": 20}
        if what == "delete":
            answer = session.delete(path, params={"reason": "gone"}, **more)
        elif what == "back":
            answer = session.post(f"{path}/rollback", json={"reason": "back", "steps": 1}, **more)
        else:
            to = self.rng.choice(("v1", "v2"))
            answer = session.put(path, json={"to": to, "reason": "on"}, **more)
            if answer.status_code == 412:  # it is not there
                more["headers"] = {"If-None-Match": "*"}
                answer = session.put(path, json={"to": to, "reason": "made"}, **more)
        if answer.status_code in (200, 201):
            doc, gone = answer.json(), what == "delete"
            self.h.put("mover", "moved", name, (doc["revision"] + gone, None if gone else doc["commit"]))
        elif answer.status_code < 500 and answer.status_code not in (404, 409, 412):
            self.h.wrong.append(f"a {what} of a ref was answered {answer.status_code}: {answer.text[:300]}")


def verify(history, final, worker_kills):
    """Sentences, one for each contradiction."""
    found = list(history.wrong)
    found += _order(history, final)
    found += _keys(history)
    found += _revisions(history)
    failed = [j for j in final.values() if j["status"] == "failed"]
    codes = {j["error"]["code"] for j in failed}
    if len(failed) > worker_kills or codes - {"worker-crashed", "attempts-exhausted"}:
        found.append(f"{len(failed)} jobs failed by {sorted(codes)}; {worker_kills} workers were killed")
    cancelled = {e[3] for e in history.log if e[2] == "cancel" and e[4] == 202}
    for uid in cancelled:
        if uid in final and final[uid]["status"] != "cancelled":
            found.append(f"{uid} was told to be cancelled and is {final[uid]['status']}")
    for uid, job in final.items():
        if job["status"] == "cancelled" and not any(e[2] == "cancel asked" and e[3] == uid for e in history.log):
            found.append(f"{uid} is cancelled, and nobody asked for it")
    return found


def _order(history, final):
    last = {}
    for _, _, what, uid, answer in history.log:
        if what != "seen":
            continue
        if uid in last:
            yield from _step(uid, last[uid], answer)
        last[uid] = answer
    for uid, seen in last.items():
        job = final.get(uid)
        if job:
            version = ((job.get("result") or {}).get("version") or {}).get("commit")
            yield from _step(uid, seen, (job["status"], job["attempt"], version))


def _step(uid, before, after):
    """From one answer about a job to the next."""
    if after[1] < before[1]:
        yield f"{uid}: attempt {before[1]} became {after[1]}"
    if RANK[before[0]] == 3 and after != before:
        yield f"{uid} had ended {before}, and later was {after}"
    if before[0] == "cancelling" and after[0] not in ("cancelling", "cancelled"):
        yield f"{uid} was cancelling, and later {after[0]}"


def _keys(history):
    by_key = {}
    for _, _, what, key, uid in history.log:
        if what == "submitted":
            by_key.setdefault(key, set()).add(uid)
    for key, uids in by_key.items():
        if len(uids) > 1:
            yield f"key {key} has {len(uids)} jobs: {sorted(uids)}"


def _revisions(history):
    """Of a ref, as its only mover was told them: a move to where it stands keeps the revision, none goes back."""
    last = {}
    for _, _, what, name, answer in history.log:
        if what == "moved":
            if answer[0] < last.get(name, 0):
                yield f"ref {name} was told in revision {answer[0]} after {last[name]}"
            last[name] = answer[0]
